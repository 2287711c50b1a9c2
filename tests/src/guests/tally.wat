;; A counter: every call adds one and answers the new value; a query only tells it.

(@custom "pando.interface" "actor Tally\n/// Adds one and returns the new value.\nfn add() -> u64\nquery value() -> u64\n")

(global $value (mut i64) (i64.const 0))

(func $on_message
  (if (i32.eqz (i32.and (call $flags) (i32.const 1))) (then
    (global.set $value (i64.add (global.get $value) (i64.const 1)))))
  (call $answer (call $asked) (global.get $value)))
