;; What every guest here has. `guests.rs` puts it in front of each file and adds the handlers that a file has not.
;;
;;     0     zeros
;;    64     answers
;;   256     orders to others, and the start arguments behind a spawn spec
;;   512     a spawn spec
;;  1024     handles to pass
;;  4096     room
;;  8192     the inbox, to the end of memory
;;
;; An order is three numbers of 64 bits (a verb, `a`, `b`) and what follows them.

(import "pando_1" "send" (func $send (param i32 i32 i32 i32 i32) (result i32)))
(import "pando_1" "call" (func $call (param i32 i32 i32 i32 i32 i64 i32) (result i64)))
(import "pando_1" "reply" (func $reply (param i32 i32 i32 i32 i32 i32) (result i32)))
(import "pando_1" "spawn" (func $spawn (param i32 i32 i32 i32 i32) (result i64)))
(import "pando_1" "exit" (func $exit (param i32 i32 i32)))
(import "pando_1" "kill" (func $kill (param i32) (result i32)))
(import "pando_1" "link" (func $link (param i32) (result i32)))
(import "pando_1" "unlink" (func $unlink (param i32) (result i32)))
(import "pando_1" "monitor" (func $monitor (param i32) (result i64)))
(import "pando_1" "demonitor" (func $demonitor (param i64) (result i32)))
(import "pando_1" "timer" (func $timer (param i64) (result i64)))
(import "pando_1" "cancel" (func $cancel (param i64) (result i32)))
(import "pando_1" "now" (func $clock (result i64)))
(import "pando_1" "random" (func $random (result i64)))
(import "pando_1" "log" (func $log (param i32 i32 i32)))
(import "pando_1" "handle_copy" (func $handle_copy (param i32 i32 i64) (result i64)))
(import "pando_1" "handle_drop" (func $handle_drop (param i32) (result i32)))
(import "pando_1" "handle_revoke" (func $handle_revoke (param i32) (result i32)))
(import "pando_1" "handle_stat" (func $handle_stat (param i32 i32) (result i32)))
(import "pando_1" "handle_same" (func $handle_same (param i32 i32) (result i32)))

(memory (export "memory") 1)

(func (export "pando_inbox") (param $len i32) (result i32)
  (local $missing i32)
  (local.set $missing
    (i32.sub (i32.add (i32.const 8192) (local.get $len)) (i32.mul (memory.size) (i32.const 65536))))
  (if (i32.gt_s (local.get $missing) (i32.const 0)) (then
    (if (i32.eq (memory.grow (i32.add (i32.div_u (local.get $missing) (i32.const 65536)) (i32.const 1))) (i32.const -1))
      (then (unreachable)))))
  (i32.const 8192))

;; The event at the inbox.
(func $kind (result i32) (i32.load16_u (i32.const 8192)))
(func $flags (result i32) (i32.load16_u (i32.const 8194)))
(func $handle_count (result i32) (i32.load16_u (i32.const 8196)))
(func $status (result i32) (i32.load16_u (i32.const 8198)))
(func $token (result i64) (i64.load (i32.const 8208)))
(func $asked (result i32) (i32.load (i32.const 8224)))
(func $body_len (result i32) (i32.load (i32.const 8228)))
(func $handle (result i32) (i32.load (i32.const 8240)))
(func $body (result i32)
  (i32.and (i32.add (i32.const 8247) (i32.shl (i32.load16_u (i32.const 8196)) (i32.const 2))) (i32.const -8)))
;; The order in its body; an empty body is an order of zeros.
(func $number (param $n i32) (result i64)
  (if (result i64) (i32.gt_u (call $body_len) (i32.mul (local.get $n) (i32.const 8)))
    (then (i64.load (i32.add (call $body) (i32.mul (local.get $n) (i32.const 8)))))
    (else (i64.const 0))))
;; Its first three, which nearly every event looks at.
(func $verb (result i64)
  (if (result i64) (i32.gt_u (i32.load (i32.const 8228)) (i32.const 0))
    (then (i64.load offset=0
      (i32.and (i32.add (i32.const 8247) (i32.shl (i32.load16_u (i32.const 8196)) (i32.const 2))) (i32.const -8))))
    (else (i64.const 0))))
(func $a (result i64)
  (if (result i64) (i32.gt_u (i32.load (i32.const 8228)) (i32.const 8))
    (then (i64.load offset=8
      (i32.and (i32.add (i32.const 8247) (i32.shl (i32.load16_u (i32.const 8196)) (i32.const 2))) (i32.const -8))))
    (else (i64.const 0))))
(func $b (result i64)
  (if (result i64) (i32.gt_u (i32.load (i32.const 8228)) (i32.const 16))
    (then (i64.load offset=16
      (i32.and (i32.add (i32.const 8247) (i32.shl (i32.load16_u (i32.const 8196)) (i32.const 2))) (i32.const -8))))
    (else (i64.const 0))))

;; CBOR at `at`: a number of nine bytes.
(func $put (param $at i32) (param $n i64)
  (local $i i32)
  (i32.store8 (local.get $at) (i32.const 0x1b))
  (loop $more
    (i32.store8 (i32.add (local.get $at) (i32.sub (i32.const 8) (local.get $i))) (i32.wrap_i64 (local.get $n)))
    (local.set $n (i64.shr_u (local.get $n) (i64.const 8)))
    (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 8)))))
;; Answers a call with a number.
(func $answer (param $asker i32) (param $n i64)
  (if (i32.ne (local.get $asker) (i32.const -1)) (then
    (call $put (i32.const 64) (local.get $n))
    (drop (call $reply (local.get $asker) (i32.const 0) (i32.const 64) (i32.const 9) (i32.const 0) (i32.const 0))))))
;; Writes an order at 256.
(func $write (param $verb i64) (param $a i64) (param $b i64)
  (i64.store (i32.const 256) (local.get $verb))
  (i64.store (i32.const 264) (local.get $a))
  (i64.store (i32.const 272) (local.get $b)))
;; Sends what was written: so many bytes, zeros behind the order.
(func $tell (param $to i32) (param $len i32) (result i32)
  (call $send (local.get $to) (i32.const 256) (local.get $len) (i32.const 0) (i32.const 0)))
;; A spec for a child of one's own module with what was written as its start, and so many handles of 1024 on.
(func $bear (param $node i32) (param $replicas i32) (param $handles i32) (result i64)
  (memory.fill (i32.const 512) (i32.const 0) (i32.const 72))
  (i32.store (i32.const 544) (local.get $node))
  (i32.store8 (i32.const 563) (i32.const 1))
  (i32.store8 (i32.const 564) (local.get $replicas))
  (memory.copy (i32.const 584) (i32.const 256) (i32.const 24))
  (call $spawn (i32.const 0) (i32.const 512) (i32.const 96) (i32.const 1024) (local.get $handles)))

(func (export "pando_receive") (param $len i32)
  (block $bounce (block $upgrade (block $down (block $timer (block $reply (block $message (block $start
    (br_table $start $message $reply $timer $down $upgrade $bounce (i32.load16_u (i32.const 8192))))
    (call $on_start) (return))
    (call $on_message) (return))
    (call $on_reply) (return))
    (call $on_timer) (return))
    (call $on_down) (return))
    (return))
  (call $on_bounce))
