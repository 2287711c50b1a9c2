;; Restarts: what a supervisor does with an end.
;;
;; case 1+2 (on-failure, node): a fault starts it again, with fresh memory at the same address -> status TRAPPED, 0
;; case 3+2 (on-failure, node): so does an error -> status DEAD, 0
;; case 4 (on-failure, node): a normal end does not -> exit normal 0
;; case 5+2 (always, node): with `always` it does -> status DEAD, 0
;; case 1+6 (on-failure, node): the start says that it is one of several -> status TRAPPED, 4
;; case 7+2 (resume, node): an error ends an actor that would resume a fault -> exit error 3
;; case 8 (on-failure, node): what waited is heard by the new life -> 5
;; case 1+9 (on-failure, node): the start brings the same arguments -> status TRAPPED, 1
;; case 1+1+1+1 (on-failure, node): no more than three in five seconds -> status TRAPPED, status TRAPPED, status TRAPPED, fault "unreachable"

(global $state (mut i64) (i64.const 0))
(global $start_flags (mut i32) (i32.const 0))
(global $start_len (mut i32) (i32.const 0))

(func $case1 (result i64) (global.set $state (i64.const 7)) (unreachable))
(func $case2 (result i64) (global.get $state))
(func $case3 (result i64) (global.set $state (i64.const 7)) (call $exit (i32.const 3) (i32.const 0) (i32.const 0)) (unreachable))
(func $case4 (result i64) (call $exit (i32.const 0) (i32.const 0) (i32.const 0)) (unreachable))
(func $case5 (result i64) (global.set $state (i64.const 7)) (call $exit (i32.const 0) (i32.const 0) (i32.const 0)) (unreachable))
(func $case6 (result i64) (i64.extend_i32_u (global.get $start_flags)))
(func $case7 (result i64) (call $exit (i32.const 3) (i32.const 0) (i32.const 0)) (unreachable))
;; The helper, which restarts, is told to fail and then called.
(func $case8 (result i64)
  (local $helper i32)
  (i32.store8 (i32.const 306) (i32.const 1))
  (local.set $helper (call $helper (i32.const 1)))
  (call $tell (local.get $helper) (i32.const 0x54))
  (drop (call $ask (local.get $helper) (i32.const 0x41)))
  (global.get $later))
(func $case9 (result i64) (i64.extend_i32_u (global.get $start_len)))

(func $born
  (global.set $start_flags (call $flags))
  (global.set $start_len (call $body_len)))
(func $told
  (if (i32.eq (call $kind) (i32.const 2)) (then
    (call $answer (select (i64.const 5) (i64.extend_i32_u (call $status)) (i32.eqz (call $status)))) (return)))
  (if (i32.eq (call $first) (i32.const 0x54)) (then (unreachable)))
  (if (i32.eq (call $first) (i32.const 0x41)) (then
    (global.set $asker (call $reply_handle)) (call $answer (i64.const 0)))))
