;; `call`: a message with an answer, and what can come instead of one.
;;
;; case 1: the answer comes with the token of its call -> 1
;; case 2: a handle that may not send -> DENIED
;; case 3 (query): a query calls nobody -> READ_ONLY
;; case 4: one effect too many -> LIMIT
;; case 5: one call too many that waits -> LIMIT
;; case 6: a handle that was never given -> fault "does not hold"
;; case 7: a deadline before now -> fault "nanoseconds"
;; case 8: a deadline beyond ten years -> fault "nanoseconds"
;; case 9: a flag that nobody knows -> fault "flags"
;; case 10: `final` without `query` -> fault "flags"
;; case 11: the receiver has ended: DEAD -> 1
;; case 12: nobody answers in time: TIMEOUT -> 3
;; case 13: the receiver lets the reply handle go: NO_REPLY -> 10
;; case 14: the receiver faults: TRAPPED -> 11
;; case 15: the receiver's own words: APPLICATION -> 17
;; case 16: the way to the receiver was taken back: REVOKED -> 5
;; case 17: the receiver has no room for the handles that come along: FULL -> 2
;; case 18: the receiver ends while the call waits: DEAD -> 1
;; case 19: a query is marked as one, and its changes are forgotten -> 0
;; case 20: an answer brings handles -> 7
;; case 21: tokens are positive and differ -> 1
;; case 22: a handle that may not be shared -> DENIED
;; case 23: an answer after the deadline is lost -> 3
;; case 24: more waits at the receiver than fits: FULL -> 2
;; case 25: a call to a reply handle -> DENIED

(global $token (mut i64) (i64.const 0))
(global $mode (mut i32) (i32.const 0))
(global $helper (mut i32) (i32.const 0))
(global $saved (mut i32) (i32.const 0))
(global $answers (mut i64) (i64.const 0))

;; Calls a helper with this letter; whatever status comes back is the case's answer.
(func $helped (param $letter i32) (param $deadline i64) (param $flags i32) (result i64)
  (local $result i64)
  (global.set $helper (call $helper (i32.const 1)))
  (i32.store8 (i32.const 80) (local.get $letter))
  (local.set $result (call $call (global.get $helper) (i32.const 80) (i32.const 1) (i32.const 0) (i32.const 0)
    (local.get $deadline) (local.get $flags)))
  (global.set $token (local.get $result))
  (global.get $later))
;; Calls oneself with these.
(func $self_call (param $deadline i64) (param $flags i32) (result i64)
  (call $call (i32.const 0) (i32.const 80) (i32.const 1) (i32.const 0) (i32.const 0) (local.get $deadline) (local.get $flags)))

(func $case1 (result i64) (global.set $mode (i32.const 1)) (call $helped (i32.const 0x41) (i64.const 0) (i32.const 0)))
(func $case2 (result i64) (call $ask (call $mine (i32.const 0x7e)) (i32.const 1)))
(func $case3 (result i64) (call $ask (i32.const 0) (i32.const 1)))
(func $case4 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (call $ask (i32.const 0) (i32.const 1))) (global.get $later))
;; The helper never answers.
(func $case5 (result i64)
  (local $count i32)
  (global.set $helper (call $helper (i32.const 1)))
  (local.set $count (i32.const 4096))
  (loop $more
    (if (i64.lt_s (call $ask (global.get $helper) (i32.const 0x57)) (i64.const 0)) (then (unreachable)))
    (br_if $more (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
  (call $ask (global.get $helper) (i32.const 0x57)))
(func $case6 (result i64) (call $ask (i32.const 77) (i32.const 1)))
(func $case7 (result i64) (call $self_call (i64.const -1) (i32.const 0)))
(func $case8 (result i64) (call $self_call (i64.const 315360000000000001) (i32.const 0)))
(func $case9 (result i64) (call $self_call (i64.const 0) (i32.const 4)))
(func $case10 (result i64) (call $self_call (i64.const 0) (i32.const 2)))
(func $case11 (result i64)
  (global.set $helper (call $helper (i32.const 1)))
  (drop (call $kill (global.get $helper)))
  (drop (call $ask (global.get $helper) (i32.const 0x41)))
  (global.get $later))
(func $case12 (result i64) (call $helped (i32.const 0x57) (i64.const 2000000) (i32.const 0)))
(func $case13 (result i64) (call $helped (i32.const 0x44) (i64.const 0) (i32.const 0)))
(func $case14 (result i64) (call $helped (i32.const 0x54) (i64.const 0) (i32.const 0)))
(func $case15 (result i64) (call $helped (i32.const 0x45) (i64.const 0) (i32.const 0)))
(func $case16 (result i64)
  (local $copy i32)
  (local.set $copy (call $mine (i32.const 0x7f)))
  (drop (call $handle_revoke (local.get $copy)))
  (drop (call $ask (local.get $copy) (i32.const 1)))
  (global.get $later))
;; The helper fills its table first; the call with a handle is the second thing that it hears.
(func $case17 (result i64)
  (global.set $helper (call $helper (i32.const 1)))
  (call $tell (global.get $helper) (i32.const 0x46))
  (i32.store (i32.const 128) (i32.const 0))
  (drop (call $call (global.get $helper) (i32.const 80) (i32.const 1) (i32.const 128) (i32.const 1) (i64.const 0) (i32.const 0)))
  (global.get $later))
(func $case18 (result i64)
  (drop (call $helped (i32.const 0x57) (i64.const 0) (i32.const 0)))
  (call $tell (global.get $helper) (i32.const 0x58))
  (global.get $later))
;; The helper counts its queries in memory; the second answer is what the first was.
(func $case19 (result i64)
  (global.set $mode (i32.const 19))
  (call $helped (i32.const 0x51) (i64.const 0) (i32.const 1)))
(func $case20 (result i64) (global.set $mode (i32.const 20)) (call $helped (i32.const 0x48) (i64.const 0) (i32.const 0)))
(func $case21 (result i64)
  (local $a i64) (local $b i64)
  (local.set $a (call $ask (i32.const 0) (i32.const 1)))
  (local.set $b (call $ask (i32.const 0) (i32.const 1)))
  (i64.extend_i32_u (i32.and (i32.and
    (i64.gt_s (local.get $a) (i64.const 0)) (i64.gt_s (local.get $b) (i64.const 0)))
    (i64.ne (local.get $a) (local.get $b)))))
(func $case22 (result i64)
  (i32.store (i32.const 128) (call $mine (i32.const 0x0f)))
  (call $call (i32.const 0) (i32.const 80) (i32.const 1) (i32.const 128) (i32.const 1) (i64.const 0) (i32.const 0)))
;; The helper answers when it is told, after the deadline: status TIMEOUT, and no second event.
(func $case23 (result i64) (global.set $mode (i32.const 23)) (call $helped (i32.const 0x57) (i64.const 2000000) (i32.const 0)))
;; Each large letter to oneself sends seven more, until no more fit; a call after them does not fit either.
(func $case24 (result i64)
  (global.set $mode (i32.const 24))
  (call $grow_to (i32.const 0x120000))
  (call $flood)
  (global.get $later))
(func $flood
  (local $count i32)
  (local.set $count (i32.const 7))
  (loop $more
    (drop (call $send (i32.const 0) (i32.const 0x10000) (i32.const 0x100000) (i32.const 0) (i32.const 0)))
    (br_if $more (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))
(func $case25 (result i64) (call $ask (global.get $asker) (i32.const 1)))

(func $helper_told
  (local $letter i32)
  (local.set $letter (call $first))
  ;; 0x57: keeps the handle and says nothing. 0x58: ends.
  (if (i32.eq (local.get $letter) (i32.const 0x57)) (then (global.set $saved (call $reply_handle)) (return)))
  (if (i32.eq (local.get $letter) (i32.const 0x58)) (then (call $exit (i32.const 0) (i32.const 0) (i32.const 0))))
  ;; 0x59: answers at last.
  (if (i32.eq (local.get $letter) (i32.const 0x59)) (then
    (drop (call $reply (global.get $saved) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    (call $tell (i32.const 1) (i32.const 0x5A))
    (return)))
  ;; 0x44: lets the handle go. 0x54: faults. 0x46: fills the table.
  (if (i32.eq (local.get $letter) (i32.const 0x44)) (then (drop (call $handle_drop (call $reply_handle))) (return)))
  (if (i32.eq (local.get $letter) (i32.const 0x54)) (then (unreachable)))
  (if (i32.eq (local.get $letter) (i32.const 0x46)) (then
    (call $crowd (i32.const 1))
    (return)))
  ;; 0x45: an error of its own. 0x48: a handle to itself. 0x51: counts. Anything else: an empty answer.
  (global.set $asker (call $reply_handle))
  (if (i32.eq (local.get $letter) (i32.const 0x45)) (then
    (drop (call $reply (global.get $asker) (i32.const 17) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))) (return)))
  (if (i32.eq (local.get $letter) (i32.const 0x48)) (then
    (i32.store (i32.const 128) (i32.const 0))
    (drop (call $reply (global.get $asker) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 128) (i32.const 1))) (return)))
  (if (i32.eq (local.get $letter) (i32.const 0x51)) (then
    (call $answer (i64.add (i64.mul (global.get $answers) (i64.const 2)) (i64.extend_i32_u (i32.eqz (i32.and (call $flags) (i32.const 1))))))
    (global.set $answers (i64.add (global.get $answers) (i64.const 1)))
    (return)))
  (if (i32.ne (global.get $asker) (i32.const -1)) (then (call $answer (i64.const 0)))))

(func $told
  (if (global.get $role) (then (call $helper_told) (return)))
  ;; Case 24: the fourth large letter is followed by the call.
  (if (i32.and (i32.eq (global.get $mode) (i32.const 24)) (i32.eq (call $kind) (i32.const 1))) (then
    (global.set $answers (i64.add (global.get $answers) (i64.const 1)))
    (if (i64.gt_u (global.get $answers) (i64.const 4)) (then (return)))
    (call $flood)
    (if (i64.eq (global.get $answers) (i64.const 4)) (then
      (drop (call $call (i32.const 0) (i32.const 0x10000) (i32.const 0x100000) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0)))))
    (return)))
  ;; Case 23: had a second reply come, it would have come before this.
  (if (i32.and (i32.eq (call $kind) (i32.const 1)) (i32.eq (call $first) (i32.const 0x5A))) (then
    (call $answer (global.get $answers)) (return)))
  (if (i32.ne (call $kind) (i32.const 2)) (then (return)))
  (if (i32.eq (global.get $mode) (i32.const 1)) (then
    (call $answer (i64.extend_i32_u (i64.eq (call $token) (global.get $token)))) (return)))
  (if (i32.eq (global.get $mode) (i32.const 19)) (then
    ;; The first answer: ask again. The second is the case's.
    (global.set $mode (i32.const 0))
    (i32.store8 (i32.const 80) (i32.const 0x51))
    (drop (call $call (global.get $helper) (i32.const 80) (i32.const 1) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1)))
    (global.set $mode (i32.const 18)) (return)))
  (if (i32.eq (global.get $mode) (i32.const 18)) (then (call $answer (i64.load (call $body))) (return)))
  (if (i32.eq (global.get $mode) (i32.const 20)) (then
    ;; The helper's handle came back to us, with what may be done with it.
    (drop (call $handle_stat (call $handle (i32.const 0)) (i32.const 4096)))
    (call $answer (i64.add
      (i64.mul (i64.extend_i32_u (call $handle_same (call $handle (i32.const 0)) (global.get $helper))) (i64.const 4))
      (i64.and (i64.load32_u (i32.const 4100)) (i64.const 3))))
    (return)))
  (if (i32.eq (global.get $mode) (i32.const 23)) (then
    (global.set $answers (i64.add (global.get $answers) (i64.extend_i32_u (call $status))))
    (if (i64.eq (global.get $answers) (i64.const 3)) (then (call $tell (global.get $helper) (i32.const 0x59))))
    (return)))
  (call $answer (i64.extend_i32_u (call $status))))
