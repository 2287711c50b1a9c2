;; `handle_revoke`: a grant taken back, wherever its copies are.
;;
;; case 1: what is sent through it comes back: REVOKED -> 5
;; case 2: a handle without a grant of one's own -> DENIED
;; case 3: handle 0, which carries none -> DENIED
;; case 4 (query): a query takes nothing back -> READ_ONLY
;; case 5: one effect too many -> LIMIT
;; case 6: a handle that was never given -> fault "does not hold"
;; case 7: twice is once -> 0
;; case 8: a copy that somebody else holds is dead too: REVOKED -> 5
;; case 9: another grant lives on -> 66
;; case 10: room for another grant -> 1

(global $grant (mut i32) (i32.const 0))
(global $helper (mut i32) (i32.const 0))

(func $back (param $handle i32) (result i64) (i64.extend_i32_s (call $handle_revoke (local.get $handle))))

(func $case1 (result i64)
  (local $copy i32)
  (local.set $copy (call $mine (i32.const 1)))
  (drop (call $back (local.get $copy)))
  (call $tell (local.get $copy) (i32.const 0x42))
  (global.get $later))
(func $case2 (result i64) (call $back (i32.const 1)))
(func $case3 (result i64) (call $back (i32.const 0)))
(func $case4 (result i64) (call $back (global.get $grant)))
(func $case5 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (call $back (global.get $grant))) (global.get $later))
(func $case6 (result i64) (call $back (i32.const 77)))
(func $case7 (result i64)
  (if (i64.ne (call $back (global.get $grant)) (i64.const 0)) (then (unreachable)))
  (call $back (global.get $grant)))
;; The helper gets the copy first; then it is taken back; then the helper calls through it, and reports the status.
(func $case8 (result i64)
  (i32.store (i32.const 128) (global.get $grant))
  (global.set $helper (call $helper (i32.const 1)))
  (i32.store8 (i32.const 80) (i32.const 0x48))
  (drop (call $send (global.get $helper) (i32.const 80) (i32.const 1) (i32.const 128) (i32.const 1)))
  (drop (call $back (global.get $grant)))
  (call $tell (global.get $helper) (i32.const 0x43))
  (global.get $later))
(func $case9 (result i64)
  (local $other i32)
  (local.set $other (call $mine (i32.const 1)))
  (drop (call $back (global.get $grant)))
  (call $tell (local.get $other) (i32.const 0x42))
  (global.get $later))
(func $case10 (result i64)
  (local $last i64) (local $handle i64)
  (loop $more
    (local.set $last (local.get $handle))
    (local.set $handle (call $handle_copy (i32.const 0) (i32.const 1) (i64.const 0)))
    (br_if $more (i64.ge_s (local.get $handle) (i64.const 0))))
  (drop (call $back (i32.wrap_i64 (local.get $last))))
  (i64.extend_i32_u (i64.ge_s (call $handle_copy (i32.const 0) (i32.const 1) (i64.const 0)) (i64.const 0))))

(func $born (if (i32.eqz (global.get $role)) (then (global.set $grant (call $mine (i32.const 0x1f))))))
(func $told
  (if (global.get $role) (then
    (if (i32.eq (call $first) (i32.const 0x48)) (then (global.set $grant (call $handle (i32.const 0)))))
    (if (i32.eq (call $first) (i32.const 0x43)) (then (drop (call $ask (global.get $grant) (i32.const 0x42)))))
    (if (i32.eq (call $kind) (i32.const 2)) (then (call $tell (i32.const 1) (call $status))))
    (return)))
  (if (i32.eq (call $kind) (i32.const 6)) (then (call $answer (i64.extend_i32_u (call $status))) (return)))
  (if (i32.eq (call $kind) (i32.const 1)) (then (call $answer (i64.extend_i32_u (call $first))))))
