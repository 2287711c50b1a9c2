;; A ring of actors. Start order: `a` more to spawn after this one; the handle is the first of the ring.
;;
;; Order 1 to the first: `a` tokens, `b` hops each; answered when all have run out. Order 2: a token with `a` hops left,
;; as long as the order was. Order 3 to the first: a token has run out.

(global $first (mut i32) (i32.const 0))
(global $next (mut i32) (i32.const 0))
(global $asker (mut i32) (i32.const -1))
(global $tokens (mut i64) (i64.const 0))

(func $on_start
  (if (call $handle_count) (then (global.set $first (call $handle))))
  (if (i64.eqz (call $a))
    (then (global.set $next (global.get $first)))
    (else
      (call $write (i64.const 0) (i64.sub (call $a) (i64.const 1)) (i64.const 0))
      (i32.store (i32.const 1024) (global.get $first))
      (global.set $next (i32.wrap_i64 (call $bear (i32.const 0) (i32.const 0) (i32.const 1)))))))

(func $on_message
  (local $i i64) (local $at i32)
  (local.set $at (i32.const 8240))
  (if (call $handle_count) (then (local.set $at (call $body))))
  (if (i64.eq (i64.load (local.get $at)) (i64.const 2)) (then
    (if (i64.eqz (i64.load offset=8 (local.get $at)))
      (then
        (call $write (i64.const 3) (i64.const 0) (i64.const 0))
        (drop (call $tell (global.get $first) (i32.const 24))))
      (else
        (i64.store offset=8 (local.get $at) (i64.sub (i64.load offset=8 (local.get $at)) (i64.const 1)))
        (drop (call $send (global.get $next) (local.get $at) (call $body_len) (i32.const 0) (i32.const 0)))))
    (return)))
  (if (i64.eq (call $verb) (i64.const 3)) (then
    (global.set $tokens (i64.sub (global.get $tokens) (i64.const 1)))
    (if (i64.eqz (global.get $tokens)) (then (call $answer (global.get $asker) (i64.const 0))))
    (return)))
  (global.set $asker (call $asked))
  (global.set $tokens (call $a))
  (local.set $i (call $a))
  (i64.store offset=8 (call $body) (call $b))
  (i64.store (call $body) (i64.const 2))
  (loop $more
    (drop (call $send (global.get $next) (call $body) (call $body_len) (i32.const 0) (i32.const 0)))
    (br_if $more (i64.gt_s (local.tee $i (i64.sub (local.get $i) (i64.const 1))) (i64.const 0)))))
