;; Ten thousand values: a message is a key and a value to put there; a query with a key is answered with its value. Start
;; order: `a` bytes for each value, a multiple of eight.

(global $stride (mut i32) (i32.const 0))

(func $on_start
  (local $missing i32)
  (global.set $stride (i32.add (i32.wrap_i64 (call $a)) (i32.const 8)))
  (local.set $missing (i32.add (i32.div_u (i32.mul (global.get $stride) (i32.const 10000)) (i32.const 65536)) (i32.const 1)))
  (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then (unreachable))))

(func $answer_with (param $status i32) (param $at i32) (param $len i32)
  (if (i32.ne (call $asked) (i32.const -1)) (then
    (drop (call $reply (call $asked) (local.get $status) (local.get $at) (local.get $len) (i32.const 0) (i32.const 0))))))

(func $on_message
  (local $slot i32) (local $len i32)
  (local.set $slot (i32.add (i32.const 65536)
    (i32.mul (i32.wrap_i64 (i64.rem_u (call $verb) (i64.const 10000))) (global.get $stride))))
  (if (i32.and (call $flags) (i32.const 1)) (then
    (call $answer_with (i32.const 0) (i32.add (local.get $slot) (i32.const 8)) (i32.load (local.get $slot)))
    (return)))
  (local.set $len (i32.sub (call $body_len) (i32.const 8)))
  (if (i32.gt_s (i32.add (local.get $len) (i32.const 8)) (global.get $stride)) (then
    (call $answer_with (i32.const 15) (i32.const 0) (i32.const 0))
    (return)))
  (i64.store (local.get $slot) (i64.extend_i32_u (local.get $len)))
  (memory.copy (i32.add (local.get $slot) (i32.const 8)) (i32.add (call $body) (i32.const 8)) (local.get $len))
  (call $answer_with (i32.const 0) (i32.const 0) (i32.const 0)))
