;; Links, monitors, spawns and writes as it is told, and tells what it saw. The verbs are those of `guests::verb`.

(global $downs (mut i64) (i64.const 0))
(global $kind_seen (mut i64) (i64.const 0))
(global $code_seen (mut i64) (i64.const 0))
(global $bounces (mut i64) (i64.const 0))
(global $status_seen (mut i64) (i64.const 0))
(global $letters (mut i64) (i64.const 0))
(global $sum (mut i64) (i64.const 0))
(global $latest (mut i64) (i64.const -1))
(global $disorder (mut i64) (i64.const 0))
(global $timers (mut i64) (i64.const 0))
(global $restarted (mut i64) (i64.const 0))
(global $asker (mut i32) (i32.const -1))

(func $on_start
  (if (i32.and (call $flags) (i32.const 4)) (then (global.set $restarted (i64.const 1)))))

(func $report
  (i32.store8 (i32.const 64) (i32.const 0x8a))
  (call $put (i32.const 65) (global.get $downs))
  (call $put (i32.const 74) (global.get $kind_seen))
  (call $put (i32.const 83) (global.get $code_seen))
  (call $put (i32.const 92) (global.get $bounces))
  (call $put (i32.const 101) (global.get $status_seen))
  (call $put (i32.const 110) (global.get $letters))
  (call $put (i32.const 119) (global.get $sum))
  (call $put (i32.const 128) (global.get $disorder))
  (call $put (i32.const 137) (global.get $timers))
  (call $put (i32.const 146) (global.get $restarted))
  (drop (call $reply (call $asked) (i32.const 0) (i32.const 64) (i32.const 91) (i32.const 0) (i32.const 0))))

(func $child
  (local $handle i32)
  (call $write (i64.const 0) (i64.const 0) (i64.const 0))
  (local.set $handle (i32.wrap_i64
    (call $bear
      (i32.wrap_i64 (call $a))
      (i32.mul (i32.and (i32.shr_u (i32.wrap_i64 (call $b)) (i32.const 2)) (i32.const 1)) (i32.const 3))
      (i32.const 0))))
  (if (i32.and (i32.wrap_i64 (call $b)) (i32.const 1)) (then (drop (call $monitor (local.get $handle)))))
  (if (i32.and (i32.wrap_i64 (call $b)) (i32.const 2)) (then (drop (call $link (local.get $handle)))))
  (i32.store (i32.const 1024) (local.get $handle))
  (i32.store8 (i32.const 64) (i32.const 0))
  (drop (call $reply (call $asked) (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 1024) (i32.const 1))))

(func $letter
  (global.set $letters (i64.add (global.get $letters) (i64.const 1)))
  (global.set $sum (i64.add (global.get $sum) (call $a)))
  (if (i64.lt_s (call $a) (global.get $latest)) (then
    (global.set $disorder (i64.add (global.get $disorder) (i64.const 1)))))
  (global.set $latest (call $a)))

;; Letters that say 1, 2, 3 ...
(func $letters_to (param $to i32) (param $many i64)
  (local $i i64)
  (loop $more
    (local.set $i (i64.add (local.get $i) (i64.const 1)))
    (call $write (i64.const 6) (local.get $i) (i64.const 0))
    (drop (call $tell (local.get $to) (i32.const 24)))
    (br_if $more (i64.lt_s (local.get $i) (local.get $many)))))

(func $on_message
  (local $verb i32)
  (local.set $verb (i32.wrap_i64 (call $verb)))
  (if (i32.eq (local.get $verb) (i32.const 1)) (then
    (call $answer (call $asked) (call $monitor (call $handle))) (return)))
  (if (i32.eq (local.get $verb) (i32.const 2)) (then
    (call $answer (call $asked) (i64.extend_i32_s (call $link (call $handle)))) (return)))
  (if (i32.eq (local.get $verb) (i32.const 3)) (then (call $child) (return)))
  (if (i32.eq (local.get $verb) (i32.const 4)) (then (call $report) (return)))
  (if (i32.eq (local.get $verb) (i32.const 5)) (then
    (call $letters_to (call $handle) (call $b))
    (call $answer (call $asked) (call $b)) (return)))
  (if (i32.eq (local.get $verb) (i32.const 6)) (then (call $letter) (return)))
  (if (i32.eq (local.get $verb) (i32.const 7)) (then
    (global.set $asker (call $asked))
    (call $write (i64.const 4) (i64.const 0) (i64.const 0))
    (drop (call $call (call $handle) (i32.const 256) (i32.const 24) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0)))
    (return)))
  (if (i32.eq (local.get $verb) (i32.const 8)) (then
    (call $exit (i32.wrap_i64 (call $a)) (i32.const 0) (i32.const 0))))
  (if (i32.eq (local.get $verb) (i32.const 9)) (then (unreachable)))
  (if (i32.eq (local.get $verb) (i32.const 10)) (then
    (call $answer (call $asked) (call $timer (call $a))) (return))))

(func $on_reply (call $answer (global.get $asker) (i64.extend_i32_u (call $status))))

(func $on_timer (global.set $timers (i64.add (global.get $timers) (i64.const 1))))

(func $on_down
  (global.set $downs (i64.add (global.get $downs) (i64.const 1)))
  (global.set $kind_seen (i64.load16_u (call $body)))
  (global.set $code_seen (i64.load32_u offset=4 (call $body))))

(func $on_bounce
  (global.set $bounces (i64.add (global.get $bounces) (call $token)))
  (global.set $status_seen (i64.extend_i32_u (call $status))))
