;; `cancel`: a timer taken back.
;;
;; case 1: its event does not come any more -> 7
;; case 2: a timer that has fired already -> 0
;; case 3 (query): a query takes nothing back -> READ_ONLY
;; case 4: one effect too many -> LIMIT
;; case 5: an id that was never given -> fault "never given"
;; case 6: room for another timer -> 1

(global $mode (mut i32) (i32.const 0))
(global $id (mut i64) (i64.const 0))

(func $take (param $id i64) (result i64) (i64.extend_i32_s (call $cancel (local.get $id))))

(func $case1 (result i64)
  (global.set $id (call $timer (i64.const 1000000)))
  (drop (call $timer (i64.const 50000000)))
  (if (i64.ne (call $take (global.get $id)) (i64.const 0)) (then (unreachable)))
  (global.get $later))
(func $case2 (result i64) (global.set $mode (i32.const 2)) (global.set $id (call $timer (i64.const 0))) (global.get $later))
(func $case3 (result i64) (call $take (global.get $id)))
(func $case4 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (call $take (global.get $id))) (global.get $later))
(func $case5 (result i64) (call $take (i64.const 99)))
(func $case6 (result i64)
  (local $id i64)
  (loop $more
    (global.set $id (local.get $id))
    (local.set $id (call $timer (i64.const 3600000000000)))
    (br_if $more (i64.gt_s (local.get $id) (i64.const 0))))
  (drop (call $take (global.get $id)))
  (i64.extend_i32_u (i64.gt_s (call $timer (i64.const 3600000000000)) (i64.const 0))))

;; For cases 3 and 4.
(func $born (global.set $id (call $timer (i64.const 3600000000000))))
(func $told
  (if (i32.ne (call $kind) (i32.const 3)) (then (return)))
  (if (i32.eq (global.get $mode) (i32.const 2)) (then (call $answer (call $take (call $token))) (return)))
  ;; 7 unless it is the one that was taken back.
  (call $answer (select (i64.const 8) (i64.const 7) (i64.eq (call $token) (global.get $id)))))
