//! (state, event) -> (state', effects, fuel), or a fault and the state before.
//!
//! Owns: the order of things within one event. Does not know where shells come from or go.
//!
//! 1. After a good event, and after `exit`, state and effects are those that the guest made.
//! 2. After a fault the handle table, the counters and the effects are as before, but for log lines, which are for people.
//!    Memory and globals are as before if the actor keeps a shadow.
//! 3. What the event itself says (that a call was answered, that a timer fired) holds even if the guest faults on it.

use pando_abi::{Errno, EventHeader, EventKind, Handle, event::flags, limits};

use crate::{
    Class, Effect, Event, Exit, Handled, Limits, fault,
    guest::{Phase, Stop},
    shell::Shell,
    table::{Kind, Table},
};

/// How one run of the guest went.
pub(crate) enum Ran {
    /// It returned, or called `exit`.
    Good(Option<Exit>),
    /// It faulted, or ran over a limit.
    Bad(Exit),
}

impl Ran {
    /// What is told of a query that took so much fuel: that it ended or faulted is one to whoever asked.
    pub(crate) fn of_query(self, fuel: u64) -> Handled {
        let end = match self {
            Ran::Good(end) => end,
            Ran::Bad(exit) => Some(exit),
        };
        Handled { fuel, end: end.map(Box::new), refused: None }
    }
}

/// Notes what an event says by itself. Not undone.
#[inline]
pub(crate) fn arrive(table: &mut Table, event: &Event<'_>) {
    let kind = match event.kind {
        EventKind::Reply => Kind::Call,
        EventKind::Timer => Kind::Timer,
        EventKind::Down => Kind::Monitor,
        EventKind::Start | EventKind::Message | EventKind::Upgrade | EventKind::Bounce => return,
    };
    table.close(kind, event.token);
}

/// Why an event cannot be given to the guest, if it cannot.
#[inline]
pub(crate) fn refusal(table: &Table, event: &Event<'_>) -> Option<Errno> {
    let brought = event.handles.len() + usize::from(event.reply.is_some());
    if event.handles.len() > limits::MESSAGE_HANDLES_MAX || event.body.len() > limits::MESSAGE_BYTES_MAX {
        Some(Errno::LIMIT)
    } else if table.room() < brought {
        Some(Errno::FULL)
    } else {
        None
    }
}

/// Where an event goes in.
#[derive(Clone, Copy)]
pub(crate) enum Door<'a> {
    /// `pando_receive`.
    Receive,
    /// `pando_import_state`, with the numbers of handles that the actor holds already, as bytes.
    Import(&'a [u8]),
}

/// Runs the guest on an event that is not refused. `effects` are appended to. Returns the fuel that it took.
#[inline]
pub(crate) fn run(
    shell: &mut Shell,
    limits: &Limits,
    event: &Event<'_>,
    effects: &mut Vec<Effect>,
    query: bool,
) -> (u64, Ran) {
    run_through(shell, limits, event, Door::Receive, effects, query)
}

/// The same through another door.
#[inline]
pub(crate) fn run_through(
    shell: &mut Shell,
    limits: &Limits,
    event: &Event<'_>,
    door: Door<'_>,
    effects: &mut Vec<Effect>,
    query: bool,
) -> (u64, Ran) {
    let guest = shell.store.data_mut();
    let before = (guest.state.events, guest.state.started, guest.state.inbox);
    let mark = guest.state.table.mark();
    let first = effects.len();
    guest.begin(event, query);
    std::mem::swap(&mut guest.effects, effects);
    let replicated = guest.class == Class::Replicated;
    if replicated {
        // Only fails where fuel is not configured.
        _ = shell.store.set_fuel(limits.fuel);
    }
    shell.store.set_epoch_deadline(1);
    let went = deliver(shell, event, door);
    let fuel = if replicated { limits.fuel.saturating_sub(shell.fuel()) } else { 0 };
    let guest = shell.store.data_mut();
    guest.phase = Phase::Quiet;
    std::mem::swap(&mut guest.effects, effects);
    let stop = guest.stop.take();
    let ran = match went {
        Ok(()) => Ran::Good(None),
        Err(Cut::Guest(error)) => match (fault::exit_of(&error, stop.clone(), limits), stop) {
            (exit, Some(Stop::Exit { .. })) => Ran::Good(Some(exit)),
            (exit, _) => Ran::Bad(exit),
        },
        Err(Cut::Inbox(sentence)) => Ran::Bad(fault::misuse(sentence)),
    };
    if guest.lines > limits::LOG_LINES_PER_EVENT_MAX {
        let text = format!("... and {} more lines", guest.lines - limits::LOG_LINES_PER_EVENT_MAX);
        effects.push(Effect::Log { level: 2, text });
    }
    match &ran {
        Ran::Good(_) => {
            guest.state.events += 1;
            guest.state.started = true;
        }
        Ran::Bad(_) => {
            guest.state.table.undo(mark);
            (guest.state.events, guest.state.started, guest.state.inbox) = before;
            keep_lines(effects, first);
        }
    }
    (fuel, ran)
}

/// Drops the effects from `first` on, but for log lines.
pub(crate) fn keep_lines(effects: &mut Vec<Effect>, first: usize) {
    let mut n = 0;
    effects.retain(|effect| {
        n += 1;
        n <= first || matches!(effect, Effect::Log { .. })
    });
}

/// Why an event did not go through.
enum Cut {
    Guest(wasmtime::Error),
    Inbox(String),
}

impl From<wasmtime::Error> for Cut {
    fn from(error: wasmtime::Error) -> Cut {
        Cut::Guest(error)
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "`len` is the sum of header, handles, padding and body; `refusal` has counted the handles"
)]
#[inline]
fn deliver(shell: &mut Shell, event: &Event<'_>, door: Door<'_>) -> Result<(), Cut> {
    if let (Some(start), false) = (&shell.start, shell.store.data().state.started) {
        start.call(&mut shell.store, ())?;
    }
    let handle_count = match door {
        Door::Receive => event.handles.len(),
        Door::Import(numbers) => numbers.len() / 4,
    };
    let body_at = EventHeader::body_offset(handle_count);
    let len = body_at + event.body.len();
    let (mut at, cap) = shell.store.data().state.inbox;
    if len > cap as usize {
        at = ask_for_room(shell, len)?;
    }
    let guest = shell.store.data_mut();
    let table = &mut guest.state.table;
    // There is room for all of them: `refusal`.
    let mut insert = |capability| table.insert(capability).unwrap_or(Handle::NONE);
    let reply = event.reply.map_or(Handle::NONE, &mut insert);
    let mut handles = [0u8; 4 * limits::MESSAGE_HANDLES_MAX];
    for (place, capability) in handles.as_chunks_mut::<4>().0.iter_mut().zip(event.handles) {
        *place = insert(*capability).0.to_le_bytes();
    }
    let passed = match door {
        Door::Receive => &handles[..4 * handle_count],
        Door::Import(numbers) => numbers,
    };
    let mut flags = event.flags & !(flags::QUERY | flags::REPLICATED);
    flags |= if guest.query { flags::QUERY } else { 0 };
    flags |= if guest.class == Class::Replicated { flags::REPLICATED } else { 0 };
    guest.own_reply = reply;
    let header = EventHeader {
        kind: event.kind as u16,
        flags,
        handle_count: handle_count as u16,
        status: event.status,
        time_ns: event.time_ns,
        token: event.token,
        badge: event.badge,
        reply: reply.0,
        body_len: event.body.len() as u32,
        seed: event.seed,
    };
    let at = at as usize;
    let Some(place) = shell.memory_mut().get_mut(at..at + len) else {
        // The inbox was checked when it was given, and a memory never shrinks.
        return Err(Cut::Inbox("the inbox is not in memory".into()));
    };
    place[..EventHeader::SIZE].copy_from_slice(&header.to_bytes());
    if handle_count > 0 {
        let handles_end = EventHeader::SIZE + passed.len();
        place[EventHeader::SIZE..handles_end].copy_from_slice(passed);
        place[handles_end..body_at].fill(0);
    }
    place[body_at..].copy_from_slice(event.body);
    shell.mark(at, len);
    shell.store.data_mut().phase = Phase::Handler;
    match (door, &shell.import_state) {
        (Door::Receive, _) => shell.receive.call(&mut shell.store, len as i32)?,
        (Door::Import(_), Some(import)) => import.call(&mut shell.store, len as i32)?,
        (Door::Import(_), None) => return Err(Cut::Inbox("the module does not export pando_import_state".into())),
    }
    Ok(())
}

/// Has the guest write its state down, as in a query. Returns the fuel that it took, and the bytes.
pub(crate) fn export(shell: &mut Shell, limits: &Limits, event: &Event<'_>) -> (u64, Result<Vec<u8>, Exit>) {
    let guest = shell.store.data_mut();
    guest.begin(event, true);
    guest.phase = Phase::Handler;
    let replicated = guest.class == Class::Replicated;
    if replicated {
        // Only fails where fuel is not configured.
        _ = shell.store.set_fuel(limits.fuel);
    }
    shell.store.set_epoch_deadline(1);
    let went = match &shell.export_state {
        Some(export) => export.call(&mut shell.store, ()),
        None => Err(wasmtime::Error::msg("the module does not export pando_export_state")),
    };
    let fuel = if replicated { limits.fuel.saturating_sub(shell.fuel()) } else { 0 };
    let guest = shell.store.data_mut();
    guest.phase = Phase::Quiet;
    guest.effects.clear();
    let stop = guest.stop.take();
    let written = match went {
        Ok(place) => {
            let (at, len) = (place as u32 as usize, (place as u64 >> 32) as usize);
            let bytes = at.checked_add(len).and_then(|end| shell.memory().get(at..end)).map(<[u8]>::to_vec);
            bytes.ok_or_else(|| {
                fault::misuse(format!("`pando_export_state` returned {len} bytes at {at:#x}, which leaves the memory"))
            })
        }
        Err(error) => Err(fault::exit_of(&error, stop, limits)),
    };
    (fuel, written)
}

/// Asks the guest for an inbox of at least `len` bytes.
fn ask_for_room(shell: &mut Shell, len: usize) -> Result<u32, Cut> {
    // Twofold, so that events that grow little by little do not ask each time.
    let want = len.next_power_of_two().clamp(limits::INBOX_BYTES_MIN, limits::EVENT_BYTES_MAX).max(len);
    let at = shell.inbox.call(&mut shell.store, want as i32)? as u32;
    let size = shell.size();
    if !at.is_multiple_of(8) {
        return Err(Cut::Inbox(format!("`pando_inbox` returned {at:#x}, which is not a multiple of 8")));
    }
    if (at as usize).checked_add(want).is_none_or(|end| end > size) {
        return Err(Cut::Inbox(format!(
            "`pando_inbox` returned {at:#x} for {want} bytes, which leaves the memory of {size:#x} bytes"
        )));
    }
    shell.store.data_mut().state.inbox = (at, want as u32);
    Ok(at)
}
