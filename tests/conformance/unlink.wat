;; `unlink`: two lives untied.
;;
;; case 1: the other's end takes nobody along any more -> 1
;; case 2: a handle that may not link -> DENIED
;; case 3 (query): a query unties nobody -> READ_ONLY
;; case 4: one effect too many -> LIMIT
;; case 5: a handle that was never given -> fault "does not hold"
;; case 6: where there was no link, nothing happens -> 0

(global $helper (mut i32) (i32.const 0))

(func $untie (param $handle i32) (result i64) (i64.extend_i32_s (call $unlink (local.get $handle))))

(func $case1 (result i64)
  (global.set $helper (call $helper (i32.const 1)))
  (drop (call $link (global.get $helper)))
  (drop (call $unlink (global.get $helper)))
  (drop (call $monitor (global.get $helper)))
  (call $tell (global.get $helper) (i32.const 0x45))
  (global.get $later))
(func $case2 (result i64) (call $untie (call $mine (i32.const 0x7b))))
(func $case3 (result i64) (call $untie (i32.const 0)))
(func $case4 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (call $untie (i32.const 0))) (global.get $later))
(func $case5 (result i64) (call $untie (i32.const 77)))
(func $case6 (result i64) (call $untie (call $helper (i32.const 1))))

(func $told
  (if (i32.and (global.get $role) (i32.eq (call $first) (i32.const 0x45))) (then
    (call $exit (i32.const 1) (i32.const 0) (i32.const 0))))
  (if (i32.eq (call $kind) (i32.const 4)) (then (call $answer (i64.load16_u (call $body))))))
