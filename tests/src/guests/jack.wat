;; Does everything that the contract offers, as its dice fall, and holds the kernel to what it said.
;;
;; An order is (30, `a`: stirs the dice, `b`: deeds it may do from now on). What it tells others to do it takes from its own
;; deeds, so a storm of jacks comes to an end.
;;
;;  4096     handles it has met (64 of 4 bytes; 0: none)
;;  4352     reply handles it keeps (16 of 4 bytes; -1: none)
;;  4416     monitors whose `down` is to come (16 of 8 bytes; 0: none)
;;  4544     timers that run (16)
;;  4672     calls that wait (16)
;;  4800     what is known of a handle, and of its copy (24 bytes each)

(global $dice (mut i64) (i64.const 88172645463325252))
(global $left (mut i64) (i64.const 0))
(global $deeds (mut i64) (i64.const 0))
(global $wrong (mut i64) (i64.const 0))
(global $child (mut i32) (i32.const 0))

;; Xorshift (Marsaglia, 2003).
(func $throw (result i64)
  (global.set $dice (i64.xor (global.get $dice) (i64.shl (global.get $dice) (i64.const 13))))
  (global.set $dice (i64.xor (global.get $dice) (i64.shr_u (global.get $dice) (i64.const 7))))
  (global.set $dice (i64.xor (global.get $dice) (i64.shl (global.get $dice) (i64.const 17))))
  (global.get $dice))
(func $below (param $n i32) (result i32)
  (i32.wrap_i64 (i64.rem_u (i64.shr_u (call $throw) (i64.const 8)) (i64.extend_i32_u (local.get $n)))))
(func $is_wrong (global.set $wrong (i64.add (global.get $wrong) (i64.const 1))))

(func $met (param $n i32) (result i32) (i32.add (i32.const 4096) (i32.mul (local.get $n) (i32.const 4))))
;; The place of any handle, itself (0) included.
(func $any (result i32) (i32.load (call $met (call $below (i32.const 64)))))
(func $meet (param $handle i32)
  (local $at i32)
  (local.set $at (call $met (i32.add (call $below (i32.const 63)) (i32.const 1))))
  (if (i32.load (local.get $at)) (then (drop (call $handle_drop (i32.load (local.get $at))))))
  (i32.store (local.get $at) (local.get $handle)))
(func $meet_all
  (local $i i32)
  (block $done (loop $more
    (br_if $done (i32.ge_u (local.get $i) (call $handle_count)))
    (call $sort (i32.load (i32.add (i32.const 8240) (i32.mul (local.get $i) (i32.const 4)))))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br $more))))
;; Reply handles go where they are kept.
(func $sort (param $handle i32)
  (drop (call $handle_stat (local.get $handle) (i32.const 4800)))
  (if (i32.eq (i32.load (i32.const 4800)) (i32.const 3))
    (then (call $keep (local.get $handle)))
    (else (call $meet (local.get $handle)))))
(func $keep (param $reply i32)
  (local $at i32)
  (local.set $at (i32.add (i32.const 4352) (i32.mul (call $below (i32.const 16)) (i32.const 4))))
  (if (i32.load (local.get $at)) (then (drop (call $handle_drop (i32.load (local.get $at))))))
  (i32.store (local.get $at) (local.get $reply)))

;; Ids of what is to come, in a table of sixteen: a free place, or 0.
(func $find (param $table i32) (param $id i64) (result i32)
  (local $i i32)
  (loop $more
    (if (i64.eq (i64.load (i32.add (local.get $table) (i32.mul (local.get $i) (i32.const 8)))) (local.get $id))
      (then (return (i32.add (local.get $table) (i32.mul (local.get $i) (i32.const 8))))))
    (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 16))))
  (i32.const 0))
;; It came: it must have been waited for.
(func $came (param $table i32) (param $id i64)
  (local $at i32)
  (local.set $at (call $find (local.get $table) (local.get $id)))
  (if (local.get $at) (then (i64.store (local.get $at) (i64.const 0))) (else (call $is_wrong))))

;; An order for somebody, with a part of what is left; handles to pass are at 1024.
(func $order
  (local $part i64)
  (local.set $part (i64.div_u (global.get $left) (i64.extend_i32_u (i32.add (call $below (i32.const 5)) (i32.const 2)))))
  (global.set $left (i64.sub (global.get $left) (local.get $part)))
  (call $write (i64.const 30) (call $throw) (local.get $part)))
(func $handles (result i32)
  (local $i i32) (local $count i32)
  (local.set $count (call $below (i32.const 4)))
  (loop $more
    (i32.store (i32.add (i32.const 1024) (i32.mul (local.get $i) (i32.const 4))) (call $any))
    (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 4))))
  (local.get $count))
;; As many bytes as an order has, or rarely a lot more.
(func $size (result i32)
  (if (result i32) (call $below (i32.const 16)) (then (i32.const 24)) (else (call $below (i32.const 3800)))))

(func $do_send
  (call $order)
  (drop (call $send (call $any) (i32.const 256) (call $size) (i32.const 1024) (call $handles))))
(func $do_call
  (local $at i32) (local $token i64)
  (local.set $at (call $find (i32.const 4672) (i64.const 0)))
  (if (i32.eqz (local.get $at)) (then (return)))
  (call $order)
  (local.set $token (call $call (call $any) (i32.const 256) (call $size) (i32.const 1024) (call $handles)
    (i64.mul (i64.extend_i32_u (call $below (i32.const 3000))) (i64.const 1000000))
    (i32.eqz (call $below (i32.const 4)))))
  (if (i64.gt_s (local.get $token) (i64.const 0)) (then (i64.store (local.get $at) (local.get $token)))))
;; Answers one of those that are kept, or passes it on, or lets it go.
(func $do_reply
  (local $at i32) (local $how i32)
  (local.set $at (i32.add (i32.const 4352) (i32.mul (call $below (i32.const 16)) (i32.const 4))))
  (if (i32.eqz (i32.load (local.get $at))) (then (return)))
  (local.set $how (call $below (i32.const 4)))
  (if (i32.lt_u (local.get $how) (i32.const 2)) (then
    (if (i32.eqz (call $reply (i32.load (local.get $at)) (i32.const 0) (i32.const 256) (i32.const 24) (i32.const 1024) (call $handles)))
      (then (i32.store (local.get $at) (i32.const 0))))
    (return)))
  (if (i32.eq (local.get $how) (i32.const 2)) (then
    (i32.store (i32.const 1024) (i32.load (local.get $at)))
    (call $order)
    (if (i32.eqz (call $send (call $any) (i32.const 256) (i32.const 24) (i32.const 1024) (i32.const 1)))
      (then (i32.store (local.get $at) (i32.const 0))))
    (return)))
  (if (i32.eqz (call $handle_drop (i32.load (local.get $at)))) (then (i32.store (local.get $at) (i32.const 0)))))
;; Any policy, here or on the first node, plain or a group of one.
(func $do_spawn
  (local $handle i64)
  (call $order)
  (i64.store (i32.const 256) (i64.const 31))
  (memory.fill (i32.const 512) (i32.const 0) (i32.const 72))
  (i32.store (i32.const 544) (call $below (i32.const 2)))
  (i32.store8 (i32.const 562) (call $below (i32.const 4)))
  (i32.store8 (i32.const 563) (call $below (i32.const 3)))
  (if (i32.eqz (call $below (i32.const 4))) (then (i32.store8 (i32.const 564) (i32.const 1))))
  (memory.copy (i32.const 584) (i32.const 256) (i32.const 24))
  (local.set $handle (call $spawn (i32.const 0) (i32.const 512) (i32.const 96) (i32.const 1024) (call $handles)))
  (if (i64.ge_s (local.get $handle) (i64.const 0)) (then (call $meet (i32.wrap_i64 (local.get $handle))))))
(func $do_monitor
  (local $at i32) (local $id i64)
  (local.set $at (call $find (i32.const 4416) (i64.const 0)))
  (if (i32.eqz (local.get $at)) (then (return)))
  (local.set $id (call $monitor (call $any)))
  (if (i64.gt_s (local.get $id) (i64.const 0)) (then (i64.store (local.get $at) (local.get $id)))))
(func $do_demonitor
  (local $at i32)
  (local.set $at (i32.add (i32.const 4416) (i32.mul (call $below (i32.const 16)) (i32.const 8))))
  (if (i64.eqz (i64.load (local.get $at))) (then (return)))
  (if (i32.eqz (call $demonitor (i64.load (local.get $at)))) (then (i64.store (local.get $at) (i64.const 0)))))
(func $do_timer
  (local $at i32) (local $id i64)
  (local.set $at (call $find (i32.const 4544) (i64.const 0)))
  (if (i32.eqz (local.get $at)) (then (return)))
  (local.set $id (call $timer (i64.mul (i64.extend_i32_u (call $below (i32.const 900))) (i64.const 1000000))))
  (if (i64.gt_s (local.get $id) (i64.const 0)) (then (i64.store (local.get $at) (local.get $id)))))
(func $do_cancel
  (local $at i32)
  (local.set $at (i32.add (i32.const 4544) (i32.mul (call $below (i32.const 16)) (i32.const 8))))
  (if (i64.eqz (i64.load (local.get $at))) (then (return)))
  (if (i32.eqz (call $cancel (i64.load (local.get $at)))) (then (i64.store (local.get $at) (i64.const 0)))))
;; A copy has those rights of its original that were asked for and no others, and reaches the same.
(func $do_copy
  (local $from i32) (local $mask i32) (local $copy i64) (local $badge i64)
  (local.set $from (call $any))
  (local.set $mask (call $below (i32.const 128)))
  (if (i32.eqz (local.get $from)) (then (local.set $badge (call $throw))))
  (local.set $copy (call $handle_copy (local.get $from) (local.get $mask) (local.get $badge)))
  (if (i64.lt_s (local.get $copy) (i64.const 0)) (then (return)))
  (drop (call $handle_stat (local.get $from) (i32.const 4800)))
  (drop (call $handle_stat (i32.wrap_i64 (local.get $copy)) (i32.const 4824)))
  (if (i32.and (i32.load (i32.const 4828)) (i32.xor (i32.and (i32.load (i32.const 4804)) (local.get $mask)) (i32.const -1)))
    (then (call $is_wrong)))
  (if (i32.eqz (call $handle_same (local.get $from) (i32.wrap_i64 (local.get $copy)))) (then (call $is_wrong)))
  (call $meet (i32.wrap_i64 (local.get $copy))))
(func $do_drop
  (local $at i32)
  (local.set $at (call $met (i32.add (call $below (i32.const 63)) (i32.const 1))))
  (if (i32.load (local.get $at)) (then
    (drop (call $handle_drop (i32.load (local.get $at))))
    (i32.store (local.get $at) (i32.const 0)))))
;; Pages that were never touched, and those that were.
(func $do_memory
  (local $at i32)
  (if (i32.and (i32.eqz (call $below (i32.const 4))) (i32.lt_u (memory.size) (i32.const 24)))
    (then (drop (memory.grow (i32.const 1)))))
  (local.set $at (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 8)))
  (if (i32.gt_u (memory.size) (i32.const 2)) (then (i64.store (local.get $at) (call $throw)))))
(func $do_say
  (call $write (call $random) (call $clock) (global.get $deeds))
  (if (i64.ne (call $clock) (i64.load (i32.const 8200))) (then (call $is_wrong)))
  (call $log (i32.add (call $below (i32.const 5)) (i32.const 1)) (i32.const 256) (i32.const 24)))

;; Rarely something that a program must not do; what it did before in this handler is undone with it.
(func $misuse
  (if (call $below (i32.const 12)) (then (return)))
  (if (i32.eqz (call $below (i32.const 3))) (then (unreachable)))
  (if (i32.eqz (call $below (i32.const 2))) (then (drop (call $send (i32.const 777777) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))))
  (drop (call $send (i32.const 0) (i32.const -8) (i32.const 64) (i32.const 0) (i32.const 0))))

(func $deed
  (local $n i32)
  (global.set $deeds (i64.add (global.get $deeds) (i64.const 1)))
  (local.set $n (call $below (i32.const 40)))
  (if (i32.lt_u (local.get $n) (i32.const 8)) (then (call $do_send) (return)))
  (if (i32.lt_u (local.get $n) (i32.const 13)) (then (call $do_call) (return)))
  (if (i32.lt_u (local.get $n) (i32.const 17)) (then (call $do_reply) (return)))
  (if (i32.lt_u (local.get $n) (i32.const 19)) (then (call $do_spawn) (return)))
  (if (i32.lt_u (local.get $n) (i32.const 22)) (then (call $do_monitor) (return)))
  (if (i32.eq (local.get $n) (i32.const 22)) (then (call $do_demonitor) (return)))
  (if (i32.lt_u (local.get $n) (i32.const 26)) (then (call $do_timer) (return)))
  (if (i32.eq (local.get $n) (i32.const 26)) (then (call $do_cancel) (return)))
  (if (i32.lt_u (local.get $n) (i32.const 30)) (then (call $do_copy) (return)))
  (if (i32.eq (local.get $n) (i32.const 30)) (then (call $do_drop) (return)))
  (if (i32.eq (local.get $n) (i32.const 31)) (then (drop (call $handle_revoke (call $any))) (return)))
  (if (i32.eq (local.get $n) (i32.const 32)) (then (drop (call $link (call $any))) (return)))
  (if (i32.eq (local.get $n) (i32.const 33)) (then (drop (call $unlink (call $any))) (return)))
  (if (i32.lt_u (local.get $n) (i32.const 36)) (then (call $do_memory) (return)))
  (if (i32.eq (local.get $n) (i32.const 36)) (then (call $do_say) (return)))
  (if (i32.eq (local.get $n) (i32.const 37)) (then (call $misuse) (return)))
  (if (i32.eq (local.get $n) (i32.const 38)) (then
    (if (i32.eqz (call $below (i32.const 4))) (then (drop (call $kill (call $any)))))
    (return)))
  (if (i32.and (global.get $child) (i32.eqz (call $below (i32.const 2)))) (then
    (call $exit (call $below (i32.const 3)) (i32.const 0) (i32.const 4)))))

;; Some of the deeds that are left.
(func $go
  (local $n i32)
  (global.set $dice (i64.or (i64.xor (global.get $dice) (i64.load (i32.const 8232))) (i64.const 1)))
  (local.set $n (i32.add (call $below (i32.const 5)) (i32.const 1)))
  (block $done (loop $more
    (br_if $done (i64.eqz (global.get $left)))
    (global.set $left (i64.sub (global.get $left) (i64.const 1)))
    (call $deed)
    (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  )

(func $on_start
  (call $meet_all)
  (global.set $child (i64.eq (call $verb) (i64.const 31)))
  ;; A new life has no deeds of the old one's: otherwise one that dies of them would never end.
  (global.set $left (select (i64.const 0) (call $b) (i32.and (call $flags) (i32.const 4))))
  (call $go))
(func $on_message
  (call $meet_all)
  (if (i64.eq (call $verb) (i64.const 32)) (then (call $report) (return)))
  (if (i32.and (call $flags) (i32.const 1)) (then (call $answer (call $asked) (global.get $deeds)) (return)))
  (if (i32.ne (call $asked) (i32.const -1)) (then
    (if (call $below (i32.const 3))
      (then (call $answer (call $asked) (global.get $deeds)))
      (else (call $keep (call $asked))))))
  (global.set $dice (i64.xor (global.get $dice) (call $a)))
  (global.set $left (i64.add (global.get $left) (i64.and (call $b) (i64.const 0xff))))
  (call $go))
(func $on_reply
  (call $meet_all)
  (call $came (i32.const 4672) (call $token))
  (call $go))
(func $on_timer
  (call $came (i32.const 4544) (call $token))
  (call $go))
(func $on_down
  (if (i32.eqz (i32.and (call $flags) (i32.const 2))) (then (call $came (i32.const 4416) (call $token))))
  (call $go))
(func $on_bounce (call $go))

;; Two numbers: deeds done, and what was wrong.
(func $report
  (i32.store8 (i32.const 64) (i32.const 0x82))
  (call $put (i32.const 65) (global.get $deeds))
  (call $put (i32.const 74) (global.get $wrong))
  (drop (call $reply (call $asked) (i32.const 0) (i32.const 64) (i32.const 19) (i32.const 0) (i32.const 0))))
