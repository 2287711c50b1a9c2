//! The imports, with slices for pointers.

use crate::{Errno, raw, sys::Answer};

fn answer(number: i64) -> Answer {
    match u64::try_from(number) {
        Ok(number) => Ok(number),
        Err(_) => Err(u16::try_from(-number).ok().and_then(Errno::from_code).unwrap_or(Errno::INTERNAL)),
    }
}

pub(crate) fn send(target: u32, body: &[u8], handles: &[u32]) -> Answer {
    // SAFETY: both pointers come with the length of the slice they point at.
    answer(unsafe { raw::send(target, body.as_ptr(), body.len(), handles.as_ptr(), handles.len()) }.into())
}

pub(crate) fn call(target: u32, body: &[u8], handles: &[u32], deadline_ns: u64, flags: i32) -> Answer {
    let (deadline, count) = (deadline_ns as i64, handles.len());
    // SAFETY: both pointers come with the length of the slice they point at.
    answer(unsafe { raw::call(target, body.as_ptr(), body.len(), handles.as_ptr(), count, deadline, flags) })
}

pub(crate) fn reply(reply: u32, status: u16, body: &[u8], handles: &[u32]) -> Answer {
    let (status, count) = (status.into(), handles.len());
    // SAFETY: both pointers come with the length of the slice they point at.
    answer(unsafe { raw::reply(reply, status, body.as_ptr(), body.len(), handles.as_ptr(), count) }.into())
}

pub(crate) fn spawn(authority: u32, spec: &[u8], handles: &[u32]) -> Answer {
    // SAFETY: both pointers come with the length of the slice they point at.
    answer(unsafe { raw::spawn(authority, spec.as_ptr(), spec.len(), handles.as_ptr(), handles.len()) })
}

pub(crate) fn exit(code: i32, message: &str) -> ! {
    // SAFETY: the pointer comes with the length of the text it points at.
    unsafe { raw::exit(code, message.as_ptr(), message.len()) };
    // The contract says that it does not come back.
    core::arch::wasm32::unreachable()
}

pub(crate) fn kill(target: u32) -> Answer {
    answer(raw::kill(target).into())
}

pub(crate) fn link(target: u32) -> Answer {
    answer(raw::link(target).into())
}

pub(crate) fn unlink(target: u32) -> Answer {
    answer(raw::unlink(target).into())
}

pub(crate) fn monitor(target: u32) -> Answer {
    answer(raw::monitor(target))
}

pub(crate) fn demonitor(monitor: u64) -> Answer {
    answer(raw::demonitor(monitor as i64).into())
}

pub(crate) fn timer(delay_ns: u64) -> Answer {
    answer(raw::timer(delay_ns as i64))
}

pub(crate) fn cancel(timer: u64) -> Answer {
    answer(raw::cancel(timer as i64).into())
}

pub(crate) fn now() -> u64 {
    raw::now() as u64
}

pub(crate) fn random() -> u64 {
    raw::random() as u64
}

pub(crate) fn log(level: u8, text: &str) {
    // SAFETY: the pointer comes with the length of the text it points at.
    unsafe { raw::log(level.into(), text.as_ptr(), text.len()) }
}

pub(crate) fn handle_copy(handle: u32, rights: u32, badge: u64) -> Answer {
    answer(raw::handle_copy(handle, rights, badge as i64))
}

pub(crate) fn handle_drop(handle: u32) -> Answer {
    answer(raw::handle_drop(handle).into())
}

pub(crate) fn handle_revoke(handle: u32) -> Answer {
    answer(raw::handle_revoke(handle).into())
}

pub(crate) fn handle_stat(handle: u32) -> [u8; 24] {
    let mut out = [0; 24];
    // SAFETY: `out` has the 24 bytes that the kernel writes.
    unsafe { raw::handle_stat(handle, out.as_mut_ptr()) };
    out
}

pub(crate) fn handle_same(a: u32, b: u32) -> bool {
    raw::handle_same(a, b) == 1
}
