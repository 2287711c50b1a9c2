;; An inbox that is not in memory.
;;
;; case 1 (bare): the first event faults -> exit fault 0 ~"leaves the memory"

(memory (export "memory") 1)
(func (export "pando_inbox") (param $len i32) (result i32) (i32.const 65528))
(func (export "pando_receive") (param $len i32))
