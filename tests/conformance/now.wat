;; `now`: the event's time.
;;
;; case 1: it is the header's -> 1
;; case 2: it does not move inside a handler -> 1
;; case 3: it does not go back from event to event -> 1
;; case 4 (query): a query has a time too -> 1
;; case 5: it is after 2026-01-01 -> 1

(global $before (mut i64) (i64.const 0))

(func $case1 (result i64) (i64.extend_i32_u (i64.eq (call $now) (call $time))))
(func $case2 (result i64)
  (local $count i32)
  (global.set $before (call $now))
  (local.set $count (i32.const 1000000))
  (loop $more (br_if $more (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
  (i64.extend_i32_u (i64.eq (call $now) (global.get $before))))
(func $case3 (result i64) (global.set $before (call $now)) (call $tell (i32.const 0) (i32.const 1)) (global.get $later))
(func $case4 (result i64) (i64.extend_i32_u (i64.eq (call $now) (call $time))))
(func $case5 (result i64) (i64.extend_i32_u (i64.gt_s (call $now) (i64.const 1767225600000000000))))

(func $told
  (if (i32.eq (call $kind) (i32.const 1)) (then
    (call $answer (i64.extend_i32_u (i64.ge_s (call $now) (global.get $before)))))))
