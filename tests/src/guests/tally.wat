;; A counter: every call adds one and answers the new value; a query only tells it, after `a` rounds of doing nothing.

(@custom "pando.interface" "actor Tally\n/// Adds one and returns the new value.\nfn add() -> u64\nquery value() -> u64\n")

(global $value (mut i64) (i64.const 0))

(func $on_message
  (local $left i64)
  (if (i32.and (call $flags) (i32.const 1)) (then
    (local.set $left (call $a))
    (block $done (loop $rounds
      (br_if $done (i64.eqz (local.get $left)))
      (local.set $left (i64.sub (local.get $left) (i64.const 1)))
      (br $rounds))))
  (else
    (global.set $value (i64.add (global.get $value) (i64.const 1)))))
  (call $answer (call $asked) (global.get $value)))

;; Its state is one number, in version 1.
(func (export "pando_export_state") (result i64)
  (i32.store (i32.const 256) (i32.const 1))
  (i32.store (i32.const 260) (i32.const 0))
  (i64.store (i32.const 264) (global.get $value))
  (i64.const 0x1000000100))
(func (export "pando_import_state") (param $len i32)
  (global.set $value (i64.load (call $body))))
