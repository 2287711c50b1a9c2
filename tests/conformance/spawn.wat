;; `spawn`: a child whose handle is good at once.
;;
;; case 1: the child hears what it was sent before it lived -> 5
;; case 2: a handle without the right, and the parent's -> DENIED
;; case 3 (query): a query spawns nobody -> READ_ONLY
;; case 4: one effect too many -> LIMIT
;; case 5: a handle table that is full -> LIMIT
;; case 6: more memory than there may be -> LIMIT
;; case 7: more time than there may be -> LIMIT
;; case 8: more fuel than there may be -> LIMIT
;; case 9: more replicas than there may be -> LIMIT
;; case 10: under one's own handle another module than one's own -> DENIED
;; case 11: a spec that is too short -> fault "71 bytes"
;; case 12: a restart policy that nobody knows -> fault "does not know"
;; case 13: a priority that nobody knows -> fault "does not know"
;; case 14: a flag that nobody knows -> fault "does not know"
;; case 15: a reserved byte that is not zero -> fault "does not know"
;; case 16: a spec that leaves memory -> fault "leaves the memory"
;; case 17: a handle that was never given -> fault "does not hold"
;; case 18: arguments and handles come with the child's start -> 7
;; case 19: what may be done with a child -> 31
;; case 20: what a child may do with its parent -> 25
;; case 21: a child without a grant has a realm handle that may do nothing -> 0
;; case 22: a handle that may not be shared -> DENIED
;; case 23: a module that the realm does not have: `bad-module` -> 10
;; case 24: a node that the realm does not have: `no-actor` -> 9
;; case 25: no bytes of arguments are a start without a body -> 1
;; case 26: under a reply handle -> DENIED

(global $mode (mut i32) (i32.const 0))

;; Spawns with the spec at 256, after `$at` was set to `$byte` there.
(func $with (param $at i32) (param $byte i32) (result i64)
  (i32.store8 (i32.const 307) (i32.const 1))
  (i32.store8 (i32.add (i32.const 256) (local.get $at)) (local.get $byte))
  (call $spawn (i32.const 0) (i32.const 256) (i32.const 72) (i32.const 0) (i32.const 0)))
(func $under (param $authority i32) (result i64)
  (i32.store8 (i32.const 307) (i32.const 1))
  (call $spawn (local.get $authority) (i32.const 256) (i32.const 72) (i32.const 0) (i32.const 0)))

(func $case1 (result i64)
  (local $child i32)
  (local.set $child (call $helper (i32.const 1)))
  (call $tell (local.get $child) (i32.const 0x31))
  (global.get $later))
(func $case2 (result i64)
  (local $a i64)
  (local.set $a (call $under (call $mine (i32.const 0x5f))))
  (if (i64.ne (local.get $a) (call $under (i32.const 1))) (then (unreachable)))
  (local.get $a))
(func $case3 (result i64) (call $under (i32.const 0)))
(func $case4 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (call $under (i32.const 0))) (global.get $later))
(func $case5 (result i64)
  (call $crowd (i32.const 2))
  (call $under (i32.const 0)))
(func $case6 (result i64) (call $with (i32.const 44) (i32.const 1)))
(func $case7 (result i64) (i32.store16 (i32.const 310) (i32.const 60001)) (call $under (i32.const 0)))
(func $case8 (result i64) (i32.store (i32.const 292) (i32.const 60001)) (call $under (i32.const 0)))
(func $case9 (result i64) (call $with (i32.const 52) (i32.const 8)))
(func $case10 (result i64) (call $with (i32.const 0) (i32.const 1)))
(func $case11 (result i64) (call $spawn (i32.const 0) (i32.const 256) (i32.const 71) (i32.const 0) (i32.const 0)))
(func $case12 (result i64) (call $with (i32.const 50) (i32.const 4)))
(func $case13 (result i64) (call $with (i32.const 51) (i32.const 3)))
(func $case14 (result i64) (call $with (i32.const 48) (i32.const 2)))
(func $case15 (result i64) (call $with (i32.const 53) (i32.const 1)))
(func $case16 (result i64) (call $spawn (i32.const 0) (i32.const -72) (i32.const 73) (i32.const 0) (i32.const 0)))
(func $case17 (result i64) (call $under (i32.const 77)))
;; Arguments are two bytes, role 2 and 5; the handle is oneself. 5 + one handle + one that is the parent's.
(func $case18 (result i64)
  (i32.store8 (i32.const 307) (i32.const 1))
  (i32.store8 (i32.const 328) (i32.const 2)) (i32.store8 (i32.const 329) (i32.const 5))
  (i32.store (i32.const 128) (i32.const 0))
  (drop (call $spawn (i32.const 0) (i32.const 256) (i32.const 74) (i32.const 128) (i32.const 1)))
  (global.get $later))
(func $case19 (result i64)
  (drop (call $handle_stat (call $helper (i32.const 1)) (i32.const 4096)))
  (i64.load32_u (i32.const 4100)))
(func $case20 (result i64) (drop (call $helper (i32.const 3))) (global.get $later))
(func $case21 (result i64) (drop (call $helper (i32.const 4))) (global.get $later))
(func $case22 (result i64)
  (i32.store8 (i32.const 307) (i32.const 1))
  (i32.store (i32.const 128) (call $mine (i32.const 0x0f)))
  (call $spawn (i32.const 0) (i32.const 256) (i32.const 72) (i32.const 128) (i32.const 1)))
;; Under the realm's handle any hash is a wish.
(func $case23 (result i64)
  (i32.store8 (i32.const 256) (i32.const 1))
  (drop (call $monitor (i32.wrap_i64 (call $under (i32.const 2)))))
  (global.set $mode (i32.const 1))
  (global.get $later))
(func $case24 (result i64)
  (drop (call $monitor (i32.wrap_i64 (call $with (i32.const 32) (i32.const 99)))))
  (global.set $mode (i32.const 1))
  (global.get $later))
;; The child's role is then 0; it says so to its parent at its start.
(func $case25 (result i64) (global.set $mode (i32.const 2)) (drop (call $under (i32.const 0))) (global.get $later))
(func $case26 (result i64) (call $under (global.get $asker)))

(func $born
  (if (i32.eq (global.get $role) (i32.const 2)) (then
    (call $report (i64.add (i64.extend_i32_u (call $handle_count)) (i64.add
      (i64.load8_u offset=1 (call $body))
      (i64.extend_i32_u (call $handle_same (call $handle (i32.const 0)) (i32.const 1))))))))
  (if (i32.eq (global.get $role) (i32.const 3)) (then (call $report_rights (i32.const 1))))
  (if (i32.eq (global.get $role) (i32.const 4)) (then (call $report_rights (i32.const 2))))
  ;; Role 0 with no body: the actor under test itself, and the child of case 25. The parent of the first is no guest.
  (if (i32.eqz (i32.or (global.get $role) (call $body_len))) (then (call $report (i64.const 1)))))
(func $report_rights (param $handle i32)
  (drop (call $handle_stat (local.get $handle) (i32.const 4096)))
  (call $report (i64.load32_u (i32.const 4100))))
;; Tells the parent a number.
(func $report (param $value i64)
  (i32.store8 (i32.const 79) (i32.const 0x52))
  (i64.store (i32.const 80) (local.get $value))
  (drop (call $send (i32.const 1) (i32.const 79) (i32.const 9) (i32.const 0) (i32.const 0))))
(func $told
  (if (i32.eq (call $kind) (i32.const 4)) (then
    (if (global.get $mode) (then (call $answer (i64.load16_u (call $body)))))
    (return)))
  (if (i32.ne (call $kind) (i32.const 1)) (then (return)))
  (if (i32.eq (call $first) (i32.const 0x52)) (then (call $answer (i64.load offset=1 (call $body)))))
  (if (i32.and (i32.eq (global.get $role) (i32.const 1)) (i32.eq (call $first) (i32.const 0x31))) (then
    (call $report (i64.const 5)))))
