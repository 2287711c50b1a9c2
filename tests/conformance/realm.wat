;; The realm service: names, nodes and modules, by messages through handle 2.
;;
;; case 1 (node): a name that nobody has: NOT_FOUND -> 13
;; case 2 (node): a name is given, and found: the same actor -> 1
;; case 3 (node): a name that somebody else has: EXISTS -> 14
;; case 4 (node): a name that is given up is not found any more: NOT_FOUND -> 13
;; case 5 (node): a module that nobody put: NO_MODULE -> 7
;; case 6 (node): a method that there is not: BAD_REQUEST -> 15
;; case 7 (node): a request that is not CBOR: BAD_REQUEST -> 15
;; case 8 (node): there is one node, and it is the first -> 385
;; case 9 (node): somebody else's name is not given up: DENIED -> 6
;; case 10 (node): the same name for the same actor again is no error -> 0
;; case 11 (node): a name that cannot be one: BAD_REQUEST -> 15

(global $step (mut i32) (i32.const 0))
(global $mode (mut i32) (i32.const 0))

;; Requests, each a length and then CBOR.
(data (i32.const 1024) "\19\82\66lookup\70conformance/none")          ;; ["lookup", "conformance/none"]
(data (i32.const 1088) "\1b\83\68register\6fconformance/one\00")        ;; ["register", "conformance/one", 0]
(data (i32.const 1152) "\18\82\66lookup\6fconformance/one")            ;; ["lookup", "conformance/one"]
(data (i32.const 1216) "\1c\82\6aunregister\6fconformance/one")        ;; ["unregister", "conformance/one"]
(data (i32.const 1280) "\19\82\66module\70conformance/none")          ;; ["module", "conformance/none"]
(data (i32.const 1344) "\07\81\65fetch")                               ;; ["fetch"]
(data (i32.const 1408) "\02\ff\ff")
(data (i32.const 1472) "\07\81\65nodes")                               ;; ["nodes"]
(data (i32.const 1536) "\10\83\68register\64no !\00")                  ;; ["register", "no !", 0]

;; Calls the realm with the request there, and the handle at 128 if it is a registration.
(func $request (param $at i32) (param $handles i32)
  (drop (call $call (i32.const 2) (i32.add (local.get $at) (i32.const 1)) (i32.load8_u (local.get $at))
    (i32.const 128) (local.get $handles) (i64.const 20000000000) (i32.const 0))))
(func $just (param $at i32) (result i64) (call $request (local.get $at) (i32.const 0)) (global.get $later))
(func $register (call $request (i32.const 1088) (i32.const 1)))
;; Each mode has a name of its own: the last letter of each request.
(func $mode_of (param $mode i32) (result i64)
  (local $letter i32)
  (local.set $letter (i32.add (i32.const 0x61) (local.get $mode)))
  (i32.store8 (i32.const 1114) (local.get $letter))
  (i32.store8 (i32.const 1176) (local.get $letter))
  (i32.store8 (i32.const 1244) (local.get $letter))
  (global.set $mode (local.get $mode)) (call $register) (global.get $later))

(func $case1 (result i64) (call $just (i32.const 1024)))
(func $case2 (result i64) (call $mode_of (i32.const 2)))
(func $case3 (result i64) (call $mode_of (i32.const 3)))
(func $case4 (result i64) (call $mode_of (i32.const 4)))
(func $case5 (result i64) (call $just (i32.const 1280)))
(func $case6 (result i64) (call $just (i32.const 1344)))
(func $case7 (result i64) (call $just (i32.const 1408)))
(func $case8 (result i64) (global.set $mode (i32.const 8)) (call $just (i32.const 1472)))
(func $case9 (result i64)
  (i32.store (i32.const 128) (call $helper (i32.const 1)))
  (call $mode_of (i32.const 9)))
(func $case10 (result i64) (call $mode_of (i32.const 10)))
(func $case11 (result i64) (call $request (i32.const 1536) (i32.const 1)) (global.get $later))

;; After the first answer of a case with a mode, the second request; after the second, perhaps a third.
(func $told
  (if (i32.ne (call $kind) (i32.const 2)) (then (return)))
  (if (i32.and (i32.ne (global.get $mode) (i32.const 0)) (i32.ne (global.get $mode) (i32.const 8))) (then
    (global.set $step (i32.add (global.get $step) (i32.const 1)))
    (if (i32.eq (global.get $step) (i32.const 1)) (then
      (if (call $status) (then (call $answer (i64.sub (i64.const -1000) (i64.extend_i32_u (call $status)))) (return)))
      (if (i32.eq (global.get $mode) (i32.const 2)) (then (call $request (i32.const 1152) (i32.const 0))))
      (if (i32.eq (global.get $mode) (i32.const 3)) (then
        (i32.store (i32.const 128) (call $helper (i32.const 1))) (call $register)))
      (if (i32.or (i32.eq (global.get $mode) (i32.const 4)) (i32.eq (global.get $mode) (i32.const 9))) (then
        (call $request (i32.const 1216) (i32.const 0))))
      (if (i32.eq (global.get $mode) (i32.const 10)) (then (call $register)))
      (return)))
    (if (i32.and (i32.eq (global.get $mode) (i32.const 4)) (i32.eq (global.get $step) (i32.const 2))) (then
      (call $request (i32.const 1152) (i32.const 0)) (return)))
    (if (i32.eq (global.get $mode) (i32.const 2)) (then
      (call $answer (i64.extend_i32_u (call $handle_same (call $handle (i32.const 0)) (i32.const 0)))) (return)))))
  (if (i32.eq (global.get $mode) (i32.const 8)) (then (call $answer (i64.load16_u (call $body))) (return)))
  (call $answer (i64.extend_i32_u (call $status))))
