;; `timer`: an event after a while.
;;
;; case 1: it comes, with its id -> 1
;; case 2 (query): a query asks for no timer -> READ_ONLY
;; case 3: one effect too many -> LIMIT
;; case 4: one timer too many -> LIMIT
;; case 5: a delay before now -> fault "nanoseconds"
;; case 6: a delay beyond ten years -> fault "nanoseconds"
;; case 7: no delay is an event of its own -> 1
;; case 8: it is never early -> 1
;; case 9: the shorter one comes first -> 12
;; case 10: ten years are taken -> 1

(global $mode (mut i32) (i32.const 0))
(global $id (mut i64) (i64.const 0))
(global $due (mut i64) (i64.const 0))
(global $order (mut i64) (i64.const 0))

(func $case1 (result i64) (global.set $mode (i32.const 1)) (global.set $id (call $timer (i64.const 1000000))) (global.get $later))
(func $case2 (result i64) (call $timer (i64.const 1)))
(func $case3 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (call $timer (i64.const 1))) (global.get $later))
(func $case4 (result i64)
  (local $count i32)
  (local.set $count (i32.const 4096))
  (loop $more
    (if (i64.lt_s (call $timer (i64.const 3600000000000)) (i64.const 0)) (then (unreachable)))
    (br_if $more (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
  (call $timer (i64.const 3600000000000)))
(func $case5 (result i64) (call $timer (i64.const -1)))
(func $case6 (result i64) (call $timer (i64.const 315360000000000001)))
(func $case7 (result i64) (global.set $mode (i32.const 1)) (global.set $id (call $timer (i64.const 0))) (global.get $later))
(func $case8 (result i64)
  (global.set $mode (i32.const 8))
  (global.set $due (i64.add (call $now) (i64.const 20000000)))
  (drop (call $timer (i64.const 20000000))) (global.get $later))
(func $case9 (result i64)
  (global.set $mode (i32.const 9))
  (global.set $id (call $timer (i64.const 200000000)))
  (drop (call $timer (i64.const 1000000))) (global.get $later))
(func $case10 (result i64) (i64.extend_i32_u (i64.gt_s (call $timer (i64.const 315360000000000000)) (i64.const 0))))

(func $told
  (if (i32.ne (call $kind) (i32.const 3)) (then (return)))
  (if (i32.eq (global.get $mode) (i32.const 1)) (then
    (call $answer (i64.extend_i32_u (i64.eq (call $token) (global.get $id))))))
  (if (i32.eq (global.get $mode) (i32.const 8)) (then
    (call $answer (i64.extend_i32_u (i64.ge_u (call $now) (global.get $due))))))
  (if (i32.eq (global.get $mode) (i32.const 9)) (then
    (global.set $order (i64.add (i64.mul (global.get $order) (i64.const 10))
      (select (i64.const 2) (i64.const 1) (i64.eq (call $token) (global.get $id)))))
    (if (i64.gt_u (global.get $order) (i64.const 10)) (then (call $answer (global.get $order)))))))
