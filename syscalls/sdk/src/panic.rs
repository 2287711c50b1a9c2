//! A panic in a guest: its words go to the log, and the handler is undone.
//!
//! The kernel keeps the log lines of a handler that faulted (SPEC.md, 5.15), so a person finds the panic's words there and
//! the backtrace in the exit record.

use crate::{prelude::*, sys};

#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    sys::log(1, &info.to_string());
    core::arch::wasm32::unreachable()
}

/// With std, the panic handler is std's, which has nowhere to write.
#[cfg(feature = "std")]
pub(crate) fn hook() {
    std::panic::set_hook(Box::new(|info| sys::log(1, &info.to_string())));
}
