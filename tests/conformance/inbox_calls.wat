;; A call to the kernel from within `pando_inbox`.
;;
;; case 1 (bare): the first event faults -> exit fault 0 ~"within `pando_inbox`"

(import "pando_1" "now" (func $now (result i64)))
(memory (export "memory") 1)
(func (export "pando_inbox") (param $len i32) (result i32) (drop (call $now)) (i32.const 1024))
(func (export "pando_receive") (param $len i32))
