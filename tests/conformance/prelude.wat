;; What every guest here has. The harness puts it in front of each file, adds `$told` and `$born` where a file has none, and
;; makes `$case` out of the file's `$case1`, `$case2` and so on.
;;
;;     0     zeros, and short texts of a file (from 1024)
;;    64     the answer's eight bytes
;;   128     handles to pass
;;   256     a spawn spec, then one byte of arguments
;;  4096     room to write to
;;  8192     the inbox, to the end of memory
;;
;; A call whose body is [0xC0, n] runs `$caseN`, and what that returns is the answer. If it returns
;; `$later`, somebody calls `$answer` in another event. Everything else that arrives goes to `$told`.

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
(import "pando_1" "now" (func $now (result i64)))
(import "pando_1" "random" (func $random (result i64)))
(import "pando_1" "log" (func $log (param i32 i32 i32)))
(import "pando_1" "handle_copy" (func $handle_copy (param i32 i32 i64) (result i64)))
(import "pando_1" "handle_drop" (func $handle_drop (param i32) (result i32)))
(import "pando_1" "handle_revoke" (func $handle_revoke (param i32) (result i32)))
(import "pando_1" "handle_stat" (func $handle_stat (param i32 i32) (result i32)))
(import "pando_1" "handle_same" (func $handle_same (param i32 i32) (result i32)))

(memory (export "memory") 1)

;; 0: the actor under test. Otherwise a helper that it spawned: what it does is up to the file.
(global $role (mut i32) (i32.const 0))
;; The reply handle of the case that runs.
(global $asker (mut i32) (i32.const -1))
;; What `$remind` brings back.
(global $kept (mut i64) (i64.const 0))
;; `$case` returns this when the answer comes later.
(global $later i64 (i64.const 0x8000000000000000))

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
(func $time (result i64) (i64.load (i32.const 8200)))
(func $token (result i64) (i64.load (i32.const 8208)))
(func $badge (result i64) (i64.load (i32.const 8216)))
(func $reply_handle (result i32) (i32.load (i32.const 8224)))
(func $body_len (result i32) (i32.load (i32.const 8228)))
(func $handle (param $n i32) (result i32) (i32.load offset=8240 (i32.mul (local.get $n) (i32.const 4))))
(func $body (result i32)
  (i32.and (i32.add (i32.const 8247) (i32.mul (call $handle_count) (i32.const 4))) (i32.const -8)))
;; The body's first byte; 0 if it is empty.
(func $first (result i32)
  (if (result i32) (call $body_len) (then (i32.load8_u (call $body))) (else (i32.const 0))))

;; Answers the case, if it has not been answered.
(func $answer (param $value i64)
  (if (i32.eq (global.get $asker) (i32.const -1)) (then (return)))
  (i64.store (i32.const 64) (local.get $value))
  (drop (call $reply (global.get $asker) (i32.const 0) (i32.const 64) (i32.const 8) (i32.const 0) (i32.const 0)))
  (global.set $asker (i32.const -1)))
;; A letter to somebody: one byte of body.
(func $tell (param $to i32) (param $letter i32)
  (i32.store8 (i32.const 80) (local.get $letter))
  (drop (call $send (local.get $to) (i32.const 80) (i32.const 1) (i32.const 0) (i32.const 0))))
;; Asks somebody with one byte of body, and waits for ever. The token.
(func $ask (param $to i32) (param $letter i32) (result i64)
  (i32.store8 (i32.const 80) (local.get $letter))
  (call $call (local.get $to) (i32.const 80) (i32.const 1) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0)))
;; One's own handle with only these rights.
(func $mine (param $rights i32) (result i32)
  (i32.wrap_i64 (call $handle_copy (i32.const 0) (local.get $rights) (i64.const 0))))
;; Somebody's handle with only these rights.
(func $less (param $handle i32) (param $rights i32) (result i32)
  (i32.wrap_i64 (call $handle_copy (local.get $handle) (local.get $rights) (i64.const 0))))
;; A helper: this module again, with a role. Its parent's handle can only send, monitor and share.
(func $helper (param $role i32) (result i32)
  (i32.store8 (i32.const 307) (i32.const 1))
  (i32.store8 (i32.const 328) (local.get $role))
  (i32.wrap_i64 (call $spawn (i32.const 0) (i32.const 256) (i32.const 73) (i32.const 0) (i32.const 0))))
;; Comes back after this handler, and answers with what `$kept` is then. One effect.
(func $remind (call $tell (i32.const 0) (i32.const 0x4B)))
;; Copies of this handle until no more fit.
(func $crowd (param $handle i32)
  (loop $more
    (br_if $more (i64.ge_s (call $handle_copy (local.get $handle) (i32.const 0) (i64.const 0)) (i64.const 0)))))
;; So many effects that change nothing.
(func $fill (param $count i32)
  (loop $more
    (drop (call $unlink (i32.const 0)))
    (br_if $more (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))
;; Room up to this address.
(func $grow_to (param $end i32)
  (drop (memory.grow (i32.sub (i32.div_u (i32.add (local.get $end) (i32.const 65535)) (i32.const 65536)) (memory.size)))))

(func (export "pando_receive") (param $len i32)
  (local $value i64)
  (if (i32.eqz (call $kind)) (then
    (global.set $role (call $first))
    (call $born)
    (return)))
  (if (i32.eq (call $kind) (i32.const 1)) (then
    (if (i32.and (i32.eq (call $first) (i32.const 0xC0)) (i32.eq (call $body_len) (i32.const 2))) (then
      (global.set $asker (call $reply_handle))
      (local.set $value (call $case (i32.load8_u offset=1 (call $body))))
      (if (i64.ne (local.get $value) (global.get $later)) (then (call $answer (local.get $value))))
      (return)))
    (if (i32.eq (call $first) (i32.const 0x4B)) (then
      (call $answer (global.get $kept))
      (return)))))
  (call $told))
