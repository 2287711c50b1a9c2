;; A counter: every call adds one and answers the new value; a query only tells it.

(@custom "pando.interface" "actor Tally\n/// Adds one and returns the new value.\nfn add() -> u64\nquery value() -> u64\n")

(global $value (mut i64) (i64.const 0))

(func $on_message
  (if (i32.eqz (i32.and (call $flags) (i32.const 1))) (then
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
