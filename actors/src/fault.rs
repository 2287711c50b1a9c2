//! From a handler that did not return to a sentence and a backtrace.
//!
//! Owns: the words. Does not know what happens to the actor.
//!
//! 1. The first line is the reason in one sentence; each further line is a frame of the guest, innermost first.
//! 2. The same fault of the same module gives the same words on every machine.

use std::fmt::Write;

use pando_abi::ExitKind;
use wasmtime::{Trap, WasmBacktrace};

use crate::{Exit, Limits, guest::Stop};

/// How a handler that was cut short ended.
pub(crate) fn exit_of(error: &wasmtime::Error, stop: Option<Stop>, limits: &Limits) -> Exit {
    let (kind, code, mut message) = match stop {
        Some(Stop::Exit { code: 0, message }) => return Exit { kind: ExitKind::Normal, code: 0, message },
        Some(Stop::Exit { code, message }) => return Exit { kind: ExitKind::Error, code, message },
        Some(Stop::Misuse(sentence)) => (ExitKind::Fault, 0, sentence),
        Some(Stop::Killed) => (
            ExitKind::CpuLimit,
            0,
            format!("the handler ran over its limit of {} ms of processor time", limits.handler_ms),
        ),
        Some(Stop::NoMemory) => {
            (ExitKind::MemoryLimit, 0, "the machine has no memory left for the actor to grow".into())
        }
        None => match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => {
                (ExitKind::CpuLimit, 0, format!("the handler used up its {} units of fuel", limits.fuel))
            }
            Some(trap) => (ExitKind::Fault, 0, reason(*trap)),
            None => (ExitKind::Fault, 0, format!("the guest could not go on: {}", error.root_cause())),
        },
    };
    backtrace(error, &mut message);
    Exit { kind, code, message }
}

fn reason(trap: Trap) -> String {
    match trap {
        Trap::StackOverflow => "the stack is too deep: a recursion without an end?".into(),
        Trap::MemoryOutOfBounds => "a load or store outside of the memory".into(),
        Trap::TableOutOfBounds => "an indirect call outside of the table".into(),
        Trap::IndirectCallToNull => "an indirect call to nothing".into(),
        Trap::BadSignature => "an indirect call to a function of another type".into(),
        Trap::IntegerOverflow => "a division or a conversion overflowed an integer".into(),
        Trap::IntegerDivisionByZero => "an integer was divided by zero".into(),
        Trap::BadConversionToInteger => "a float that is not a number was converted to an integer".into(),
        Trap::UnreachableCodeReached => "`unreachable` was reached: a panic, an abort or a failed assertion".into(),
        other => other.to_string(),
    }
}

fn backtrace(error: &wasmtime::Error, out: &mut String) {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return };
    for frame in trace.frames() {
        out.push_str("\n  at ");
        match frame.func_name() {
            // The alternate form leaves out the hash that the compiler puts at a name's end.
            Some(name) => _ = write!(out, "{:#}", rustc_demangle::demangle(name)),
            None => _ = write!(out, "function {}", frame.func_index()),
        }
        if let Some(offset) = frame.func_offset() {
            _ = write!(out, " +{offset:#x}");
        }
    }
}

/// The guest broke the contract outside of a call.
pub(crate) fn misuse(sentence: String) -> Exit {
    Exit::new(ExitKind::Fault, sentence)
}
