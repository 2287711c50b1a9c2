;; A module that changes a table while it runs: a plain actor that cannot be put aside and brought back.
;;
;; case 1: it handles messages -> 5
;; case 2 (query): it answers no queries, for it could not forget them -> status REFUSED
;; case 3 (resume): it cannot resume: `bad-module` -> exit bad-module

(table $t 1 funcref)
(func $never (table.set $t (i32.const 0) (ref.null func)))

(func $case1 (result i64) (i64.const 5))
(func $case2 (result i64) (i64.const 5))
(func $case3 (result i64) (i64.const 5))
