;; A call to the kernel from within the start function.
;;
;; case 1 (bare): the first event faults -> exit fault 0 ~"a start function"

(import "pando_1" "now" (func $now (result i64)))
(memory (export "memory") 1)
(func $begin (drop (call $now)))
(start $begin)
(func (export "pando_inbox") (param $len i32) (result i32) (i32.const 1024))
(func (export "pando_receive") (param $len i32))
