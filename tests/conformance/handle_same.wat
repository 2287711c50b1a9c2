;; `handle_same`: do two handles reach the same actor?
;;
;; case 1: oneself and a copy of it -> 1
;; case 2: oneself and the parent -> 0
;; case 3: two children -> 0
;; case 4: a reply handle is the same only as itself -> 10
;; case 5: a handle that was never given -> fault "does not hold"
;; case 6 (query): a query may ask -> 1

(func $same (param $a i32) (param $b i32) (result i64) (i64.extend_i32_u (call $handle_same (local.get $a) (local.get $b))))

(func $case1 (result i64) (call $same (i32.const 0) (call $mine (i32.const 0))))
(func $case2 (result i64) (call $same (i32.const 0) (i32.const 1)))
(func $case3 (result i64) (call $same (call $helper (i32.const 1)) (call $helper (i32.const 1))))
(func $case4 (result i64)
  (i64.add (i64.mul (call $same (global.get $asker) (global.get $asker)) (i64.const 10)) (call $same (global.get $asker) (i32.const 0))))
(func $case5 (result i64) (call $same (i32.const 0) (i32.const 77)))
(func $case6 (result i64) (call $same (i32.const 0) (i32.const 0)))
