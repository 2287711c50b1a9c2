;; Faults: what a guest can do wrong without a call.
;;
;; case 1: `unreachable` -> fault "unreachable"
;; case 2: a division by zero -> fault "divided by zero"
;; case 3: a load outside of memory -> fault "outside of the memory"
;; case 4: a recursion without an end -> fault "stack"
;; case 5: an indirect call to nothing -> fault "indirect call"
;; case 6: an indirect call to a function of another type -> fault "another type"
;; case 7: a float that is no integer -> fault "float"
;; case 8: a division that overflows -> fault "overflowed"
;; case 9: the backtrace has the functions' names -> fault "named_in_the_backtrace"
;; case 10 (query): a fault in a query ends nobody -> status TRAPPED
;; case 11+12 (resume): a fault is undone, and the actor goes on -> status TRAPPED, 0
;; case 13: what a faulting handler was asked by others waits no longer: DEAD -> fault "unreachable"
;; case 14: memory that grew in a faulting handler -> fault "unreachable"
;; case 15+16 (resume): memory that grew in a faulting handler is as small again -> status TRAPPED, 1
;; case 17+18 (resume): handles that a faulting handler made are gone -> status TRAPPED, 1
;; case 19: a loop without an end -> status TRAPPED, exit cpu-limit
;; case 20: more memory than the actor may have is refused, not faulted -> -1

(table 2 funcref)
(elem (i32.const 0) $case1)
(type $other (func (param i32)))
(global $state (mut i64) (i64.const 0))
(global $handle (mut i32) (i32.const 0))

(func $case1 (result i64) (unreachable))
(func $case2 (result i64) (i64.div_s (i64.const 1) (global.get $state)))
(func $case3 (result i64) (i64.load (i32.const -8)))
(func $case4 (result i64) (call $deeper (i64.const 0)))
(func $deeper (param $n i64) (result i64) (i64.add (call $deeper (i64.add (local.get $n) (i64.const 1))) (i64.const 1)))
(func $case5 (result i64) (call_indirect (result i64) (i32.const 1)))
(func $case6 (result i64) (call_indirect (type $other) (i32.const 0) (i32.const 0)) (i64.const 0))
(func $case7 (result i64) (i64.trunc_f64_s (f64.div (f64.const 0) (f64.const 0))))
(func $case8 (result i64) (i64.div_s (i64.const 0x8000000000000000) (i64.sub (global.get $state) (i64.const 1))))
(func $case9 (result i64) (call $named_in_the_backtrace))
(func $named_in_the_backtrace (result i64) (unreachable))
(func $case10 (result i64) (unreachable))
(func $case11 (result i64) (global.set $state (i64.const 7)) (i64.store (i32.const 4096) (i64.const 7)) (unreachable))
(func $case12 (result i64) (i64.or (global.get $state) (i64.load (i32.const 4096))))
;; A letter of one's own waits when the handler faults; nobody is there to hear of it, and nothing hangs.
(func $case13 (result i64) (call $tell (i32.const 0) (i32.const 1)) (drop (call $ask (i32.const 0) (i32.const 1))) (unreachable))
(func $case14 (result i64) (drop (memory.grow (i32.const 3))) (unreachable))
(func $case15 (result i64) (drop (memory.grow (i32.const 3))) (unreachable))
(func $case16 (result i64) (i64.extend_i32_u (memory.size)))
(func $case17 (result i64) (global.set $handle (call $mine (i32.const 1))) (drop (call $helper (i32.const 1))) (unreachable))
;; The next handle is the one that was taken back; the first copy ever made has slot 3 or 4.
(func $case18 (result i64)
  (local $a i32) (local $b i32)
  (local.set $a (call $mine (i32.const 1)))
  (drop (call $handle_drop (local.get $a)))
  (local.set $b (call $mine (i32.const 1)))
  (i64.extend_i32_u (i32.eq (i32.and (local.get $a) (i32.const 0xfffff)) (i32.and (local.get $b) (i32.const 0xfffff)))))
(func $case19 (result i64) (loop $for_ever (br $for_ever)) (unreachable))
(func $case20 (result i64) (i64.extend_i32_s (memory.grow (i32.const 1024))))
