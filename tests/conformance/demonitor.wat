;; `demonitor`: a monitor taken back.
;;
;; case 1: no `down` comes any more -> 0
;; case 2: a monitor that has told already -> 0
;; case 3 (query): a query takes nothing back -> READ_ONLY
;; case 4: one effect too many -> LIMIT
;; case 5: an id that was never given -> fault "never given"
;; case 6: a `down` that waits already does not come any more -> 1

(global $helper (mut i32) (i32.const 0))
(global $mode (mut i32) (i32.const 0))
(global $id (mut i64) (i64.const 0))
(global $downs (mut i64) (i64.const 0))

(func $take (param $id i64) (result i64) (i64.extend_i32_s (call $demonitor (local.get $id))))
(func $watch
  (global.set $helper (call $helper (i32.const 1)))
  (global.set $id (call $monitor (global.get $helper))))

;; Time for a `down` that must not come.
(func $case1 (result i64)
  (call $watch)
  (if (i64.ne (call $take (global.get $id)) (i64.const 0)) (then (unreachable)))
  (call $tell (global.get $helper) (i32.const 0x45))
  (drop (call $timer (i64.const 50000000)))
  (global.get $later))
(func $case2 (result i64) (global.set $mode (i32.const 2)) (call $watch) (call $tell (global.get $helper) (i32.const 0x45)) (global.get $later))
(func $case3 (result i64) (call $take (global.get $id)))
(func $case4 (result i64)
  (call $watch) (call $remind) (call $fill (i32.const 16381))
  (global.set $kept (call $take (global.get $id))) (global.get $later))
(func $case5 (result i64) (call $take (i64.const 99)))
;; Two monitors on one target; the first `down` takes the other back, which has come at the same time.
(func $case6 (result i64)
  (global.set $mode (i32.const 6))
  (call $watch)
  (global.set $id (call $monitor (global.get $helper)))
  (call $tell (global.get $helper) (i32.const 0x45))
  (global.get $later))

;; For case 3.
(func $born (if (i32.eqz (global.get $role)) (then (global.set $id (call $monitor (i32.const 0))))))
(func $told
  (if (global.get $role) (then
    (if (i32.eq (call $first) (i32.const 0x45)) (then (call $exit (i32.const 1) (i32.const 0) (i32.const 0))))
    (return)))
  (if (i32.eq (call $kind) (i32.const 3)) (then (call $answer (global.get $downs)) (return)))
  (if (i32.ne (call $kind) (i32.const 4)) (then (return)))
  (global.set $downs (i64.add (global.get $downs) (i64.const 1)))
  (if (i32.eq (global.get $mode) (i32.const 2)) (then (call $answer (call $take (global.get $id)))))
  (if (i32.eq (global.get $mode) (i32.const 6)) (then
    (if (i64.eq (call $token) (global.get $id)) (then (global.set $id (i64.sub (global.get $id) (i64.const 1)))))
    (drop (call $take (global.get $id)))
    (drop (call $timer (i64.const 50000000))))))
