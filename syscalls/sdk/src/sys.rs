//! The kernel's calls with slices for pointers and errors for negative numbers.
//!
//! The lowest layer that an actor can use without `unsafe`. In a guest it is the imports; in a native test it is the fake
//! kernel. Does not know: values, futures, who waits for what. A handle is its bare number here: one that the caller does
//! not hold faults it. The numbers at the functions are pages of SPEC.md, with errors and faults.
//!
//! 1. An actor that asks for too much in one handler can still answer: of what one handler may ask for, the last
//!    [`RESERVED_EFFECTS`] and [`RESERVED_BYTES`] are for replies, and anything else is told `LIMIT` here before.

#[cfg(target_arch = "wasm32")]
mod guest;

#[cfg(not(target_arch = "wasm32"))]
use crate::testing::platform;
#[cfg(target_arch = "wasm32")]
use guest as platform;

use pando_abi::limits;

use crate::{Errno, runtime};

/// A result of a call: its number, or what the kernel answered.
pub type Answer = Result<u64, Errno>;

/// Effects of one handler that only replies can use.
pub const RESERVED_EFFECTS: usize = 64;
/// Bytes of one handler's bodies that only replies can use.
pub const RESERVED_BYTES: usize = limits::MESSAGE_BYTES_MAX;

/// Counts an effect with so many bytes, if there is room for it beside what is reserved.
fn spend(bytes: usize) -> Result<(), Errno> {
    runtime::current(|runtime| {
        let (effects, sum) = runtime.spent.get();
        let (effects, sum) = (effects + 1, sum.saturating_add(bytes));
        let room =
            effects <= limits::EFFECTS_MAX - RESERVED_EFFECTS && sum <= limits::EFFECT_BYTES_MAX - RESERVED_BYTES;
        if !room {
            return Err(Errno::LIMIT);
        }
        runtime.spent.set((effects, sum));
        Ok(())
    })
}

/// 5.1: Sends a message.
///
/// # Errors
/// Those of the page.
pub fn send(target: u32, body: &[u8], handles: &[u32]) -> Answer {
    spend(body.len())?;
    platform::send(target, body, handles)
}

/// 5.2: Sends a message with a one-time reply handle; gives the token that comes back with the reply.
///
/// # Errors
/// Those of the page.
pub fn call(target: u32, body: &[u8], handles: &[u32], deadline_ns: u64, flags: i32) -> Answer {
    spend(body.len())?;
    platform::call(target, body, handles, deadline_ns, flags)
}

/// 5.3: Answers a call.
///
/// # Errors
/// Those of the page.
pub fn reply(reply: u32, status: u16, body: &[u8], handles: &[u32]) -> Answer {
    platform::reply(reply, status, body, handles)
}

/// 5.4: Starts an actor: a spawn spec, then its arguments; gives a handle.
///
/// # Errors
/// Those of the page.
pub fn spawn(authority: u32, spec: &[u8], handles: &[u32]) -> Answer {
    spend(spec.len())?;
    platform::spawn(authority, spec, handles)
}

/// 5.5: Ends the caller when the handler is over.
pub fn exit(code: i32, message: &str) -> ! {
    platform::exit(code, message)
}

/// 5.6: Ends another actor.
///
/// # Errors
/// Those of the page.
pub fn kill(target: u32) -> Answer {
    spend(0)?;
    platform::kill(target)
}

/// 5.7: Ties two lives together.
///
/// # Errors
/// Those of the page.
pub fn link(target: u32) -> Answer {
    spend(0)?;
    platform::link(target)
}

/// 5.8: Unties them.
///
/// # Errors
/// Those of the page.
pub fn unlink(target: u32) -> Answer {
    spend(0)?;
    platform::unlink(target)
}

/// 5.9: Asks for a `down`; gives the monitor's id.
///
/// # Errors
/// Those of the page.
pub fn monitor(target: u32) -> Answer {
    spend(0)?;
    platform::monitor(target)
}

/// 5.10: Takes a monitor back.
///
/// # Errors
/// Those of the page.
pub fn demonitor(monitor: u64) -> Answer {
    spend(0)?;
    platform::demonitor(monitor)
}

/// 5.11: Asks for a `timer` event; gives the timer's id.
///
/// # Errors
/// Those of the page.
pub fn timer(delay_ns: u64) -> Answer {
    spend(0)?;
    platform::timer(delay_ns)
}

/// 5.12: Takes a timer back.
///
/// # Errors
/// Those of the page.
pub fn cancel(timer: u64) -> Answer {
    spend(0)?;
    platform::cancel(timer)
}

/// 5.13: The event's time in nanoseconds since 1970.
pub fn now() -> u64 {
    platform::now()
}

/// 5.14: Sixty-four random bits.
pub fn random() -> u64 {
    platform::random()
}

/// 5.15: Writes a line to the log; levels are 1 to 5.
pub fn log(level: u8, text: &str) {
    platform::log(level, text);
}

/// 5.16: Makes a handle with fewer rights, or a grant.
///
/// # Errors
/// Those of the page.
pub fn handle_copy(handle: u32, rights: u32, badge: u64) -> Answer {
    platform::handle_copy(handle, rights, badge)
}

/// 5.17: Lets a handle go.
///
/// # Errors
/// Those of the page.
pub fn handle_drop(handle: u32) -> Answer {
    platform::handle_drop(handle)
}

/// 5.18: Takes a grant back.
///
/// # Errors
/// Those of the page.
pub fn handle_revoke(handle: u32) -> Answer {
    spend(0)?;
    platform::handle_revoke(handle)
}

/// 5.19: What one's own table says of a handle.
pub fn handle_stat(handle: u32) -> [u8; 24] {
    platform::handle_stat(handle)
}

/// 5.20: Do both reach the same actor?
pub fn handle_same(a: u32, b: u32) -> bool {
    platform::handle_same(a, b)
}
