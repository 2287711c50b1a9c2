;; `monitor`: a `down` event when another ends, and the ends that one node can show.
;;
;; case 1: the `down` has the monitor's id -> 1
;; case 2: a handle that may not monitor -> DENIED
;; case 3 (query): a query monitors nobody -> READ_ONLY
;; case 4: one effect too many -> LIMIT
;; case 5: one monitor too many -> LIMIT
;; case 6: a handle that was never given -> fault "does not hold"
;; case 7: what has ended already is told at once -> 1
;; case 8: two monitors on one target, two `down`s -> 2
;; case 9: the code given to `exit` is in the record -> -77
;; case 10: the message given to `exit` is in the record -> 98
;; case 20: how it ended: normal -> 0
;; case 21: how it ended: error -> 1
;; case 22: how it ended: fault -> 2
;; case 23: how it ended: cpu-limit -> 3
;; case 24: how it ended: memory-limit -> 4
;; case 25: how it ended: killed -> 5
;; case 26: how it ended: linked -> 6
;; case 27: ids are positive and differ -> 1
;; case 28: a reply handle -> DENIED

(global $helper (mut i32) (i32.const 0))
(global $mode (mut i32) (i32.const 0))
(global $id (mut i64) (i64.const 0))
(global $downs (mut i64) (i64.const 0))
(data (i32.const 1024) "bye")

;; A helper with this role, monitored, and told this.
(func $watched (param $role i32) (param $letter i32) (result i64)
  (global.set $helper (call $helper (local.get $role)))
  (global.set $id (call $monitor (global.get $helper)))
  (call $tell (global.get $helper) (local.get $letter))
  (global.get $later))
(func $as (param $mode i32) (global.set $mode (local.get $mode)))

(func $case1 (result i64) (call $as (i32.const 1)) (call $watched (i32.const 1) (i32.const 0x45)))
(func $case2 (result i64) (call $monitor (call $mine (i32.const 0x77))))
(func $case3 (result i64) (call $monitor (i32.const 0)))
(func $case4 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (call $monitor (i32.const 0))) (global.get $later))
(func $case5 (result i64)
  (local $count i32)
  (local.set $count (i32.const 4096))
  (loop $more
    (if (i64.lt_s (call $monitor (i32.const 0)) (i64.const 0)) (then (unreachable)))
    (br_if $more (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
  (call $monitor (i32.const 0)))
(func $case6 (result i64) (call $monitor (i32.const 77)))
(func $case7 (result i64) (call $as (i32.const 7)) (call $watched (i32.const 1) (i32.const 0x45)))
(func $case8 (result i64)
  (call $as (i32.const 8))
  (drop (call $watched (i32.const 1) (i32.const 0x45)))
  (drop (call $monitor (global.get $helper)))
  (global.get $later))
(func $case9 (result i64) (call $as (i32.const 9)) (call $watched (i32.const 1) (i32.const 0x46)))
(func $case10 (result i64) (call $as (i32.const 10)) (call $watched (i32.const 1) (i32.const 0x46)))
(func $case20 (result i64) (call $watched (i32.const 1) (i32.const 0x4E)))
(func $case21 (result i64) (call $watched (i32.const 1) (i32.const 0x45)))
(func $case22 (result i64) (call $watched (i32.const 1) (i32.const 0x54)))
;; Twenty milliseconds for a loop that never ends.
(func $case23 (result i64) (i32.store16 (i32.const 310) (i32.const 20)) (call $watched (i32.const 1) (i32.const 0x4C)))
;; Less memory than the module has from the start.
(func $case24 (result i64) (i64.store (i32.const 296) (i64.const 1000)) (call $watched (i32.const 1) (i32.const 0)))
(func $case25 (result i64) (drop (call $watched (i32.const 1) (i32.const 0))) (drop (call $kill (global.get $helper))) (global.get $later))
;; The helper links a child of its own, which fails.
(func $case26 (result i64) (call $watched (i32.const 2) (i32.const 0)))
(func $case27 (result i64)
  (local $a i64) (local $b i64)
  (local.set $a (call $monitor (i32.const 0)))
  (local.set $b (call $monitor (i32.const 0)))
  (i64.extend_i32_u (i32.and (i32.and
    (i64.gt_s (local.get $a) (i64.const 0)) (i64.gt_s (local.get $b) (i64.const 0)))
    (i64.ne (local.get $a) (local.get $b)))))
(func $case28 (result i64) (call $monitor (global.get $asker)))

(func $born
  (if (i32.eq (global.get $role) (i32.const 2)) (then
    (global.set $helper (call $helper (i32.const 1)))
    (drop (call $link (global.get $helper)))
    (call $tell (global.get $helper) (i32.const 0x45)))))
(func $helper_told
  (local $letter i32)
  (local.set $letter (call $first))
  (if (i32.eq (local.get $letter) (i32.const 0x45)) (then (call $exit (i32.const 1) (i32.const 0) (i32.const 0))))
  (if (i32.eq (local.get $letter) (i32.const 0x46)) (then (call $exit (i32.const -77) (i32.const 1024) (i32.const 3))))
  (if (i32.eq (local.get $letter) (i32.const 0x4E)) (then (call $exit (i32.const 0) (i32.const 0) (i32.const 0))))
  (if (i32.eq (local.get $letter) (i32.const 0x54)) (then (unreachable)))
  (if (i32.eq (local.get $letter) (i32.const 0x4C)) (then (loop $for_ever (br $for_ever)))))
(func $told
  (if (global.get $role) (then (call $helper_told) (return)))
  (if (i32.ne (call $kind) (i32.const 4)) (then (return)))
  (global.set $downs (i64.add (global.get $downs) (i64.const 1)))
  (if (i32.eq (global.get $mode) (i32.const 1)) (then
    (call $answer (i64.extend_i32_u (i64.eq (call $token) (global.get $id)))) (return)))
  ;; Case 7: monitors the dead one again; the second `down` tells the same.
  (if (i32.and (i32.eq (global.get $mode) (i32.const 7)) (i64.eq (global.get $downs) (i64.const 1))) (then
    (drop (call $monitor (global.get $helper))) (return)))
  (if (i32.eq (global.get $mode) (i32.const 8)) (then
    (if (i64.eq (global.get $downs) (i64.const 2)) (then (call $answer (i64.const 2)))) (return)))
  (if (i32.eq (global.get $mode) (i32.const 9)) (then (call $answer (i64.load32_s offset=4 (call $body))) (return)))
  (if (i32.eq (global.get $mode) (i32.const 10)) (then (call $answer (i64.load8_u offset=8 (call $body))) (return)))
  (call $answer (i64.load16_u (call $body))))
