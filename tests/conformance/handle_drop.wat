;; `handle_drop`: a handle let go.
;;
;; case 1: it is not held any more -> fault "does not hold"
;; case 2: handle 0 cannot be dropped -> fault "handle 0"
;; case 3: a reply handle that is let go answers: NO_REPLY -> status NO_REPLY
;; case 4: a reply handle, one effect too many -> LIMIT
;; case 5: a handle that was never given -> fault "does not hold"
;; case 6: the slot is used again, and the old number stays dead -> fault "does not hold"
;; case 7: the parent's handle may be dropped -> 0
;; case 8 (query): a query that lets its reply handle go: NO_REPLY -> status NO_REPLY
;; case 9: room for another -> 1

(func $let (param $handle i32) (result i64) (i64.extend_i32_s (call $handle_drop (local.get $handle))))

(func $case1 (result i64)
  (local $copy i32)
  (local.set $copy (call $mine (i32.const 1)))
  (drop (call $let (local.get $copy)))
  (call $let (local.get $copy)))
(func $case2 (result i64) (call $let (i32.const 0)))
(func $case3 (result i64) (drop (call $let (global.get $asker))) (global.get $later))
(func $case4 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (call $let (global.get $asker))) (global.get $later))
(func $case5 (result i64) (call $let (i32.const 77)))
(func $case6 (result i64)
  (local $old i32) (local $new i32)
  (local.set $old (call $mine (i32.const 1)))
  (drop (call $let (local.get $old)))
  (local.set $new (call $mine (i32.const 1)))
  (if (i32.eq (local.get $old) (local.get $new)) (then (return (i64.const -99))))
  (call $let (local.get $old)))
(func $case7 (result i64) (call $let (i32.const 1)))
(func $case8 (result i64) (drop (call $let (global.get $asker))) (global.get $later))
(func $case9 (result i64)
  (local $last i64) (local $handle i64)
  (loop $more
    (local.set $last (local.get $handle))
    (local.set $handle (call $handle_copy (i32.const 2) (i32.const 0) (i64.const 0)))
    (br_if $more (i64.ge_s (local.get $handle) (i64.const 0))))
  (drop (call $let (i32.wrap_i64 (local.get $last))))
  (i64.extend_i32_u (i64.ge_s (call $handle_copy (i32.const 2) (i32.const 0) (i64.const 0)) (i64.const 0))))
