;; An inbox that is not 8-aligned.
;;
;; case 1 (bare): the first event faults -> exit fault 0 ~"not a multiple of 8"

(memory (export "memory") 1)
(func (export "pando_inbox") (param $len i32) (result i32) (i32.const 1028))
(func (export "pando_receive") (param $len i32))
