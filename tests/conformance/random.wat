;; `random`: numbers from the event's seed, by SplitMix64.
;;
;; case 1: the first number follows from the seed -> 1
;; case 2: the second does too -> 1
;; case 3: two events have two seeds -> 1
;; case 4 (query): a query has randomness too -> 1

(global $seed (mut i64) (i64.const 0))

(func $event_seed (result i64) (i64.load (i32.const 8232)))
;; What SplitMix64 gives when its state has become this.
(func $mix (param $z i64) (result i64)
  (local.set $z (i64.mul (i64.xor (local.get $z) (i64.shr_u (local.get $z) (i64.const 30))) (i64.const 0xbf58476d1ce4e5b9)))
  (local.set $z (i64.mul (i64.xor (local.get $z) (i64.shr_u (local.get $z) (i64.const 27))) (i64.const 0x94d049bb133111eb)))
  (i64.xor (local.get $z) (i64.shr_u (local.get $z) (i64.const 31))))
(func $first_fits (result i64)
  (i64.extend_i32_u (i64.eq (call $random) (call $mix (i64.add (call $event_seed) (i64.const 0x9e3779b97f4a7c15))))))

(func $case1 (result i64) (call $first_fits))
(func $case2 (result i64)
  (drop (call $random))
  (i64.extend_i32_u (i64.eq (call $random) (call $mix (i64.add (call $event_seed) (i64.const 0x3c6ef372fe94f82a))))))
(func $case3 (result i64) (global.set $seed (call $event_seed)) (call $tell (i32.const 0) (i32.const 1)) (global.get $later))
(func $case4 (result i64) (call $first_fits))

(func $told
  (if (i32.eq (call $kind) (i32.const 1)) (then
    (call $answer (i64.extend_i32_u (i64.ne (call $event_seed) (global.get $seed)))))))
