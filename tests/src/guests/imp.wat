;; Everything that a hostile or broken guest can do; the verb says what. What ends by itself answers how it went: the
;; errno that stopped it, or 0.

(func $forever (loop $more (br $more)))

(func $deeper (param $n i64) (result i64)
  (i64.add (i64.const 1) (call $deeper (i64.add (local.get $n) (i64.const 1)))))

;; Until the result is negative: its errno.
(func $errno (param $n i64) (result i64) (i64.sub (i64.const 0) (local.get $n)))

(func $hoard_memory (result i64)
  (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
  (i64.extend_i32_u (memory.size)))

(func $hoard_handles (result i64)
  (local $n i64)
  (loop $more (br_if $more (i64.ge_s (local.tee $n (call $handle_copy (i32.const 2) (i32.const 17) (i64.const 0))) (i64.const 0))))
  (call $errno (local.get $n)))

(func $hoard_grants (result i64)
  (local $n i64)
  (loop $more (br_if $more (i64.ge_s (local.tee $n (call $handle_copy (i32.const 0) (i32.const 1) (i64.const 7))) (i64.const 0))))
  (call $errno (local.get $n)))

(func $breed (result i64)
  (local $n i64)
  (call $write (i64.const 0) (i64.const 0) (i64.const 0))
  (loop $more
    (local.set $n (call $bear (i32.const 0) (i32.const 0) (i32.const 0)))
    (br_if $more (i64.ge_s (local.get $n) (i64.const 0))))
  (call $errno (local.get $n)))

(func $flood (param $to i32) (param $len i32) (result i64)
  (local $n i32)
  (loop $more (br_if $more (i32.eqz (local.tee $n (call $send (local.get $to) (i32.const 0) (local.get $len) (i32.const 0) (i32.const 0))))))
  (call $errno (i64.extend_i32_s (local.get $n))))

(func $hoard_timers (result i64)
  (local $n i64)
  (loop $more (br_if $more (i64.ge_s (local.tee $n (call $timer (i64.const 3600000000000))) (i64.const 0))))
  (call $errno (local.get $n)))

(func $hoard_calls (result i64)
  (local $n i64)
  (loop $more (br_if $more (i64.ge_s
    (local.tee $n (call $call (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0)))
    (i64.const 0))))
  (call $errno (local.get $n)))

(func $hoard_monitors (result i64)
  (local $n i64)
  (loop $more (br_if $more (i64.ge_s (local.tee $n (call $monitor (i32.const 0))) (i64.const 0))))
  (call $errno (local.get $n)))

(func $chatter
  (local $i i32)
  (memory.fill (i32.const 8192) (i32.const 97) (i32.const 40000))
  (loop $more
    (call $log (i32.const 1) (i32.const 8192) (i32.const 40000))
    (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000)))))

(func $spin (param $n i64)
  (loop $more (br_if $more (i64.ne (local.tee $n (i64.sub (local.get $n) (i64.const 1))) (i64.const 0)))))

(func $on_message
  (local $asker i32) (local $verb i32)
  (local.set $asker (call $asked))
  (local.set $verb (i32.wrap_i64 (call $verb)))
  ;; 0: do nothing, as one that was bred
  (if (i32.eq (local.get $verb) (i32.const 1)) (then (call $forever)))
  (if (i32.eq (local.get $verb) (i32.const 2)) (then (drop (call $deeper (i64.const 0)))))
  (if (i32.eq (local.get $verb) (i32.const 3)) (then (call $answer (local.get $asker) (call $hoard_memory))))
  (if (i32.eq (local.get $verb) (i32.const 4)) (then (call $answer (local.get $asker) (call $hoard_handles))))
  (if (i32.eq (local.get $verb) (i32.const 5)) (then (call $answer (local.get $asker) (call $hoard_grants))))
  (if (i32.eq (local.get $verb) (i32.const 6)) (then
    (call $answer (local.get $asker) (i64.const 0))
    (drop (call $breed))))
  ;; To oneself, small: and again when they come back.
  (if (i32.eq (local.get $verb) (i32.const 7)) (then
    (call $answer (local.get $asker) (i64.const 0))
    (drop (call $flood (i32.const 0) (i32.const 8)))))
  (if (i32.eq (local.get $verb) (i32.const 8)) (then
    (drop (memory.grow (i32.const 32)))
    (call $answer (local.get $asker) (i64.const 0))
    (drop (call $flood (i32.const 0) (i32.const 1048576)))))
  (if (i32.eq (local.get $verb) (i32.const 9)) (then (call $answer (local.get $asker) (call $hoard_timers))))
  (if (i32.eq (local.get $verb) (i32.const 10)) (then
    (call $answer (local.get $asker) (i64.const 0))
    (drop (call $hoard_calls))))
  (if (i32.eq (local.get $verb) (i32.const 11)) (then (call $answer (local.get $asker) (call $hoard_monitors))))
  (if (i32.eq (local.get $verb) (i32.const 12)) (then
    (call $chatter)
    (call $answer (local.get $asker) (i64.const 0))))
  (if (i32.eq (local.get $verb) (i32.const 13)) (then
    (drop (call $send (i32.const 0) (i32.const 0x7ffffff0) (i32.const 64) (i32.const 0) (i32.const 0)))))
  (if (i32.eq (local.get $verb) (i32.const 14)) (then
    (drop (call $send (i32.const 424242) (i32.const 0) (i32.const 8) (i32.const 0) (i32.const 0)))))
  (if (i32.eq (local.get $verb) (i32.const 15)) (then (drop (i32.div_u (i32.const 1) (i32.const 0)))))
  (if (i32.eq (local.get $verb) (i32.const 16)) (then
    (call $spin (call $a))
    (call $answer (local.get $asker) (i64.const 0))))
  ;; To itself, for ever.
  (if (i32.eq (local.get $verb) (i32.const 17)) (then
    (call $write (i64.const 17) (i64.const 0) (i64.const 0))
    (drop (call $tell (i32.const 0) (i32.const 24)))
    (if (i32.ne (local.get $asker) (i32.const -1)) (then (call $answer (local.get $asker) (i64.const 0))))))
  ;; To the handle, for ever.
  (if (i32.eq (local.get $verb) (i32.const 18)) (then
    (if (call $handle_count) (then (i32.store (i32.const 1028) (call $handle))))
    (drop (call $flood_some))
    (call $write (i64.const 18) (i64.const 0) (i64.const 0))
    (drop (call $tell (i32.const 0) (i32.const 24)))
    (if (i32.ne (local.get $asker) (i32.const -1)) (then (call $answer (local.get $asker) (i64.const 0))))))
  (if (i32.eq (local.get $verb) (i32.const 19)) (then
    (drop (memory.grow (i32.const 32)))
    (call $exit (i32.const 3) (i32.const 0) (i32.const 1048576)))))

(func $flood_some (result i32)
  (local $i i32)
  (loop $more
    (drop (call $send (i32.load (i32.const 1028)) (i32.const 0) (i32.const 8) (i32.const 0) (i32.const 0)))
    (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4000))))
  (local.get $i))

;; What comes back is sent again.
(func $on_bounce (drop (call $flood (i32.const 0) (i32.const 8))))
