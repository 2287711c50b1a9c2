;; Writes numbered letters on numbered lines, and checks the numbers of the letters that it is sent.
;;
;;  4096 + 8 n   the number of the last letter written on line n
;;  4608 + 32 n  of the letters got on line n: how many, how many again or late, how many skipped, the highest number

(func $row (result i32)
  (i32.add (i32.const 4608) (i32.mul (i32.const 32) (i32.and (i32.wrap_i64 (call $a)) (i32.const 63)))))
(func $bump (param $at i32) (param $by i64)
  (i64.store (local.get $at) (i64.add (i64.load (local.get $at)) (local.get $by))))

;; Answers with the letter's number, or 0 if it could not be sent.
(func $write_letter
  (local $at i32) (local $n i64)
  (local.set $at
    (i32.add (i32.const 4096) (i32.mul (i32.const 8) (i32.and (i32.wrap_i64 (call $a)) (i32.const 63)))))
  (local.set $n (i64.add (i64.load (local.get $at)) (i64.const 1)))
  (call $write (i64.const 2) (call $a) (local.get $n))
  (if (i32.eqz (call $tell (call $handle) (i32.const 24)))
    (then (i64.store (local.get $at) (local.get $n)))
    (else (local.set $n (i64.const 0))))
  (drop (call $handle_drop (call $handle)))
  (call $answer (call $asked) (local.get $n)))

(func $letter
  (local $row i32) (local $highest i64)
  (local.set $row (call $row))
  (local.set $highest (i64.load offset=24 (local.get $row)))
  (call $bump (local.get $row) (i64.const 1))
  (if (i64.le_u (call $b) (local.get $highest)) (then
    (call $bump (i32.add (local.get $row) (i32.const 8)) (i64.const 1))
    (return)))
  (call $bump (i32.add (local.get $row) (i32.const 16))
    (i64.sub (i64.sub (call $b) (local.get $highest)) (i64.const 1)))
  (i64.store offset=24 (local.get $row) (call $b)))

(func $report
  (local $row i32)
  (local.set $row (call $row))
  (i32.store8 (i32.const 64) (i32.const 0x84))
  (call $put (i32.const 65) (i64.load (local.get $row)))
  (call $put (i32.const 74) (i64.load offset=8 (local.get $row)))
  (call $put (i32.const 83) (i64.load offset=16 (local.get $row)))
  (call $put (i32.const 92) (i64.load offset=24 (local.get $row)))
  (drop (call $reply (call $asked) (i32.const 0) (i32.const 64) (i32.const 37) (i32.const 0) (i32.const 0))))

(func $on_message
  (if (i64.eq (call $verb) (i64.const 1)) (then (call $write_letter) (return)))
  (if (i64.eq (call $verb) (i64.const 2)) (then (call $letter) (return)))
  (if (i64.eq (call $verb) (i64.const 3)) (then (call $report) (return))))
