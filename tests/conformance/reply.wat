;; `reply`: the answer to a call, once.
;;
;; case 1: the answer is what was replied -> 42
;; case 2: a handle that may not be shared, passed along -> DENIED
;; case 3: one effect too many; the reply handle is still there -> LIMIT
;; case 4: a handle that is not a reply handle -> fault "not a reply handle"
;; case 5: a status that no table has -> fault "status 99"
;; case 6: a negative status -> fault "status -8"
;; case 7: a reply handle works once -> fault "does not hold"
;; case 8: its own handle passed along -> fault "its own reply handle"
;; case 9 (query): a query answers, and that is all -> 42
;; case 10 (query): a query answers nobody but its asker -> READ_ONLY
;; case 11: a body that leaves memory -> fault "leaves the memory"
;; case 12: a reply handle is kept, and used in a later event -> 43
;; case 13: a handle that was never given -> fault "does not hold"
;; case 31: a status of the replier's choosing -> status DEAD
;; case 32: a status of the replier's choosing -> status FULL
;; case 33: a status of the replier's choosing -> status TIMEOUT
;; case 34: a status of the replier's choosing -> status UNREACHABLE
;; case 35: a status of the replier's choosing -> status REVOKED
;; case 36: a status of the replier's choosing -> status DENIED
;; case 37: a status of the replier's choosing -> status NO_MODULE
;; case 38: a status of the replier's choosing -> status LIMIT
;; case 39: a status of the replier's choosing -> status NO_QUORUM
;; case 40: a status of the replier's choosing -> status NO_REPLY
;; case 41: a status of the replier's choosing -> status TRAPPED
;; case 42: a status of the replier's choosing -> status READ_ONLY
;; case 43: a status of the replier's choosing -> status NOT_FOUND
;; case 44: a status of the replier's choosing -> status EXISTS
;; case 45: a status of the replier's choosing -> status BAD_REQUEST
;; case 46: a status of the replier's choosing -> status REFUSED
;; case 47: a status of the replier's choosing -> status APPLICATION
;; case 48: a status of the replier's choosing -> status INTERNAL
;; case 49: a status of the replier's choosing -> status UPGRADED

(global $other (mut i32) (i32.const -1))

;; Replies to the case with these; the result is the call's.
(func $say (param $status i32) (param $handles i32) (result i64)
  (i64.extend_i32_s (call $reply (global.get $asker) (local.get $status) (i32.const 64) (i32.const 8)
    (i32.const 128) (local.get $handles))))
(func $status_of (param $status i32) (result i64)
  (drop (call $say (local.get $status) (i32.const 0)))
  (global.get $later))

(func $case1 (result i64) (i64.const 42))
(func $case2 (result i64) (i32.store (i32.const 128) (call $mine (i32.const 0x0f))) (call $say (i32.const 0) (i32.const 1)))
(func $case3 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (call $say (i32.const 0) (i32.const 0))) (global.get $later))
(func $case4 (result i64)
  (i64.extend_i32_s (call $reply (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 8) (i32.const 0) (i32.const 0))))
(func $case5 (result i64) (call $say (i32.const 99) (i32.const 0)))
(func $case6 (result i64) (call $say (i32.const -8) (i32.const 0)))
(func $case7 (result i64) (drop (call $say (i32.const 0) (i32.const 0))) (call $say (i32.const 0) (i32.const 0)))
(func $case8 (result i64) (i32.store (i32.const 128) (global.get $asker)) (call $say (i32.const 0) (i32.const 1)))
(func $case9 (result i64) (i64.const 42))
;; A call of a helper was kept; the query tries to answer it.
(func $case10 (result i64)
  (i64.extend_i32_s (call $reply (global.get $other) (i32.const 0) (i32.const 64) (i32.const 8) (i32.const 0) (i32.const 0))))
(func $case11 (result i64)
  (i64.extend_i32_s (call $reply (global.get $asker) (i32.const 0) (i32.const -8) (i32.const 16) (i32.const 0) (i32.const 0))))
(func $case12 (result i64) (call $tell (i32.const 0) (i32.const 0x4C)) (global.get $later))
(func $case13 (result i64)
  (i64.extend_i32_s (call $reply (i32.const -1) (i32.const 0) (i32.const 64) (i32.const 8) (i32.const 0) (i32.const 0))))
(func $case31 (result i64) (call $status_of (i32.const 1)))
(func $case32 (result i64) (call $status_of (i32.const 2)))
(func $case33 (result i64) (call $status_of (i32.const 3)))
(func $case34 (result i64) (call $status_of (i32.const 4)))
(func $case35 (result i64) (call $status_of (i32.const 5)))
(func $case36 (result i64) (call $status_of (i32.const 6)))
(func $case37 (result i64) (call $status_of (i32.const 7)))
(func $case38 (result i64) (call $status_of (i32.const 8)))
(func $case39 (result i64) (call $status_of (i32.const 9)))
(func $case40 (result i64) (call $status_of (i32.const 10)))
(func $case41 (result i64) (call $status_of (i32.const 11)))
(func $case42 (result i64) (call $status_of (i32.const 12)))
(func $case43 (result i64) (call $status_of (i32.const 13)))
(func $case44 (result i64) (call $status_of (i32.const 14)))
(func $case45 (result i64) (call $status_of (i32.const 15)))
(func $case46 (result i64) (call $status_of (i32.const 16)))
(func $case47 (result i64) (call $status_of (i32.const 17)))
(func $case48 (result i64) (call $status_of (i32.const 18)))
(func $case49 (result i64) (call $status_of (i32.const 19)))

;; For case 10: oneself asks, and the handle is kept.
(func $born (drop (call $ask (i32.const 0) (i32.const 0x4D))))
(func $told
  (if (i32.and (i32.eq (call $kind) (i32.const 1)) (i32.eq (call $first) (i32.const 0x4C))) (then (call $answer (i64.const 43))))
  (if (i32.and (i32.eq (call $kind) (i32.const 1)) (i32.eq (call $first) (i32.const 0x4D))) (then
    (global.set $other (call $reply_handle)))))
