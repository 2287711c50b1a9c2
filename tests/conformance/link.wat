;; `link`: two lives tied together.
;;
;; case 1: the end of a linked child ends the parent -> exit linked 0
;; case 2: a handle that may not link: a child's to its parent -> DENIED
;; case 3 (query): a query links nobody -> READ_ONLY
;; case 4: one effect too many -> LIMIT
;; case 5: a handle that was never given -> fault "does not hold"
;; case 6: a normal end takes nobody along -> 0
;; case 12: a normal end is told by a `down` with the flag `link` and no token -> 200
;; case 7: oneself: nothing happens -> 0
;; case 8: the end of the parent ends a linked child -> 6
;; case 9: linking what has ended ends the caller too -> exit linked 0
;; case 10: twice is once: one `unlink` undoes it -> 1
;; case 11: a reply handle -> DENIED

(global $helper (mut i32) (i32.const 0))
(global $mode (mut i32) (i32.const 0))

(func $tie (param $handle i32) (result i64) (i64.extend_i32_s (call $link (local.get $handle))))
;; A helper that is linked, and told this.
(func $tied (param $letter i32)
  (global.set $helper (call $helper (i32.const 1)))
  (drop (call $link (global.get $helper)))
  (call $tell (global.get $helper) (local.get $letter)))

(func $case1 (result i64) (call $tied (i32.const 0x45)) (global.get $later))
(func $case2 (result i64) (call $tie (call $mine (i32.const 0x7b))))
(func $case3 (result i64) (call $tie (i32.const 0)))
(func $case4 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (call $tie (i32.const 0))) (global.get $later))
(func $case5 (result i64) (call $tie (i32.const 77)))
;; The `down` of the monitor comes; the parent lives to tell.
(func $case6 (result i64)
  (call $tied (i32.const 0x4E))
  (drop (call $monitor (global.get $helper)))
  (global.get $later))
(func $case7 (result i64) (call $tie (i32.const 0)))
;; The helper has a child of its own, linked; it fails, and its child tells how by its monitor: us.
(func $case8 (result i64)
  (global.set $mode (i32.const 8))
  (global.set $helper (call $helper (i32.const 2)))
  (global.get $later))
(func $case9 (result i64)
  (global.set $helper (call $helper (i32.const 1)))
  (global.set $mode (i32.const 9))
  (drop (call $monitor (global.get $helper)))
  (call $tell (global.get $helper) (i32.const 0x45))
  (global.get $later))
(func $case10 (result i64)
  (call $tied (i32.const 0))
  (drop (call $link (global.get $helper)))
  (drop (call $unlink (global.get $helper)))
  (drop (call $monitor (global.get $helper)))
  (call $tell (global.get $helper) (i32.const 0x45))
  (global.get $later))
(func $case11 (result i64) (call $tie (global.get $asker)))
(func $case12 (result i64) (global.set $mode (i32.const 12)) (call $tied (i32.const 0x4E)) (global.get $later))

(func $born
  ;; Role 2: spawns a linked child, gives its handle to the parent, and fails when that says so.
  (if (i32.eq (global.get $role) (i32.const 2)) (then
    (i32.store (i32.const 128) (call $helper (i32.const 1)))
    (drop (call $link (i32.load (i32.const 128))))
    (i32.store8 (i32.const 80) (i32.const 0x43))
    (drop (call $send (i32.const 1) (i32.const 80) (i32.const 1) (i32.const 128) (i32.const 1))))))
(func $told
  (if (global.get $role) (then
    (if (i32.eq (call $first) (i32.const 0x45)) (then (call $exit (i32.const 1) (i32.const 0) (i32.const 0))))
    (if (i32.eq (call $first) (i32.const 0x4E)) (then (call $exit (i32.const 0) (i32.const 0) (i32.const 0))))
    (return)))
  ;; Case 8: the grandchild's handle.
  (if (i32.and (i32.eq (call $kind) (i32.const 1)) (i32.eq (call $first) (i32.const 0x43))) (then
    (drop (call $monitor (call $handle (i32.const 0))))
    (call $tell (global.get $helper) (i32.const 0x45))
    (return)))
  (if (i32.eq (call $kind) (i32.const 4)) (then
    (if (i32.eq (global.get $mode) (i32.const 9)) (then (drop (call $link (global.get $helper))) (return)))
    ;; Flags in hundreds, the token, the exit kind: 2, 0, 0.
    (if (i32.eq (global.get $mode) (i32.const 12)) (then
      (call $answer (i64.add (i64.mul (i64.extend_i32_u (call $flags)) (i64.const 100))
        (i64.add (call $token) (i64.load16_u (call $body)))))
      (return)))
    (call $answer (i64.load16_u (call $body))))))
