;; Calls another actor: order 1, `a` times, `b` at once, with what follows the order as each call's body; order 2 the same
;; as queries. The handle is whom. Answers how many calls failed.

(global $target (mut i32) (i32.const -1))
(global $asker (mut i32) (i32.const -1))
(global $len (mut i32) (i32.const 0))
(global $query (mut i32) (i32.const 0))
(global $left (mut i64) (i64.const 0))
(global $waiting (mut i64) (i64.const 0))
(global $failed (mut i64) (i64.const 0))

(func $next
  (global.set $left (i64.sub (global.get $left) (i64.const 1)))
  (if (i64.gt_s
        (call $call (global.get $target) (i32.const 4096) (global.get $len) (i32.const 0) (i32.const 0) (i64.const 0)
          (global.get $query))
        (i64.const 0))
    (then (global.set $waiting (i64.add (global.get $waiting) (i64.const 1))))
    (else (global.set $failed (i64.add (global.get $failed) (i64.const 1))))))

(func $on_message
  (local $many i64)
  (if (i32.gt_u (call $handle_count) (i32.const 0)) (then
    (if (i32.ne (global.get $target) (i32.const -1)) (then (drop (call $handle_drop (global.get $target)))))
    (global.set $target (call $handle))))
  (global.set $asker (call $asked))
  (global.set $query (i32.eq (i32.wrap_i64 (call $verb)) (i32.const 2)))
  (global.set $left (call $a))
  (global.set $waiting (i64.const 0))
  (global.set $failed (i64.const 0))
  (local.set $many (call $b))
  (global.set $len (i32.sub (call $body_len) (i32.const 24)))
  (memory.copy (i32.const 4096) (i32.add (call $body) (i32.const 24)) (global.get $len))
  (loop $more
    (if (i32.and (i64.gt_s (global.get $left) (i64.const 0)) (i64.gt_s (local.get $many) (i64.const 0))) (then
      (local.set $many (i64.sub (local.get $many) (i64.const 1)))
      (call $next)
      (br $more)))))

(func $on_reply
  (global.set $waiting (i64.sub (global.get $waiting) (i64.const 1)))
  (if (call $status) (then (global.set $failed (i64.add (global.get $failed) (i64.const 1)))))
  (if (i64.gt_s (global.get $left) (i64.const 0))
    (then (call $next))
    (else (if (i64.eqz (global.get $waiting)) (then (call $answer (global.get $asker) (global.get $failed)))))))
