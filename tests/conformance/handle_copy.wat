;; `handle_copy`: fewer rights; on oneself, a badge.
;;
;; case 1: the copy has those rights of the original that were asked for -> 9
;; case 2: a handle that may not be shared -> DENIED
;; case 3 (query): a copy of oneself mints a grant, which is an effect -> READ_ONLY
;; case 4: a handle table that is full -> LIMIT
;; case 5: one grant too many -> LIMIT
;; case 6: one effect too many -> LIMIT
;; case 7: a reply handle: there is one of it -> fault "only one of it"
;; case 8: a badge on somebody else's handle -> fault "badge"
;; case 9: a handle that was never given -> fault "does not hold"
;; case 10: a copy of oneself never has the spawn and grant rights -> 31
;; case 11: the badge comes with each message -> 81985529216486895
;; case 12: a copy of somebody else's handle is no effect -> 49
;; case 13: a right that the original lacks is not gained -> 1
;; case 14: the badge goes along when the copy is passed on -> 5
;; case 15 (query): a copy of somebody else's handle may be made in a query -> 1

(global $count (mut i32) (i32.const 0))

(func $rights_of (param $handle i64) (result i64)
  (drop (call $handle_stat (i32.wrap_i64 (local.get $handle)) (i32.const 4096)))
  (i64.load32_u (i32.const 4100)))

(func $case1 (result i64) (call $rights_of (call $handle_copy (i32.const 0) (i32.const 9) (i64.const 0))))
(func $case2 (result i64)
  (call $handle_copy (i32.wrap_i64 (call $handle_copy (i32.const 0) (i32.const 0x0f) (i64.const 0))) (i32.const -1) (i64.const 0)))
(func $case3 (result i64) (call $handle_copy (i32.const 0) (i32.const -1) (i64.const 0)))
(func $case4 (result i64) (call $crowd (i32.const 2)) (call $handle_copy (i32.const 2) (i32.const 0) (i64.const 0)))
(func $case5 (result i64)
  (local $count i32)
  (local.set $count (i32.const 4096))
  (loop $more
    (if (i64.lt_s (call $handle_copy (i32.const 0) (i32.const 0) (i64.const 0)) (i64.const 0)) (then (unreachable)))
    (br_if $more (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
  (call $handle_copy (i32.const 0) (i32.const 0) (i64.const 0)))
(func $case6 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (call $handle_copy (i32.const 0) (i32.const -1) (i64.const 0))) (global.get $later))
(func $case7 (result i64) (call $handle_copy (global.get $asker) (i32.const -1) (i64.const 0)))
(func $case8 (result i64) (call $handle_copy (i32.const 2) (i32.const -1) (i64.const 1)))
(func $case9 (result i64) (call $handle_copy (i32.const 77) (i32.const -1) (i64.const 0)))
(func $case10 (result i64) (call $rights_of (call $handle_copy (i32.const 0) (i32.const -1) (i64.const 0))))
(func $case11 (result i64)
  (call $tell (i32.wrap_i64 (call $handle_copy (i32.const 0) (i32.const 1) (i64.const 0x0123456789abcdef))) (i32.const 0x42))
  (global.get $later))
;; The realm's handle has send, share and spawn; of those, all are asked for.
(func $case12 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (call $rights_of (call $handle_copy (i32.const 2) (i32.const -1) (i64.const 0)))) (global.get $later))
(func $case13 (result i64) (call $rights_of (call $handle_copy (i32.const 2) (i32.const 3) (i64.const 0))))
;; The helper gets the copy and sends through it.
(func $case14 (result i64)
  (i32.store (i32.const 128) (i32.wrap_i64 (call $handle_copy (i32.const 0) (i32.const 0x11) (i64.const 5))))
  (drop (call $send (call $helper (i32.const 1)) (i32.const 0) (i32.const 0) (i32.const 128) (i32.const 1)))
  (global.get $later))
(func $case15 (result i64) (call $rights_of (call $handle_copy (i32.const 2) (i32.const 9) (i64.const 0))))

(func $told
  (if (i32.ne (call $kind) (i32.const 1)) (then (return)))
  (if (global.get $role) (then (call $tell (call $handle (i32.const 0)) (i32.const 0x42)) (return)))
  (if (i32.eq (call $first) (i32.const 0x42)) (then (call $answer (call $badge)))))
