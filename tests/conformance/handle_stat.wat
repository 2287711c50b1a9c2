;; `handle_stat`: what the holder's own table says.
;;
;; case 1: oneself has every right -> 127
;; case 2: a reply handle is of its own kind, and can be passed on -> 316
;; case 3: the realm is a service -> 2
;; case 4: a child is a plain actor on this node -> 1
;; case 5: a badge -> 7
;; case 6: a handle that was never given -> fault "does not hold"
;; case 7: a place that leaves memory -> fault "leaves the memory"
;; case 8: nothing is written beyond 24 bytes -> 99
;; case 9 (query): a query may ask -> 127

(func $stat (param $handle i32) (drop (call $handle_stat (local.get $handle) (i32.const 4096))))

(func $case1 (result i64) (call $stat (i32.const 0)) (i64.load32_u (i32.const 4100)))
;; kind * 100 + rights
(func $case2 (result i64)
  (call $stat (global.get $asker))
  (i64.add (i64.mul (i64.load32_u (i32.const 4096)) (i64.const 100)) (i64.load32_u (i32.const 4100))))
(func $case3 (result i64) (call $stat (i32.const 2)) (i64.load32_u (i32.const 4096)))
(func $case4 (result i64)
  (local $node i64)
  (call $stat (i32.const 0))
  (local.set $node (i64.load32_u (i32.const 4112)))
  (call $stat (call $helper (i32.const 1)))
  (i64.extend_i32_u (i32.and (i32.eqz (i32.load (i32.const 4096))) (i32.and
    (i64.ne (local.get $node) (i64.const 0))
    (i64.eq (local.get $node) (i64.load32_u (i32.const 4112)))))))
(func $case5 (result i64)
  (call $stat (i32.wrap_i64 (call $handle_copy (i32.const 0) (i32.const 1) (i64.const 7))))
  (i64.load (i32.const 4104)))
(func $case6 (result i64) (call $stat (i32.const 77)) (i64.const 0))
(func $case7 (result i64) (i64.extend_i32_s (call $handle_stat (i32.const 0) (i32.const 65520))))
(func $case8 (result i64) (i64.store (i32.const 4120) (i64.const 99)) (call $stat (i32.const 0)) (i64.load (i32.const 4120)))
(func $case9 (result i64) (call $stat (i32.const 0)) (i64.load32_u (i32.const 4100)))
