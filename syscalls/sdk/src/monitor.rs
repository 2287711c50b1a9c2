//! Learning that another actor has ended.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pando_abi::exit::{ExitKind, ExitRecord};

use crate::{
    Handle, Result,
    prelude::*,
    runtime::{Arrived, Kind, Waiting},
    sys,
};

/// How an actor ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Down {
    /// The monitor that tells; `None` if it is a link that does.
    pub monitor: Option<u64>,
    /// The kind of end.
    pub kind: ExitKind,
    /// What the actor gave to `exit`, or 0.
    pub code: i32,
    /// For people: what it gave to `exit`, or the fault and where it was.
    pub message: String,
}

impl Down {
    pub(crate) fn read(monitor: Option<u64>, body: &[u8]) -> Down {
        let record = ExitRecord::from_bytes(body);
        let kind = record.and_then(|record| ExitKind::from_u16(record.kind)).unwrap_or(ExitKind::NoActor);
        let message = body.get(ExitRecord::SIZE..).and_then(|message| core::str::from_utf8(message).ok());
        Down {
            monitor,
            kind,
            code: record.map_or(0, |record| record.code),
            message: message.unwrap_or_default().to_owned(),
        }
    }
}

/// Sends of one's own that could not be delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounce {
    /// How many since the last bounce.
    pub count: u64,
    /// What became of the latest.
    pub error: crate::Errno,
}

/// Waits for an actor's end.
#[must_use = "dropping a monitor takes it back"]
#[derive(Debug)]
pub struct Monitor {
    id: u64,
    waiting: Waiting,
}

impl Monitor {
    pub(crate) fn start(target: &Handle) -> Result<Monitor> {
        let id = sys::monitor(target.number())?;
        Ok(Monitor { id, waiting: Waiting::begin(Kind::Down, id) })
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl Future for Monitor {
    type Output = Down;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Down> {
        self.waiting.poll(cx).map(|arrived| match arrived {
            Arrived::Down(down) => down,
            // Only a `down` is ever put at a monitor's place.
            _ => Down { monitor: None, kind: ExitKind::NoActor, code: 0, message: String::new() },
        })
    }
}

/// Takes back what [`Handle::watch`] asked for.
///
/// # Errors
/// `READ_ONLY` in a query, `LIMIT`.
pub fn unwatch(monitor: u64) -> Result<()> {
    sys::demonitor(monitor)?;
    Ok(())
}
