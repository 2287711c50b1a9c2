;; Every import of `pando_1`, once, and every export that a guest must have.
;;
;; A machine's view of SPEC.md. A test compiles this module and holds it against the Rust crate: names, order, parameter
;; names and types. A guest imports only what it uses.

(module
  ;; 1. Sends a message. It leaves when the handler returns.
  (import "pando_1" "send" (func $send (param $target i32) (param $body i32) (param $body_len i32) (param $handles i32) (param $handle_count i32) (result i32)))
  ;; 2. Sends a message with a one-time reply handle. Returns a token that comes back with the reply.
  (import "pando_1" "call" (func $call (param $target i32) (param $body i32) (param $body_len i32) (param $handles i32) (param $handle_count i32) (param $deadline_ns i64) (param $flags i32) (result i64)))
  ;; 3. Answers a call; the reply handle is used up.
  (import "pando_1" "reply" (func $reply (param $reply i32) (param $status i32) (param $body i32) (param $body_len i32) (param $handles i32) (param $handle_count i32) (result i32)))
  ;; 4. Starts an actor or a group. Returns a handle that is good at once.
  (import "pando_1" "spawn" (func $spawn (param $authority i32) (param $spec i32) (param $spec_len i32) (param $handles i32) (param $handle_count i32) (result i64)))
  ;; 5. Ends the caller when the handler returns: `0` is `normal`. Does not return.
  (import "pando_1" "exit" (func $exit (param $code i32) (param $message i32) (param $message_len i32)))
  ;; 6. Ends another actor.
  (import "pando_1" "kill" (func $kill (param $target i32) (result i32)))
  ;; 7. Ties two lives together.
  (import "pando_1" "link" (func $link (param $target i32) (result i32)))
  ;; 8. Unties them.
  (import "pando_1" "unlink" (func $unlink (param $target i32) (result i32)))
  ;; 9. Asks for a `down` event when the target ends. Returns the monitor's id.
  (import "pando_1" "monitor" (func $monitor (param $target i32) (result i64)))
  ;; 10. Takes a monitor back. After it no `down` with this id comes.
  (import "pando_1" "demonitor" (func $demonitor (param $monitor i64) (result i32)))
  ;; 11. Asks for a `timer` event after so many nanoseconds. Returns the timer's id.
  (import "pando_1" "timer" (func $timer (param $delay_ns i64) (result i64)))
  ;; 12. Takes a timer back. After it no `timer` event with this id comes.
  (import "pando_1" "cancel" (func $cancel (param $timer i64) (result i32)))
  ;; 13. The event's time: nanoseconds since 1970. Does not move inside a handler.
  (import "pando_1" "now" (func $now (result i64)))
  ;; 14. Sixty-four random bits, from the event's seed.
  (import "pando_1" "random" (func $random (result i64)))
  ;; 15. Writes a line to the actor's log.
  (import "pando_1" "log" (func $log (param $level i32) (param $text i32) (param $text_len i32)))
  ;; 16. Makes a handle with fewer rights; on one's own handle, with a badge and a grant of its own.
  (import "pando_1" "handle_copy" (func $handle_copy (param $handle i32) (param $rights i32) (param $badge i64) (result i64)))
  ;; 17. Lets a handle go. A reply handle that is let go answers `NO_REPLY`.
  (import "pando_1" "handle_drop" (func $handle_drop (param $handle i32) (result i32)))
  ;; 18. Takes back the grant that a copy of one's own handle carries, wherever its copies are.
  (import "pando_1" "handle_revoke" (func $handle_revoke (param $handle i32) (result i32)))
  ;; 19. Writes what is known of a handle: 24 bytes.
  (import "pando_1" "handle_stat" (func $handle_stat (param $handle i32) (param $out i32) (result i32)))
  ;; 20. Do two handles reach the same actor? 1 or 0.
  (import "pando_1" "handle_same" (func $handle_same (param $a i32) (param $b i32) (result i32)))

  (memory (export "memory") 1)

  ;; Room for an event of so many bytes, 8-aligned. One page is enough for what this module receives; a real guest grows.
  (func (export "pando_inbox") (param $len i32) (result i32)
    (i32.const 1024))

  ;; Handles the event of `len` bytes at the inbox. This one lets every event be.
  (func (export "pando_receive") (param $len i32)))
