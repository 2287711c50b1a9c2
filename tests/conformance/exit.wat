;; `exit`: the end that an actor chooses.
;;
;; case 1: code 0 is `normal` -> exit normal 0 "done"
;; case 2: another code is `error` -> exit error 7 "broken"
;; case 3: the code may be negative -> exit error -1 ""
;; case 4: effects asked for before it leave -> 3, exit normal 0 "done"
;; case 5 (query): a query cannot end the actor -> status TRAPPED
;; case 6: a message that leaves memory -> fault "leaves the memory"
;; case 7: a message that is too long is cut -> exit error 1 4096
;; case 8: bytes that are not text are replaced -> exit error 1 "\u{fffd}!"
;; case 9: the call that waited is answered: DEAD -> status DEAD, exit normal 0 ""

(data (i32.const 1024) "donebroken\ff!")
(func $end (param $code i32) (param $at i32) (param $len i32) (result i64)
  (call $exit (local.get $code) (local.get $at) (local.get $len))
  (unreachable))

(func $case1 (result i64) (call $end (i32.const 0) (i32.const 1024) (i32.const 4)))
(func $case2 (result i64) (call $end (i32.const 7) (i32.const 1028) (i32.const 6)))
(func $case3 (result i64) (call $end (i32.const -1) (i32.const 0) (i32.const 0)))
(func $case4 (result i64) (call $answer (i64.const 3)) (call $end (i32.const 0) (i32.const 1024) (i32.const 4)))
(func $case5 (result i64) (call $end (i32.const 0) (i32.const 0) (i32.const 0)))
(func $case6 (result i64) (call $end (i32.const 0) (i32.const -1) (i32.const 2)))
(func $case7 (result i64)
  (memory.fill (i32.const 0x2800) (i32.const 0x61) (i32.const 5000))
  (call $end (i32.const 1) (i32.const 0x2800) (i32.const 5000)))
(func $case8 (result i64) (call $end (i32.const 1) (i32.const 1034) (i32.const 2)))
(func $case9 (result i64) (call $end (i32.const 0) (i32.const 0) (i32.const 0)))
