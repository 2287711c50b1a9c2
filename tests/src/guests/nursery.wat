;; Order 1: spawns `a` children in handfuls, and answers when each has cried. `b`: 1 if they live on, 0 if they leave.
;; A child is started with order 1 and `b`; it tells its parent with order 2. Order 3 to oneself: the next handful.

(global $asker (mut i32) (i32.const -1))
(global $left (mut i64) (i64.const 0))
(global $silent (mut i64) (i64.const 0))
(global $stay (mut i64) (i64.const 0))

(func $on_start
  (local $stay i64)
  (if (i64.eqz (call $verb)) (then (return)))
  (local.set $stay (call $b))
  (call $write (i64.const 2) (i64.const 0) (i64.const 0))
  (drop (call $tell (i32.const 1) (i32.const 24)))
  (if (i64.eqz (local.get $stay)) (then (call $exit (i32.const 0) (i32.const 0) (i32.const 0)))))

(func $handful
  (local $i i32)
  (local $child i64)
  (local.set $i (i32.const 500))
  (call $write (i64.const 1) (i64.const 0) (global.get $stay))
  (block $done (loop $more
    (br_if $done (i64.eqz (global.get $left)))
    (br_if $done (i32.eqz (local.get $i)))
    (local.set $child (call $bear (i32.const 0) (i32.const 0) (i32.const 0)))
    (if (i64.lt_s (local.get $child) (i64.const 0)) (then (unreachable)))
    (drop (call $handle_drop (i32.wrap_i64 (local.get $child))))
    (local.set $i (i32.sub (local.get $i) (i32.const 1)))
    (global.set $left (i64.sub (global.get $left) (i64.const 1)))
    (br $more)))
  (if (i64.ne (global.get $left) (i64.const 0)) (then
    (call $write (i64.const 3) (i64.const 0) (i64.const 0))
    (drop (call $tell (i32.const 0) (i32.const 24))))))

(func $on_message
  (if (i64.eq (call $verb) (i64.const 2)) (then
    (global.set $silent (i64.sub (global.get $silent) (i64.const 1)))
    (if (i64.eqz (global.get $silent)) (then (call $answer (global.get $asker) (i64.const 0))))
    (return)))
  (if (i64.eq (call $verb) (i64.const 1)) (then
    (global.set $asker (call $asked))
    (global.set $left (call $a))
    (global.set $silent (call $a))
    (global.set $stay (call $b))))
  (call $handful))
