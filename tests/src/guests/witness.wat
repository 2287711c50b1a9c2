;; Sends numbered letters, sets timers, watches and asks, and checks what comes: nothing lost, nothing twice, in order.
;; The verbs are those of `guests::verb`, the report is `guests::Testimony`.
;;
;;  4096     letters sent, by the receiver's number (64 of 8 bytes)
;;  4608     letters heard, by the sender's number
;;  5120     when the timer in this place is due; 0: there is none

(@custom "pando.layout" "witness")

(global $letters (mut i64) (i64.const 0))
(global $doubled (mut i64) (i64.const 0))
(global $missed (mut i64) (i64.const 0))
(global $set (mut i64) (i64.const 0))
(global $fired (mut i64) (i64.const 0))
(global $wrong (mut i64) (i64.const 0))
(global $latest (mut i64) (i64.const 0))
(global $watches (mut i64) (i64.const 0))
(global $downs (mut i64) (i64.const 0))
(global $bounces (mut i64) (i64.const 0))
(global $asked_for (mut i64) (i64.const 0))
(global $replies (mut i64) (i64.const 0))
(global $restarted (mut i64) (i64.const 0))

(func $on_start
  (if (i32.and (call $flags) (i32.const 4)) (then (global.set $restarted (i64.const 1)))))

(func $now (result i64) (i64.load (i32.const 8200)))
(func $place (param $base i32) (param $n i64) (result i32)
  (i32.add (local.get $base) (i32.mul (i32.wrap_i64 (i64.and (local.get $n) (i64.const 63))) (i32.const 8))))

(func $report
  (i32.store8 (i32.const 64) (i32.const 0x8c))
  (call $put (i32.const 65) (global.get $letters))
  (call $put (i32.const 74) (global.get $doubled))
  (call $put (i32.const 83) (global.get $missed))
  (call $put (i32.const 92) (global.get $set))
  (call $put (i32.const 101) (global.get $fired))
  (call $put (i32.const 110) (global.get $wrong))
  (call $put (i32.const 119) (global.get $watches))
  (call $put (i32.const 128) (global.get $downs))
  (call $put (i32.const 137) (global.get $bounces))
  (call $put (i32.const 146) (global.get $asked_for))
  (call $put (i32.const 155) (global.get $replies))
  (call $put (i32.const 164) (global.get $restarted))
  (drop (call $reply (call $asked) (i32.const 0) (i32.const 64) (i32.const 109) (i32.const 0) (i32.const 0))))

;; `a` is the sender's number, `b` how many, the number behind them the receiver's.
(func $post
  (local $i i64) (local $at i32)
  (local.set $at (call $place (i32.const 4096) (call $number (i32.const 3))))
  (if (i64.gt_u (call $b) (i64.const 0)) (then
    (loop $more
      (i64.store (local.get $at) (i64.add (i64.load (local.get $at)) (i64.const 1)))
      (call $write (i64.const 21) (call $a) (i64.load (local.get $at)))
      (drop (call $tell (call $handle) (i32.const 24)))
      (local.set $i (i64.add (local.get $i) (i64.const 1)))
      (br_if $more (i64.lt_u (local.get $i) (call $b))))))
  (call $answer (call $asked) (i64.load (local.get $at))))

(func $letter
  (local $at i32) (local $heard i64)
  (local.set $at (call $place (i32.const 4608) (call $a)))
  (local.set $heard (i64.load (local.get $at)))
  (global.set $letters (i64.add (global.get $letters) (i64.const 1)))
  (if (i64.le_u (call $b) (local.get $heard))
    (then (global.set $doubled (i64.add (global.get $doubled) (i64.const 1))))
    (else
      (global.set $missed
        (i64.add (global.get $missed) (i64.sub (i64.sub (call $b) (local.get $heard)) (i64.const 1))))
      (i64.store (local.get $at) (call $b)))))

;; `b` timers, `a` nanoseconds apart, as long as there is a free place for each.
(func $timers
  (local $i i64) (local $id i64) (local $at i32) (local $delay i64)
  (block $done
    (loop $more
      (br_if $done (i64.ge_u (local.get $i) (call $b)))
      (local.set $i (i64.add (local.get $i) (i64.const 1)))
      (local.set $delay (i64.mul (call $a) (local.get $i)))
      (local.set $id (call $timer (local.get $delay)))
      (br_if $done (i64.lt_s (local.get $id) (i64.const 0)))
      (local.set $at (call $place (i32.const 5120) (local.get $id)))
      (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (unreachable)))
      (i64.store (local.get $at) (i64.add (call $now) (local.get $delay)))
      (global.set $set (i64.add (global.get $set) (i64.const 1)))
      (br $more)))
  (call $answer (call $asked) (global.get $set)))

(func $on_timer
  (local $at i32) (local $due i64)
  (local.set $at (call $place (i32.const 5120) (call $token)))
  (local.set $due (i64.load (local.get $at)))
  (global.set $fired (i64.add (global.get $fired) (i64.const 1)))
  ;; Never set or fired before, too early, or after one that was due later.
  (if (i32.or (i32.or
        (i64.eqz (local.get $due))
        (i64.lt_u (call $now) (local.get $due)))
        (i64.lt_u (local.get $due) (global.get $latest)))
    (then (global.set $wrong (i64.add (global.get $wrong) (i64.const 1)))))
  (if (i64.gt_u (local.get $due) (global.get $latest)) (then (global.set $latest (local.get $due))))
  (i64.store (local.get $at) (i64.const 0)))

(func $watch
  (if (i64.ge_s (call $monitor (call $handle)) (i64.const 0)) (then
    (global.set $watches (i64.add (global.get $watches) (i64.const 1)))))
  (call $answer (call $asked) (global.get $watches)))

;; `b` calls, each with a deadline of `a` nanoseconds: for the handle's report, or for what nobody ever answers.
(func $ask (param $verb i64)
  (local $i i64)
  (call $write (local.get $verb) (i64.const 0) (i64.const 0))
  (if (i64.gt_u (call $b) (i64.const 0)) (then
    (loop $more
      (if (i64.ge_s
            (call $call (call $handle) (i32.const 256) (i32.const 24) (i32.const 0) (i32.const 0) (call $a) (i32.const 0))
            (i64.const 0))
        (then (global.set $asked_for (i64.add (global.get $asked_for) (i64.const 1)))))
      (local.set $i (i64.add (local.get $i) (i64.const 1)))
      (br_if $more (i64.lt_u (local.get $i) (call $b))))))
  (call $answer (call $asked) (global.get $asked_for)))

(func $on_message
  (local $verb i32)
  (local.set $verb (i32.wrap_i64 (call $verb)))
  (if (i32.eq (local.get $verb) (i32.const 8)) (then (call $exit (i32.wrap_i64 (call $a)) (i32.const 0) (i32.const 0))))
  (if (i32.eq (local.get $verb) (i32.const 9)) (then (unreachable)))
  (if (i32.eq (local.get $verb) (i32.const 20)) (then (call $post) (return)))
  (if (i32.eq (local.get $verb) (i32.const 21)) (then (call $letter) (return)))
  (if (i32.eq (local.get $verb) (i32.const 22)) (then (call $report) (return)))
  (if (i32.eq (local.get $verb) (i32.const 23)) (then (call $timers) (return)))
  (if (i32.eq (local.get $verb) (i32.const 24)) (then (call $watch) (return)))
  (if (i32.eq (local.get $verb) (i32.const 25)) (then (call $ask (i64.const 22)) (return)))
  ;; Nothing here knows the verb 27: its asker waits.
  (if (i32.eq (local.get $verb) (i32.const 26)) (then (call $ask (i64.const 27)) (return))))

(func $on_reply (global.set $replies (i64.add (global.get $replies) (i64.const 1))))
(func $on_down (global.set $downs (i64.add (global.get $downs) (i64.const 1))))
(func $on_bounce (global.set $bounces (i64.add (global.get $bounces) (call $token))))
