;; `kill`: the end of another.
;;
;; case 1: the target ends with `killed` -> 5
;; case 2: a handle that may not kill: a child's to its parent -> DENIED
;; case 3 (query): a query kills nobody -> READ_ONLY
;; case 4: one effect too many -> LIMIT
;; case 5: a handle that was never given -> fault "does not hold"
;; case 6: killing what has ended does nothing -> 0
;; case 7: oneself -> exit killed 0
;; case 8: no policy starts a killed actor again -> 1
;; case 9: a call to what was killed: DEAD -> 1
;; case 10: a reply handle -> DENIED

(global $helper (mut i32) (i32.const 0))
(global $starts (mut i64) (i64.const 0))
(global $mode (mut i32) (i32.const 0))

(func $case1 (result i64)
  (global.set $helper (call $helper (i32.const 1)))
  (drop (call $monitor (global.get $helper)))
  (drop (call $kill (global.get $helper)))
  (global.get $later))
(func $case2 (result i64) (i64.extend_i32_s (call $kill (call $mine (i32.const 0x7d)))))
(func $case3 (result i64) (i64.extend_i32_s (call $kill (i32.const 0))))
(func $case4 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (i64.extend_i32_s (call $kill (i32.const 0)))) (global.get $later))
(func $case5 (result i64) (i64.extend_i32_s (call $kill (i32.const 77))))
(func $case6 (result i64)
  (global.set $mode (i32.const 6))
  (global.set $helper (call $helper (i32.const 1)))
  (drop (call $monitor (global.get $helper)))
  (drop (call $kill (global.get $helper)))
  (global.get $later))
(func $case7 (result i64) (drop (call $kill (i32.const 0))) (global.get $later))
;; The helper, restart `always`, tells of its start; had it started again, it would have told twice.
(func $case8 (result i64)
  (global.set $mode (i32.const 8))
  (i32.store8 (i32.const 306) (i32.const 2))
  (global.set $helper (call $helper (i32.const 2)))
  (drop (call $monitor (global.get $helper)))
  (global.get $later))
(func $case9 (result i64)
  (global.set $mode (i32.const 9))
  (global.set $helper (call $helper (i32.const 1)))
  (drop (call $kill (global.get $helper)))
  (drop (call $ask (global.get $helper) (i32.const 1)))
  (global.get $later))
(func $case10 (result i64) (i64.extend_i32_s (call $kill (global.get $asker))))

(func $born (if (i32.eq (global.get $role) (i32.const 2)) (then (call $tell (i32.const 1) (i32.const 0x53)))))
(func $told
  (if (global.get $role) (then (return)))
  (if (i32.eq (call $kind) (i32.const 1)) (then
    (global.set $starts (i64.add (global.get $starts) (i64.const 1)))
    (if (i32.eq (global.get $mode) (i32.const 8)) (then (drop (call $kill (global.get $helper)))))
    (return)))
  (if (i32.eq (call $kind) (i32.const 2)) (then (call $answer (i64.extend_i32_u (call $status))) (return)))
  (if (i32.eq (call $kind) (i32.const 3)) (then (call $answer (global.get $starts)) (return)))
  (if (i32.eq (call $kind) (i32.const 4)) (then
    (if (i32.eq (global.get $mode) (i32.const 6)) (then
      (call $answer (i64.extend_i32_s (call $kill (global.get $helper)))) (return)))
    ;; Time for a start that must not come.
    (if (i32.eq (global.get $mode) (i32.const 8)) (then (drop (call $timer (i64.const 50000000))) (return)))
    (call $answer (i64.load16_u (call $body))))))
