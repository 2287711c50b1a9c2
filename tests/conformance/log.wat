;; `log`: a line for people.
;;
;; case 1: a line is kept -> 0, log "hello"
;; case 2: a level that nobody knows -> fault "level 0"
;; case 3: a line that leaves memory -> fault "leaves the memory"
;; case 4 (query): a query may log -> 0, log "hello"
;; case 5: a line is no effect that others could crowd out -> 1, log "hello"
;; case 6: bytes that are not text are replaced -> 0, log "\u{fffd}!"
;; case 7: a line of a handler that faulted is kept -> fault "unreachable", log "hello"

(data (i32.const 1024) "hello\ff!")
(func $line (param $level i32) (param $at i32) (param $len i32) (result i64)
  (call $log (local.get $level) (local.get $at) (local.get $len)) (i64.const 0))

(func $case1 (result i64) (call $line (i32.const 3) (i32.const 1024) (i32.const 5)))
(func $case2 (result i64) (call $line (i32.const 0) (i32.const 1024) (i32.const 5)))
(func $case3 (result i64) (call $line (i32.const 3) (i32.const -4) (i32.const 5)))
(func $case4 (result i64) (call $line (i32.const 3) (i32.const 1024) (i32.const 5)))
(func $case5 (result i64)
  (call $remind) (call $fill (i32.const 16383))
  (global.set $kept (i64.const 1))
  (drop (call $line (i32.const 3) (i32.const 1024) (i32.const 5)))
  (global.get $later))
(func $case6 (result i64) (call $line (i32.const 3) (i32.const 1029) (i32.const 2)))
(func $case7 (result i64) (drop (call $line (i32.const 1) (i32.const 1024) (i32.const 5))) (unreachable))
