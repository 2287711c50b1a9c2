;; Events: what lies at the inbox, byte by byte.
;;
;; case 1: a message has its kind, no status and no token -> 1
;; case 2: a case's flags are none -> 0
;; case 3 (query): a query's flags say so -> 1
;; case 4: the body lies at 48 if no handle comes along -> 48
;; case 5: one handle moves the body to 56, and zeros are between -> 56
;; case 6: two handles leave it there -> 56
;; case 7: sixteen handles and a body of a megabyte arrive whole -> 1048576
;; case 8: a reply handle is there in a call, none in a send -> 1
;; case 9: `pando_inbox` is asked only when an event does not fit -> 1
;; case 10+11 (query): what a query changes is forgotten -> 7, 0
;; case 12+13: what a handler changes stays -> 7, 7

(global $asked (mut i64) (i64.const 0))
(global $mode (mut i32) (i32.const 0))
(global $state (mut i64) (i64.const 0))

(func $case1 (result i64)
  (i64.extend_i32_u (i32.and (i32.eq (call $kind) (i32.const 1))
    (i32.and (i32.eqz (call $status)) (i64.eqz (call $token))))))
(func $case2 (result i64) (i64.extend_i32_u (call $flags)))
(func $case3 (result i64) (i64.extend_i32_u (call $flags)))
(func $case4 (result i64) (i64.extend_i32_u (i32.sub (call $body) (i32.const 8192))))
(func $case5 (result i64) (call $send_with (i32.const 1) (i32.const 1)))
(func $case6 (result i64) (call $send_with (i32.const 2) (i32.const 1)))
(func $case7 (result i64) (call $grow_to (i32.const 0x120000)) (call $send_with (i32.const 16) (i32.const 0x100000)))
(func $case8 (result i64) (call $send_with (i32.const 0) (i32.const 1)))
;; Two letters of the same size: the second finds room.
(func $case9 (result i64)
  (global.set $mode (i32.const 9))
  (call $tell (i32.const 0) (i32.const 0x31)) (call $tell (i32.const 0) (i32.const 0x32)) (global.get $later))
(func $case10 (result i64) (global.set $state (i64.const 7)) (i64.store (i32.const 4096) (i64.const 7)) (global.get $state))
(func $case11 (result i64) (i64.or (global.get $state) (i64.load (i32.const 4096))))
(func $case12 (result i64) (global.set $state (i64.const 7)) (i64.store (i32.const 4096) (i64.const 7)) (global.get $state))
(func $case13 (result i64) (i64.and (global.get $state) (i64.load (i32.const 4096))))

;; To oneself: so many handles to oneself, and so many bytes of 0xEE from 0x10000 or 4096 on.
(func $send_with (param $handles i32) (param $bytes i32) (result i64)
  (local $from i32)
  (local.set $from (select (i32.const 0x10000) (i32.const 4096) (i32.gt_u (local.get $bytes) (i32.const 1))))
  (memory.fill (local.get $from) (i32.const 0xEE) (local.get $bytes))
  ;; The sixteen handles at 128 are zero: oneself.
  (drop (call $send (i32.const 0) (local.get $from) (local.get $bytes) (i32.const 128) (local.get $handles)))
  (global.get $later))

(func $told
  (if (i32.ne (call $kind) (i32.const 1)) (then (return)))
  (if (i32.eq (global.get $mode) (i32.const 9)) (then
    ;; $state is the inbox's room when the first letter came; the prelude's inbox never moves, so sizes are compared.
    (if (i32.eq (call $first) (i32.const 0x31)) (then (global.set $state (i64.extend_i32_u (memory.size)))))
    (if (i32.eq (call $first) (i32.const 0x32)) (then
      (call $answer (i64.extend_i32_u (i64.eq (global.get $state) (i64.extend_i32_u (memory.size)))))))
    (return)))
  (if (i32.ne (call $first) (i32.const 0xEE)) (then (return)))
  (if (i32.eqz (call $handle_count)) (then
    (call $answer (i64.extend_i32_u (i32.eq (call $reply_handle) (i32.const -1)))) (return)))
  (if (i32.eq (call $handle_count) (i32.const 1)) (then
    ;; Four bytes of zeros after the one handle.
    (if (i32.load (i32.const 8244)) (then (unreachable)))))
  (if (i32.eqz (call $handle_same (call $handle (i32.sub (call $handle_count) (i32.const 1))) (i32.const 0))) (then (unreachable)))
  (if (i32.eq (call $handle_count) (i32.const 16)) (then
    (if (i32.ne (i32.load8_u (i32.add (call $body) (i32.sub (call $body_len) (i32.const 1)))) (i32.const 0xEE)) (then (unreachable)))
    (call $answer (i64.extend_i32_u (call $body_len))) (return)))
  (call $answer (i64.extend_i32_u (i32.sub (call $body) (i32.const 8192)))))
