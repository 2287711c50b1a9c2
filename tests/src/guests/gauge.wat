;; Measures: it calls others, writes down how long each answer took, and has a crew that does the same. It is also who is
;; called. What is written down is 1,024 counts: 32 for each power of two of nanoseconds.
;;
;; | verb | order |
;; |---|---|
;; | 0 | comes back as the answer |
;; | 1 | `a` calls, `b` at once; behind: deadline in nanoseconds, flags of `call`, burst, keys, and the body of each. Before each call go burst - 1 sends of the same. With keys, the body begins with a number below that. A handle is whom; of several, any |
;; | 2 | the same, and of several each in turn |
;; | 3 | hires `a` to be called: children, of the module whose hash follows if one does |
;; | 4 | forms a crew of `a`; whom each calls is the handle, or a partner of its own on node `b`; if a byte follows, they have the realm too |
;; | 5 | what follows is an order for all of the crew, for `a` of them at a time |
;; | 6 | a ball, sent `a` times to a child and back; what follows is in it |
;; | 7 | the ball |
;; | 8 | spawns `a` children that end at once, `b` at a time, each monitored |
;; | 9 | a child's first cry |
;; | 10 | to oneself: the next handful |
;; | 11 | never ends |
;;
;; A start: 0 nothing, 1 cry, 2 be one of a crew, 3 end. Every order but 0, 7 and 11 is answered with how many failed and the counts.
;;
;;  1088   the hash of whom it hires
;;  1536   the body of calls, the ball, the crew's order; to 4088
;;  4088   the answer: failures, counts
;; 16384   calls under way: token, time
;; 32768   the crew
;; 33792   whom, as far as memory goes

(global $asker (mut i32) (i32.const -1))
(global $mode (mut i32) (i32.const 0))
(global $len (mut i32) (i32.const 0))
(global $left (mut i64) (i64.const 0))
(global $waiting (mut i64) (i64.const 0))
(global $failed (mut i64) (i64.const 0))
(global $deadline (mut i64) (i64.const 0))
(global $how (mut i32) (i32.const 0))
(global $burst (mut i64) (i64.const 1))
(global $keys (mut i64) (i64.const 0))
(global $dice (mut i64) (i64.const 1))
(global $whom (mut i32) (i32.const 0))
(global $crew (mut i32) (i32.const 0))
(global $turn (mut i32) (i32.const 0))
(global $in_turn (mut i32) (i32.const 0))
(global $mate (mut i32) (i32.const -1))
(global $authority (mut i32) (i32.const 0))

(func $throw (result i64)
  (global.set $dice (i64.xor (global.get $dice) (i64.shl (global.get $dice) (i64.const 13))))
  (global.set $dice (i64.xor (global.get $dice) (i64.shr_u (global.get $dice) (i64.const 7))))
  (global.set $dice (i64.xor (global.get $dice) (i64.shl (global.get $dice) (i64.const 17))))
  (global.get $dice))

(func $begin
  (global.set $asker (call $asked))
  (global.set $failed (i64.const 0))
  (global.set $waiting (i64.const 0))
  (global.set $left (call $a))
  (global.set $mode (i32.wrap_i64 (call $verb)))
  (memory.fill (i32.const 4096) (i32.const 0) (i32.const 4096)))

(func $finish
  (global.set $mode (i32.const 0))
  (if (i32.ne (global.get $asker) (i32.const -1)) (then
    (i64.store (i32.const 4088) (global.get $failed))
    (drop (call $reply (global.get $asker) (i32.const 0) (i32.const 4088) (i32.const 4104) (i32.const 0) (i32.const 0)))
    (global.set $asker (i32.const -1)))))

(func $finish_if_over
  (if (i32.and (i64.le_s (global.get $left) (i64.const 0)) (i64.eqz (global.get $waiting))) (then (call $finish))))

(func $note (param $ns i64)
  (local $e i64) (local $at i32)
  (if (i64.lt_s (local.get $ns) (i64.const 1)) (then (local.set $ns (i64.const 1))))
  (local.set $e (i64.sub (i64.const 63) (i64.clz (local.get $ns))))
  (local.set $at
    (if (result i32) (i64.lt_u (local.get $ns) (i64.const 32))
      (then (i32.wrap_i64 (local.get $ns)))
      (else (i32.wrap_i64 (i64.add
        (i64.mul (i64.sub (local.get $e) (i64.const 4)) (i64.const 32))
        (i64.and (i64.shr_u (local.get $ns) (i64.sub (local.get $e) (i64.const 5))) (i64.const 31)))))))
  (if (i32.gt_u (local.get $at) (i32.const 1023)) (then (local.set $at (i32.const 1023))))
  (local.set $at (i32.add (i32.const 4096) (i32.mul (local.get $at) (i32.const 4))))
  (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1))))

(func $pick (result i32)
  (local $n i32)
  (if (i32.le_u (global.get $whom) (i32.const 1)) (then (return (i32.load (i32.const 33792)))))
  (if (global.get $in_turn)
    (then
      (local.set $n (global.get $turn))
      (global.set $turn (i32.rem_u (i32.add (local.get $n) (i32.const 1)) (global.get $whom))))
    (else
      (local.set $n (i32.wrap_i64 (i64.rem_u (call $throw) (i64.extend_i32_u (global.get $whom)))))))
  (i32.load (i32.add (i32.const 33792) (i32.mul (local.get $n) (i32.const 4)))))

;; From where a token belongs, the first slot that has `wanted` in it: 0 is an empty one. There is one: fewer calls are under
;; way than there are slots.
(func $slot_with (param $token i64) (param $wanted i64) (result i32)
  (local $i i32) (local $slot i32)
  (local.set $i (i32.wrap_i64 (local.get $token)))
  (loop $more
    (local.set $slot (i32.add (i32.const 16384) (i32.mul (i32.and (local.get $i) (i32.const 1023)) (i32.const 16))))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $more (i64.ne (i64.load (local.get $slot)) (local.get $wanted))))
  (local.get $slot))

(func $next
  (local $to i32) (local $i i64) (local $token i64) (local $slot i32)
  (global.set $left (i64.sub (global.get $left) (i64.const 1)))
  (if (i64.ne (global.get $keys) (i64.const 0)) (then
    (i64.store (i32.const 1536) (i64.rem_u (call $throw) (global.get $keys)))))
  (local.set $to (call $pick))
  (local.set $i (global.get $burst))
  (block $enough (loop $more
    (br_if $enough (i64.le_s (local.get $i) (i64.const 1)))
    (drop (call $send (local.get $to) (i32.const 1536) (global.get $len) (i32.const 0) (i32.const 0)))
    (local.set $i (i64.sub (local.get $i) (i64.const 1)))
    (br $more)))
  (local.set $token (call $call (local.get $to) (i32.const 1536) (global.get $len) (i32.const 0) (i32.const 0)
    (global.get $deadline) (global.get $how)))
  (if (i64.le_s (local.get $token) (i64.const 0)) (then
    (global.set $failed (i64.add (global.get $failed) (i64.const 1)))
    (return)))
  (global.set $waiting (i64.add (global.get $waiting) (i64.const 1)))
  (local.set $slot (call $slot_with (local.get $token) (i64.const 0)))
  (i64.store (local.get $slot) (local.get $token))
  (i64.store offset=8 (local.get $slot) (i64.load (i32.const 8200))))

(func $run
  (local $many i64)
  (call $begin)
  (if (call $handle_count) (then
    (i32.store (i32.const 33792) (call $handle))
    (global.set $whom (i32.const 1))))
  (global.set $in_turn (i32.eq (global.get $mode) (i32.const 2)))
  (global.set $mode (i32.const 1))
  (global.set $dice (i64.or (i64.load (i32.const 8232)) (i64.const 1)))
  (global.set $deadline (call $number (i32.const 3)))
  (global.set $how (i32.wrap_i64 (call $number (i32.const 4))))
  (global.set $burst (call $number (i32.const 5)))
  (global.set $keys (call $number (i32.const 6)))
  (global.set $len (i32.sub (call $body_len) (i32.const 56)))
  (if (i32.gt_u (global.get $len) (i32.const 2552)) (then (unreachable)))
  (memory.copy (i32.const 1536) (i32.add (call $body) (i32.const 56)) (global.get $len))
  (local.set $many (call $b))
  (block $enough (loop $more
    (br_if $enough (i64.le_s (global.get $left) (i64.const 0)))
    (br_if $enough (i64.le_s (local.get $many) (i64.const 0)))
    (local.set $many (i64.sub (local.get $many) (i64.const 1)))
    (call $next)
    (br $more)))
  (if (i64.eqz (global.get $waiting)) (then (call $finish))))

;; As `bear`, on the own node: with the realm, of another module.
(func $bear_as (param $handles i32) (param $realm i32) (param $authority i32) (result i64)
  (memory.fill (i32.const 512) (i32.const 0) (i32.const 72))
  (if (local.get $authority) (then (memory.copy (i32.const 512) (i32.const 1088) (i32.const 32))))
  (i32.store16 (i32.const 560) (local.get $realm))
  (i32.store8 (i32.const 563) (i32.const 1))
  (memory.copy (i32.const 584) (i32.const 256) (i32.const 24))
  (call $spawn (local.get $authority) (i32.const 512) (i32.const 96) (i32.const 1024) (local.get $handles)))

;; Children that are to be called, in handfuls.
(func $handful
  (local $i i32) (local $at i32) (local $child i64)
  (local.set $i (i32.const 500))
  (call $write (i64.const 1) (i64.const 0) (i64.const 0))
  (block $enough (loop $more
    (br_if $enough (i64.eqz (global.get $left)))
    (br_if $enough (i32.eqz (local.get $i)))
    (local.set $at (i32.add (i32.const 33792) (i32.mul (global.get $whom) (i32.const 4))))
    (if (i32.ge_u (local.get $at) (i32.mul (memory.size) (i32.const 65536))) (then
      (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))))
    (local.set $child (call $bear_as (i32.const 0) (i32.const 0) (global.get $authority)))
    (if (i64.lt_s (local.get $child) (i64.const 0)) (then (unreachable)))
    (i32.store (local.get $at) (i32.wrap_i64 (local.get $child)))
    (global.set $whom (i32.add (global.get $whom) (i32.const 1)))
    (local.set $i (i32.sub (local.get $i) (i32.const 1)))
    (global.set $left (i64.sub (global.get $left) (i64.const 1)))
    (br $more)))
  (if (i64.ne (global.get $left) (i64.const 0)) (then
    (call $write (i64.const 10) (i64.const 0) (i64.const 0))
    (drop (call $tell (i32.const 0) (i32.const 24))))))

(func $hire
  (call $begin)
  (if (i32.ge_u (call $body_len) (i32.const 56)) (then
    (memory.copy (i32.const 1088) (i32.add (call $body) (i32.const 24)) (i32.const 32))
    (global.set $authority (i32.const 2))))
  (global.set $waiting (call $a))
  (call $handful)
  (call $finish_if_over))

(func $form
  (local $child i64)
  (call $begin)
  (global.set $waiting (call $a))
  (if (call $handle_count) (then (i32.store (i32.const 1024) (call $handle))))
  (call $write (i64.const 2) (i64.const 0) (call $b))
  (block $enough (loop $more
    (br_if $enough (i64.eqz (global.get $left)))
    (br_if $enough (i32.ge_u (global.get $crew) (i32.const 256)))
    (local.set $child (call $bear_as (call $handle_count) (i32.gt_u (call $body_len) (i32.const 24)) (i32.const 0)))
    (if (i64.lt_s (local.get $child) (i64.const 0)) (then (unreachable)))
    (i32.store (i32.add (i32.const 32768) (i32.mul (global.get $crew) (i32.const 4))) (i32.wrap_i64 (local.get $child)))
    (global.set $crew (i32.add (global.get $crew) (i32.const 1)))
    (global.set $left (i64.sub (global.get $left) (i64.const 1)))
    (br $more)))
  (call $finish_if_over))

(func $next_of_crew
  (local $token i64)
  (local.set $token (call $call
    (i32.load (i32.add (i32.const 32768) (i32.mul (global.get $turn) (i32.const 4))))
    (i32.const 1536) (global.get $len) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0)))
  (global.set $turn (i32.add (global.get $turn) (i32.const 1)))
  (global.set $left (i64.sub (global.get $left) (i64.const 1)))
  (if (i64.gt_s (local.get $token) (i64.const 0))
    (then (global.set $waiting (i64.add (global.get $waiting) (i64.const 1))))
    (else (global.set $failed (i64.add (global.get $failed) (i64.const 1))))))

(func $all
  (local $many i64)
  (call $begin)
  (local.set $many (call $a))
  (global.set $left (i64.extend_i32_u (global.get $crew)))
  (global.set $turn (i32.const 0))
  (global.set $len (i32.sub (call $body_len) (i32.const 24)))
  (if (i32.gt_u (global.get $len) (i32.const 2552)) (then (unreachable)))
  (memory.copy (i32.const 1536) (i32.add (call $body) (i32.const 24)) (global.get $len))
  (block $enough (loop $more
    (br_if $enough (i64.eqz (global.get $left)))
    (br_if $enough (i64.le_s (local.get $many) (i64.const 0)))
    (local.set $many (i64.sub (local.get $many) (i64.const 1)))
    (call $next_of_crew)
    (br $more)))
  (call $finish_if_over))

(func $rally
  (call $begin)
  (if (i32.eq (global.get $mate) (i32.const -1)) (then
    (call $write (i64.const 0) (i64.const 0) (i64.const 0))
    (global.set $mate (i32.wrap_i64 (call $bear (i32.const 0) (i32.const 0) (i32.const 0))))))
  (global.set $len (i32.sub (call $body_len) (i32.const 16)))
  (i64.store (i32.const 1536) (i64.const 7))
  (memory.copy (i32.const 1544) (i32.add (call $body) (i32.const 24)) (i32.sub (global.get $len) (i32.const 8)))
  (drop (call $send (global.get $mate) (i32.const 1536) (global.get $len) (i32.const 0) (i32.const 0))))

(func $ball (param $at i32)
  (if (i32.ne (global.get $mode) (i32.const 6)) (then
    (drop (call $send (i32.const 1) (local.get $at) (call $body_len) (i32.const 0) (i32.const 0)))
    (return)))
  (global.set $left (i64.sub (global.get $left) (i64.const 1)))
  (if (i64.gt_s (global.get $left) (i64.const 0))
    (then (drop (call $send (global.get $mate) (local.get $at) (call $body_len) (i32.const 0) (i32.const 0))))
    (else (call $finish))))

(func $mayfly
  (local $child i64)
  (local.set $child (call $bear (i32.const 0) (i32.const 0) (i32.const 0)))
  (if (i64.lt_s (local.get $child) (i64.const 0)) (then (unreachable)))
  (drop (call $monitor (i32.wrap_i64 (local.get $child))))
  (drop (call $handle_drop (i32.wrap_i64 (local.get $child))))
  (global.set $left (i64.sub (global.get $left) (i64.const 1)))
  (global.set $waiting (i64.add (global.get $waiting) (i64.const 1))))

(func $mayflies
  (local $many i64)
  (call $begin)
  (local.set $many (call $b))
  (call $write (i64.const 3) (i64.const 0) (i64.const 0))
  (loop $more
    (if (i32.and (i64.gt_s (global.get $left) (i64.const 0)) (i64.gt_s (local.get $many) (i64.const 0))) (then
      (local.set $many (i64.sub (local.get $many) (i64.const 1)))
      (call $mayfly)
      (br $more)))))

(func $cry
  (global.set $waiting (i64.sub (global.get $waiting) (i64.const 1)))
  (call $finish_if_over))

(func $on_start
  (local $verb i32)
  (local.set $verb (i32.wrap_i64 (call $verb)))
  (if (i32.eq (local.get $verb) (i32.const 3)) (then (call $exit (i32.const 0) (i32.const 0) (i32.const 0))))
  (if (i32.eq (local.get $verb) (i32.const 2)) (then
    (if (call $handle_count) (then
      (i32.store (i32.const 33792) (call $handle))
      (global.set $whom (i32.const 1))))
    (if (i64.ne (call $b) (i64.const 0)) (then
      (call $write (i64.const 0) (i64.const 0) (i64.const 0))
      (i32.store (i32.const 33792) (i32.wrap_i64 (call $bear (i32.wrap_i64 (call $b)) (i32.const 0) (i32.const 0))))
      (global.set $whom (i32.const 1))))))
  (if (local.get $verb) (then
    (call $write (i64.const 9) (i64.const 0) (i64.const 0))
    (drop (call $tell (i32.const 1) (i32.const 24))))))

(func $on_message
  (local $at i32) (local $verb i32)
  (local.set $at (i32.const 8240))
  (if (call $handle_count) (then (local.set $at (call $body))))
  (if (call $body_len) (then (local.set $verb (i32.wrap_i64 (i64.load (local.get $at))))))
  (block $spin (block $handful (block $cry (block $mayflies (block $ball (block $rally (block $all (block $form
    (block $hire (block $run (block $echo
      (br_table $echo $run $run $hire $form $all $rally $ball $mayflies $cry $handful $spin $echo
        (local.get $verb)))
      (if (i32.ne (call $asked) (i32.const -1)) (then
        (drop (call $reply (call $asked) (i32.const 0) (local.get $at) (call $body_len) (i32.const 0) (i32.const 0)))))
      (return))
      (call $run) (return))
      (call $hire) (return))
      (call $form) (return))
      (call $all) (return))
      (call $rally) (return))
      (call $ball (local.get $at)) (return))
      (call $mayflies) (return))
      (call $cry) (return))
      (call $handful) (return))
  (loop $for_ever (br $for_ever)))

(func $on_reply
  (local $slot i32) (local $i i32) (local $at i32)
  (if (i32.eqz (global.get $mode)) (then (return)))
  (global.set $waiting (i64.sub (global.get $waiting) (i64.const 1)))
  (if (i32.eq (global.get $mode) (i32.const 5)) (then
    (if (i32.or (call $status) (i32.lt_u (call $body_len) (i32.const 4104)))
      (then (global.set $failed (i64.add (global.get $failed) (i64.const 1))))
      (else
        (global.set $failed (i64.add (global.get $failed) (i64.load (call $body))))
        (local.set $slot (i32.add (call $body) (i32.const 8)))
        (loop $more
          (local.set $at (i32.add (i32.const 4096) (local.get $i)))
          (i32.store (local.get $at)
            (i32.add (i32.load (local.get $at)) (i32.load (i32.add (local.get $slot) (local.get $i)))))
          (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 4096))))))
    (if (i64.gt_s (global.get $left) (i64.const 0)) (then (call $next_of_crew)))
    (call $finish_if_over)
    (return)))
  (local.set $slot (call $slot_with (call $token) (call $token)))
  (i64.store (local.get $slot) (i64.const 0))
  (if (call $status)
    (then (global.set $failed (i64.add (global.get $failed) (i64.const 1))))
    (else (call $note (i64.sub (i64.load (i32.const 8200)) (i64.load offset=8 (local.get $slot))))))
  (if (i64.gt_s (global.get $left) (i64.const 0)) (then (call $next)) (else (call $finish_if_over))))

(func $on_down
  (global.set $waiting (i64.sub (global.get $waiting) (i64.const 1)))
  (if (i64.gt_s (global.get $left) (i64.const 0))
    (then (call $write (i64.const 3) (i64.const 0) (i64.const 0)) (call $mayfly))
    (else (call $finish_if_over))))

(func $on_bounce
  (global.set $failed (i64.add (global.get $failed) (call $token))))
