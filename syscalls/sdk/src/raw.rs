//! The kernel's calls as they are: numbers and pointers.
//!
//! Only a guest has them. Everything else goes through [`crate::sys`].

#[link(wasm_import_module = "pando_1")]
unsafe extern "C" {
    /// SPEC.md, 5.1.
    pub fn send(target: u32, body: *const u8, body_len: usize, handles: *const u32, handle_count: usize) -> i32;
    /// SPEC.md, 5.2.
    pub fn call(
        target: u32,
        body: *const u8,
        body_len: usize,
        handles: *const u32,
        handle_count: usize,
        deadline_ns: i64,
        flags: i32,
    ) -> i64;
    /// SPEC.md, 5.3.
    pub fn reply(
        reply: u32,
        status: u32,
        body: *const u8,
        body_len: usize,
        handles: *const u32,
        handle_count: usize,
    ) -> i32;
    /// SPEC.md, 5.4.
    pub fn spawn(authority: u32, spec: *const u8, spec_len: usize, handles: *const u32, handle_count: usize) -> i64;
    /// SPEC.md, 5.5.
    pub fn exit(code: i32, message: *const u8, message_len: usize);
    /// SPEC.md, 5.6.
    pub safe fn kill(target: u32) -> i32;
    /// SPEC.md, 5.7.
    pub safe fn link(target: u32) -> i32;
    /// SPEC.md, 5.8.
    pub safe fn unlink(target: u32) -> i32;
    /// SPEC.md, 5.9.
    pub safe fn monitor(target: u32) -> i64;
    /// SPEC.md, 5.10.
    pub safe fn demonitor(monitor: i64) -> i32;
    /// SPEC.md, 5.11.
    pub safe fn timer(delay_ns: i64) -> i64;
    /// SPEC.md, 5.12.
    pub safe fn cancel(timer: i64) -> i32;
    /// SPEC.md, 5.13.
    pub safe fn now() -> i64;
    /// SPEC.md, 5.14.
    pub safe fn random() -> i64;
    /// SPEC.md, 5.15.
    pub fn log(level: i32, text: *const u8, text_len: usize);
    /// SPEC.md, 5.16.
    pub safe fn handle_copy(handle: u32, rights: u32, badge: i64) -> i64;
    /// SPEC.md, 5.17.
    pub safe fn handle_drop(handle: u32) -> i32;
    /// SPEC.md, 5.18.
    pub safe fn handle_revoke(handle: u32) -> i32;
    /// SPEC.md, 5.19.
    pub fn handle_stat(handle: u32, out: *mut u8) -> i32;
    /// SPEC.md, 5.20.
    pub safe fn handle_same(a: u32, b: u32) -> i32;
}
