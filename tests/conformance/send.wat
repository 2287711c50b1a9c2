;; `send`: a message without an answer.
;;
;; case 1: a message to oneself arrives with its body -> 104
;; case 2: a handle that may not send -> DENIED
;; case 3 (query): nothing leaves a query -> READ_ONLY
;; case 4: one effect too many -> LIMIT
;; case 5: bodies that come to too much -> LIMIT
;; case 6: a handle that was never given -> fault "does not hold"
;; case 7: a body that leaves memory -> fault "leaves the memory"
;; case 8: a body that is too long -> fault "1048577"
;; case 9: too many handles -> fault "17"
;; case 10: what cannot be delivered comes back: DEAD -> 1
;; case 11: a handle that may not be shared -> DENIED
;; case 12: a body of no bytes is not looked at, wherever it points -> 0
;; case 13: a reply handle is passed twice -> fault "twice"
;; case 14: a reply handle that is passed on moves, and its new holder answers -> 9
;; case 15: a reply handle that was passed on is not held any more -> fault "does not hold"
;; case 16+17 (resume): nothing leaves a handler that faulted -> status TRAPPED, 0
;; case 18: five letters arrive in the order in which they were sent -> 12345
;; case 19: handles that leave memory -> fault "leaves the memory"
;; case 20: a receiver without room for the handles that come along: FULL -> 2

(global $count (mut i64) (i64.const 0))
(data (i32.const 1024) "hi")

(func $to (param $handle i32) (result i64)
  (i64.extend_i32_s (call $send (local.get $handle) (i32.const 1024) (i32.const 2) (i32.const 0) (i32.const 0))))
;; To oneself, with so many of the handles at 128.
(func $with (param $handles i32) (result i64)
  (i64.extend_i32_s (call $send (i32.const 0) (i32.const 1024) (i32.const 2) (i32.const 128) (local.get $handles))))

(func $case1 (result i64) (drop (call $to (i32.const 0))) (global.get $later))
(func $case2 (result i64) (call $to (call $mine (i32.const 0x7e))))
(func $case3 (result i64) (call $to (i32.const 0)))
(func $case4 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (call $to (i32.const 0))) (global.get $later))
(func $case5 (result i64)
  (call $grow_to (i32.const 0x120000)) (call $remind)
  (loop $more
    (global.set $kept (i64.extend_i32_s
      (call $send (i32.const 0) (i32.const 0x10000) (i32.const 0x100000) (i32.const 0) (i32.const 0))))
    (global.set $count (i64.add (global.get $count) (i64.const 1)))
    (br_if $more (i64.lt_u (global.get $count) (i64.const 8))))
  (global.get $later))
(func $case6 (result i64) (call $to (i32.const 77)))
(func $case7 (result i64)
  (i64.extend_i32_s (call $send (i32.const 0) (i32.const 0xfffffff0) (i32.const 100) (i32.const 0) (i32.const 0))))
(func $case8 (result i64)
  (call $grow_to (i32.const 0x120000))
  (i64.extend_i32_s (call $send (i32.const 0) (i32.const 0) (i32.const 0x100001) (i32.const 0) (i32.const 0))))
(func $case9 (result i64) (call $with (i32.const 17)))
(func $case10 (result i64)
  (local $helper i32)
  (local.set $helper (call $helper (i32.const 1)))
  (drop (call $kill (local.get $helper)))
  (drop (call $to (local.get $helper)))
  (global.get $later))
(func $case11 (result i64)
  (i32.store (i32.const 128) (call $mine (i32.const 0x0f)))
  (call $with (i32.const 1)))
(func $case12 (result i64)
  (i64.extend_i32_s (call $send (i32.const 0) (i32.const -1) (i32.const 0) (i32.const -1) (i32.const 0))))
(func $case13 (result i64)
  (i32.store (i32.const 128) (global.get $asker))
  (i32.store (i32.const 132) (global.get $asker))
  (call $with (i32.const 2)))
(func $case14 (result i64)
  (i32.store (i32.const 128) (global.get $asker))
  (i32.store8 (i32.const 80) (i32.const 0x50))
  (drop (call $send (call $helper (i32.const 1)) (i32.const 80) (i32.const 1) (i32.const 128) (i32.const 1)))
  (global.get $later))
(func $case15 (result i64)
  (i32.store (i32.const 128) (global.get $asker))
  (drop (call $with (i32.const 1)))
  (i64.const 0))
(func $case16 (result i64) (drop (call $to (i32.const 0))) (unreachable))
(func $case17 (result i64) (global.get $count))
(func $case18 (result i64)
  (call $tell (i32.const 0) (i32.const 1))
  (call $tell (i32.const 0) (i32.const 2))
  (call $tell (i32.const 0) (i32.const 3))
  (call $tell (i32.const 0) (i32.const 4))
  (call $tell (i32.const 0) (i32.const 5))
  (global.get $later))
(func $case19 (result i64)
  (i64.extend_i32_s (call $send (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0xfffffffc) (i32.const 2))))

;; The helper fills its table first; what brings a handle is the second thing that it hears.
(func $case20 (result i64)
  (local $helper i32)
  (local.set $helper (call $helper (i32.const 1)))
  (call $tell (local.get $helper) (i32.const 0x46))
  (i32.store (i32.const 128) (i32.const 0))
  (drop (call $send (local.get $helper) (i32.const 1024) (i32.const 2) (i32.const 128) (i32.const 1)))
  (global.get $later))

(func $told
  (if (i32.eq (call $first) (i32.const 0x46)) (then (call $crowd (i32.const 1)) (return)))
  ;; The helper of case 14 answers with the handle that it was passed.
  (if (i32.eq (call $first) (i32.const 0x50)) (then
    (global.set $asker (call $handle (i32.const 0)))
    (call $answer (i64.const 9))
    (return)))
  (if (i32.eq (call $kind) (i32.const 6)) (then
    (call $answer (i64.extend_i32_u (call $status)))
    (return)))
  (if (i32.eq (call $first) (i32.const 104)) (then
    (global.set $count (i64.add (global.get $count) (i64.const 1)))
    (if (i32.ne (global.get $asker) (i32.const -1)) (then (call $answer (i64.const 104))))
    (return)))
  (if (i32.and (i32.ge_u (call $first) (i32.const 1)) (i32.le_u (call $first) (i32.const 5))) (then
    (global.set $count (i64.add (i64.mul (global.get $count) (i64.const 10)) (i64.extend_i32_u (call $first))))
    (if (i32.eq (call $first) (i32.const 5)) (then (call $answer (global.get $count)))))))
