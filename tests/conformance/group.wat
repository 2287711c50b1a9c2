;; Groups: what differs for a guest whose events are a log.
;;
;; case 1 (group): its events say so -> 8
;; case 2 (group): no handle tells a node -> 0
;; case 3 (group): a handler that uses up its fuel: `cpu-limit` -> 3
;; case 4+5 (group, resume): a fault is undone, and the group goes on -> status TRAPPED, 0
;; case 6 (group): a timer comes, with its id -> 1
;; case 7 (group): a child that names no node is a group too -> 1
;; case 8 (group, query): a query is answered, and says that it is one -> 9
;; case 9 (group): NaN bits are canonical -> 9221120237041090560
;; case 10 (group): a call to a group is answered, with its token -> 1
;; case 11 (group): a group that faults and does not resume ends -> fault "unreachable"
;; case 12 (group): a group calls itself, and is answered once -> 1

(global $state (mut i64) (i64.const 0))
(global $id (mut i64) (i64.const 0))
(global $zero (mut f64) (f64.const 0))
(global $mode (mut i32) (i32.const 0))

(func $case1 (result i64) (i64.extend_i32_u (call $flags)))
(func $case2 (result i64) (drop (call $handle_stat (i32.const 0) (i32.const 4096))) (i64.load32_u (i32.const 4112)))
;; A million units of fuel.
(func $case3 (result i64)
  (local $helper i32)
  (i32.store (i32.const 292) (i32.const 1))
  (local.set $helper (call $helper (i32.const 1)))
  (drop (call $monitor (local.get $helper)))
  (call $tell (local.get $helper) (i32.const 0x4C))
  (global.get $later))
(func $case4 (result i64) (global.set $state (i64.const 7)) (i64.store (i32.const 4096) (i64.const 7)) (unreachable))
(func $case5 (result i64) (i64.or (global.get $state) (i64.load (i32.const 4096))))
(func $case6 (result i64) (global.set $id (call $timer (i64.const 1000000))) (global.get $later))
(func $case7 (result i64) (drop (call $handle_stat (call $helper (i32.const 1)) (i32.const 4096))) (i64.load32_u (i32.const 4096)))
(func $case8 (result i64) (i64.add (i64.extend_i32_u (call $flags)) (global.get $state)))
(func $case9 (result i64) (i64.reinterpret_f64 (f64.div (global.get $zero) (global.get $zero))))
(func $case10 (result i64) (global.set $id (call $ask (call $helper (i32.const 1)) (i32.const 0x41))) (global.get $later))
(func $case11 (result i64) (unreachable))
(func $case12 (result i64) (global.set $id (call $ask (i32.const 0) (i32.const 0x42))) (global.get $later))

(func $told
  (if (i32.eq (call $first) (i32.const 0x4C)) (then (loop $for_ever (br $for_ever))))
  (if (i32.and (i32.eq (call $kind) (i32.const 1)) (i32.ne (call $reply_handle) (i32.const -1))) (then
    (drop (call $reply (call $reply_handle) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    (return)))
  (if (i32.eq (call $kind) (i32.const 4)) (then (call $answer (i64.load16_u (call $body))) (return)))
  (if (i32.or (i32.eq (call $kind) (i32.const 2)) (i32.eq (call $kind) (i32.const 3))) (then
    (call $answer (i64.extend_i32_u (i64.eq (call $token) (global.get $id)))))))
