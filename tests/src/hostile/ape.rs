//! A guest that makes the calls it is told, with the arguments it is told, and says what each returned.
//!
//! ```text
//! 0x1000  the area: 32 handles, then a spawn spec and its arguments     from the order, anew in each event
//! 0x1800  where `handle_stat` writes
//! 0x4000  4 KiB of text                                                 never written
//! 0x8000  the inbox
//! 0x10000 zeros, to the end of the memory
//! ```
//!
//! An order is the area, the number of records (8 bytes), and records of 64 bytes: call, times, seven arguments. The guest first logs the
//! handles that the event brought, and after each record the last result and the 24 bytes at 0x1800, in hexadecimal: lines are kept
//! whatever becomes of the handler. A handle or an argument [`MARK`] + k stands for the event's reply handle (0) or its kth handle.

use pando_abi::{Call, call::Value};

/// Where the area is, and how long.
pub const AREA: usize = 0x1000;
/// Its bytes.
pub const AREA_BYTES: usize = 256;
/// Where the spec is in it.
pub const SPEC: usize = AREA + 128;
/// Where `handle_stat` writes.
pub const OUT: usize = 0x1800;
/// Where the text is.
pub const TEXT: usize = 0x4000;
/// Its bytes.
pub const TEXT_BYTES: usize = 4096;
/// Where the zeros start.
pub const ZEROS: usize = 0x10000;
/// Bytes of memory.
pub const MEMORY: usize = 18 << 16;
/// See the module.
pub const MARK: i64 = 0x7ace_0000;
/// Handles that an order may bring.
pub const BROUGHT_MAX: usize = 4;
/// Bytes of one record.
pub const RECORD_BYTES: usize = 64;

/// The text at [`TEXT`].
pub fn text() -> Vec<u8> {
    (0..TEXT_BYTES).map(|n| b'a' + (n % 26) as u8).collect()
}

/// The guest as a module.
///
/// # Panics
/// If it does not assemble.
pub fn wasm() -> Vec<u8> {
    let (mut imports, mut arms) = (String::new(), String::new());
    for call in Call::ALL {
        let word = |v: &Value| if *v == Value::I32 { "i32" } else { "i64" };
        let params: Vec<_> = call.params().iter().map(|(_, v)| word(v)).collect();
        let result = call.result().map(|v| format!("(result {})", word(&v))).unwrap_or_default();
        let (name, params) = (call.name(), params.join(" "));
        imports += &format!("(import \"pando_1\" \"{name}\" (func ${name} (param {params}) {result}))\n");
        let arguments: Vec<String> = call
            .params()
            .iter()
            .enumerate()
            .map(|(n, (_, v))| {
                let load = format!("(i64.load offset={} (local.get $p))", 8 + 8 * n);
                if *v == Value::I32 { format!("(i32.wrap_i64 {load})") } else { load }
            })
            .collect();
        let made = format!("(call ${name} {})", arguments.join(" "));
        let returned = match call.result() {
            Some(Value::I32) => format!("(return (i64.extend_i32_s {made}))"),
            Some(Value::I64) => format!("(return {made})"),
            None => format!("{made} (return (i64.const 0))"),
        };
        arms += &format!("(if (i32.eq (local.get $n) (i32.const {})) (then {returned}))\n", *call as u8);
    }
    let text = String::from_utf8_lossy(&text()).into_owned();
    let wat = format!(
        r#"(module
        {imports}
        (memory (export "memory") {pages})
        (data (i32.const {TEXT}) "{text}")
        (func (export "pando_inbox") (param i32) (result i32) (i32.const 0x8000))
        (func $made (param $n i32) (param $p i32) (result i64)
          {arms}
          (unreachable))
        (func $real (param $v i64) (result i64)
          (if (i64.ne (i64.and (local.get $v) (i64.const -8)) (i64.const {MARK})) (then (return (local.get $v))))
          (if (i64.eq (local.get $v) (i64.const {MARK})) (then (return (i64.load32_u (i32.const 0x8020)))))
          (i64.load32_u offset=0x802c
            (i32.mul (i32.const 4) (i32.wrap_i64 (i64.and (local.get $v) (i64.const 7))))))
        (func $hex (param $at i32) (param $v i64)
          (local $n i32) (local $digit i32)
          (loop $next
            (local.set $digit (i32.wrap_i64 (i64.shr_u (local.get $v) (i64.const 60))))
            (i32.store8 (local.get $at) (i32.add (local.get $digit)
              (select (i32.const 87) (i32.const 48) (i32.gt_u (local.get $digit) (i32.const 9)))))
            (local.set $v (i64.shl (local.get $v) (i64.const 4)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $n) (i32.const 16)))))
        (func (export "pando_receive") (param i32)
          (local $p i32) (local $records i32) (local $times i32) (local $result i64) (local $n i32)
          (if (i32.eqz (i32.load (i32.const 0x8024))) (then (return)))
          (local.set $p (i32.and (i32.const -8)
            (i32.add (i32.const 0x8037) (i32.mul (i32.const 4) (i32.load16_u (i32.const 0x8004))))))
          (memory.copy (i32.const {AREA}) (local.get $p) (i32.const {AREA_BYTES}))
          (loop $word
            (i32.store offset={AREA} (local.get $n)
              (i32.wrap_i64 (call $real (i64.load32_u offset={AREA} (local.get $n)))))
            (local.set $n (i32.add (local.get $n) (i32.const 4)))
            (br_if $word (i32.lt_u (local.get $n) (i32.const 128))))
          (call $hex (i32.const 0x2000) (i64.load32_u (i32.const 0x8020)))
          (call $hex (i32.const 0x2010) (i64.load (i32.const 0x8030)))
          (call $hex (i32.const 0x2020) (i64.load (i32.const 0x8038)))
          (call $hex (i32.const 0x2030) (i64.const 0))
          (call $log (i32.const 5) (i32.const 0x2000) (i32.const 64))
          (local.set $records (i32.load offset={AREA_BYTES} (local.get $p)))
          (local.set $p (i32.add (local.get $p) (i32.const {first})))
          (loop $next (if (local.get $records) (then
            (local.set $times (i32.load16_u offset=2 (local.get $p)))
            (local.set $n (i32.const 8))
            (loop $argument
              (i64.store (i32.add (local.get $p) (local.get $n))
                (call $real (i64.load (i32.add (local.get $p) (local.get $n)))))
              (local.set $n (i32.add (local.get $n) (i32.const 8)))
              (br_if $argument (i32.lt_u (local.get $n) (i32.const {RECORD_BYTES}))))
            (loop $again
              (local.set $result (call $made (i32.load16_u (local.get $p)) (local.get $p)))
              (local.set $times (i32.sub (local.get $times) (i32.const 1)))
              (br_if $again (i32.gt_s (local.get $times) (i32.const 0))))
            (call $hex (i32.const 0x2000) (local.get $result))
            (call $hex (i32.const 0x2010) (i64.load (i32.const {OUT})))
            (call $hex (i32.const 0x2020) (i64.load offset=8 (i32.const {OUT})))
            (call $hex (i32.const 0x2030) (i64.load offset=16 (i32.const {OUT})))
            (call $log (i32.const 5) (i32.const 0x2000) (i32.const 64))
            (local.set $p (i32.add (local.get $p) (i32.const {RECORD_BYTES})))
            (local.set $records (i32.sub (local.get $records) (i32.const 1)))
            (br $next))))))"#,
        pages = MEMORY >> 16,
        first = AREA_BYTES + 8,
    );
    wat::parse_str(&wat).unwrap_or_else(|e| panic!("{e}\n{wat}"))
}
