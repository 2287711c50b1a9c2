//! Breaking the contract.

use core::hint::black_box;

use pando::{Call, prelude::*, sys};

pub(crate) fn loop_forever() {
    let mut n = 0u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Deeper and deeper, with a frame that cannot be optimised away.
#[inline(never)]
#[allow(unconditional_recursion)]
pub(crate) fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    recurse(black_box(depth + 1)) + frame[(depth % 32) as usize]
}

#[cfg(target_arch = "wasm32")]
pub(crate) fn bad_pointer() {
    // SAFETY: the kernel checks every pointer; that it does is what this is for. Nothing here reads through it.
    unsafe { pando::raw::send(0, core::ptr::without_provenance(0xffff_fff0), 64, core::ptr::null(), 0) };
}

/// Natively there is no memory of one's own to leave.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn bad_pointer() {
    panic!("fault: a pointer that leaves the memory");
}

pub(crate) fn bad_handle(number: u32) {
    let _ = sys::send(number, &[], &[]);
}

#[cfg(target_arch = "wasm32")]
pub(crate) fn trap() {
    core::arch::wasm32::unreachable()
}

#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn trap() {
    panic!("fault: unreachable");
}

/// WebAssembly's own division, which traps, where Rust would panic before.
pub(crate) fn divide(a: i64, b: i64) -> i64 {
    match (black_box(a)).checked_div(black_box(b)) {
        Some(quotient) => quotient,
        None => {
            trap();
            0
        }
    }
}

pub(crate) fn use_after_drop() {
    let Ok(copy) = sys::handle_copy(Handle::me().number(), u32::MAX, 0) else { return };
    let copy = copy as u32;
    let _ = sys::handle_drop(copy);
    let _ = sys::send(copy, &[], &[]);
}

/// What each effect was told.
pub(crate) fn effects_in_a_query() -> Vec<String> {
    let me = Handle::me();
    let told = [
        ("send", Call::<()>::new(&me, "ignore", (Vec::<u8>::new(),)).send().err()),
        ("spawn", pando::Spawn::own().start::<Handle>(()).err()),
        ("timer", pando::Timer::start(Duration::ZERO).err()),
        ("monitor", me.watch().err()),
        ("link", me.link().err()),
        ("kill", me.kill().err()),
        ("grant", pando::grant(1, pando::Rights::ALL).err()),
    ];
    told.iter().map(|(what, told)| format!("{what}: {}", told.as_ref().map_or("done", |e| e.errno().name()))).collect()
}
