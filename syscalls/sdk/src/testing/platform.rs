//! The calls of [`crate::sys`], answered by the fake kernel of the test that runs on this thread.

use std::{cell::RefCell, panic::resume_unwind, rc::Rc};

use pando_abi::{Errno, Rights, SpawnSpec, call::call_flags, handle::HandleStat, limits};

use super::{
    Effect, Exited, Spawned,
    kernel::{Fake, TEST, Target},
};
use crate::{Level, prelude::*, runtime::Runtime, sys::Answer};

/// One actor's SDK and kernel.
pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) kernel: RefCell<Fake>,
}

std::thread_local! {
    /// The actor that runs now, on top of those that were interrupted by it (a test inside a test).
    static RUNNING: RefCell<Vec<Rc<World>>> = const { RefCell::new(Vec::new()) };
}

impl World {
    /// Runs `f` as code of this actor.
    pub(crate) fn enter<R>(world: &Rc<World>, f: impl FnOnce() -> R) -> R {
        RUNNING.with(|running| running.borrow_mut().push(Rc::clone(world)));
        let done = f();
        RUNNING.with(|running| running.borrow_mut().pop());
        done
    }
}

fn running() -> Option<Rc<World>> {
    // A thread that is ending has no actor any more.
    RUNNING.try_with(|running| running.borrow().last().cloned()).ok().flatten()
}

pub(crate) fn current<R>(f: impl FnOnce(&Runtime) -> R) -> R {
    match try_current(f) {
        Some(done) => done,
        None => panic!("no actor runs here: drive it with `pando::testing::Test`"),
    }
}

pub(crate) fn try_current<R>(f: impl FnOnce(&Runtime) -> R) -> Option<R> {
    running().map(|world| f(&world.runtime))
}

fn kernel<R>(f: impl FnOnce(&mut Fake) -> R) -> R {
    match running() {
        Some(world) => f(&mut world.kernel.borrow_mut()),
        None => panic!("no actor runs here: drive it with `pando::testing::Test`"),
    }
}

pub(crate) fn send(target: u32, body: &[u8], handles: &[u32]) -> Answer {
    kernel(|k| {
        let to = k.reach(target, Rights::SEND);
        let message = k.message(body, handles);
        k.may()?;
        k.effects.push_back(Effect::Send { to: to?, message: message? });
        Ok(0)
    })
}

pub(crate) fn call(target: u32, body: &[u8], handles: &[u32], deadline_ns: u64, flags: i32) -> Answer {
    kernel(|k| {
        let to = k.reach(target, Rights::SEND);
        let message = k.message(body, handles);
        k.may()?;
        k.call(to?, message?, deadline_ns, flags & call_flags::QUERY != 0)
    })
}

pub(crate) fn reply(reply: u32, status: u16, body: &[u8], handles: &[u32]) -> Answer {
    kernel(|k| {
        let message = k.message(body, handles)?;
        k.reply(reply, status, message);
        Ok(0)
    })
}

pub(crate) fn spawn(authority: u32, spec: &[u8], handles: &[u32]) -> Answer {
    kernel(|k| {
        let Some(front) = SpawnSpec::from_bytes(spec) else { panic!("fault: no spawn spec: {spec:?}") };
        let authority = k.reach(authority, Rights::SPAWN);
        let arguments = k.message(&spec[SpawnSpec::SIZE..], handles);
        k.may()?;
        let too_much = front.memory_bytes > limits::MEMORY_BYTES_MAX
            || usize::from(front.replicas) > limits::REPLICAS_MAX
            || u64::from(front.handler_ms) > limits::HANDLER_MS_MAX;
        if too_much {
            return Err(Errno::LIMIT);
        }
        k.room_for_handle()?;
        let (authority, mut arguments) = (authority?, arguments?);
        // What looks like a method's name is the first argument here.
        arguments.method.clear();
        let name = format!("child-{}", k.next_id());
        let child = k.new_peer(&name);
        let id = child.id;
        k.effects.push_back(Effect::Spawn(Spawned { child, spec: front, authority, arguments }));
        Ok(k.insert(Target::Peer { id, badge: 0, granted: false }, Rights::PEER).into())
    })
}

pub(crate) fn exit(code: i32, message: &str) -> ! {
    resume_unwind(Box::new(Exited { code, message: message.to_owned() }))
}

pub(crate) fn kill(target: u32) -> Answer {
    kernel(|k| {
        let peer = k.reach(target, Rights::KILL);
        k.may()?;
        k.effects.push_back(Effect::Kill(peer?));
        Ok(0)
    })
}

pub(crate) fn link(target: u32) -> Answer {
    kernel(|k| {
        let peer = k.reach(target, Rights::LINK);
        k.may()?;
        k.link(peer?);
        Ok(0)
    })
}

pub(crate) fn unlink(target: u32) -> Answer {
    kernel(|k| {
        let peer = k.reach(target, Rights::LINK);
        k.may()?;
        k.unlink(peer?);
        Ok(0)
    })
}

pub(crate) fn monitor(target: u32) -> Answer {
    kernel(|k| {
        let peer = k.reach(target, Rights::MONITOR);
        k.may()?;
        k.monitor(peer?)
    })
}

pub(crate) fn demonitor(monitor: u64) -> Answer {
    kernel(|k| {
        k.may()?;
        k.demonitor(monitor);
        Ok(0)
    })
}

pub(crate) fn timer(delay_ns: u64) -> Answer {
    kernel(|k| {
        k.may()?;
        k.timer(delay_ns)
    })
}

pub(crate) fn cancel(timer: u64) -> Answer {
    kernel(|k| {
        k.may()?;
        k.cancel(timer);
        Ok(0)
    })
}

pub(crate) fn now() -> u64 {
    kernel(|k| k.now)
}

pub(crate) fn random() -> u64 {
    kernel(Fake::random)
}

pub(crate) fn log(level: u8, text: &str) {
    let level = match level {
        1 => Level::Error,
        2 => Level::Warning,
        3 => Level::Info,
        4 => Level::Debug,
        5 => Level::Trace,
        other => panic!("fault: {other} is no level"),
    };
    kernel(|k| k.logs.push((level, text.to_owned())));
}

pub(crate) fn handle_copy(handle: u32, rights: u32, badge: u64) -> Answer {
    kernel(|k| {
        let entry = k.entry(handle);
        let Target::Peer { id, badge: old, granted } = entry.target else { panic!("fault: a reply handle is copied") };
        let mine = handle == pando_abi::Handle::SELF.0;
        assert!(mine || badge == 0, "fault: a badge on another's handle");
        if mine && k.query {
            return Err(Errno::READ_ONLY);
        }
        if !entry.rights.contains(Rights::SHARE) {
            return Err(Errno::DENIED);
        }
        k.room_for_handle()?;
        let rights = entry.rights.and(Rights(rights)).and(Rights::PEER);
        if mine {
            k.effects.push_back(Effect::Grant { badge, rights });
        }
        let target = Target::Peer { id, badge: if mine { badge } else { old }, granted: mine || granted };
        Ok(k.insert(target, rights).into())
    })
}

pub(crate) fn handle_drop(handle: u32) -> Answer {
    // Outside an actor it is the test's own, or of an actor that is gone.
    let (false, Some(world)) = (handle & TEST != 0, running()) else { return Ok(0) };
    let mut kernel = world.kernel.borrow_mut();
    assert!(handle != 0, "fault: the handle to oneself is dropped");
    match kernel.entry(handle).target {
        Target::Reply(_) => {
            let nothing = kernel.message(&[], &[])?;
            kernel.reply(handle, Errno::NO_REPLY.code(), nothing);
        }
        Target::Peer { .. } => drop(kernel.remove(handle)),
    }
    Ok(0)
}

pub(crate) fn handle_revoke(handle: u32) -> Answer {
    kernel(|k| {
        let entry = k.entry(handle);
        k.may()?;
        match entry.target {
            Target::Peer { id: 0, badge, granted: true } => {
                k.effects.push_back(Effect::Revoke(badge));
                Ok(0)
            }
            _ => Err(Errno::DENIED),
        }
    })
}

pub(crate) fn handle_stat(handle: u32) -> [u8; 24] {
    kernel(|k| {
        let entry = k.entry(handle);
        let (kind, badge) = match entry.target {
            Target::Peer { id: 2, .. } => (2, 0),
            Target::Peer { badge, .. } => (0, badge),
            Target::Reply(_) => (3, 0),
        };
        HandleStat { kind, rights: entry.rights.0, badge, node: 0, reserved: 0 }.to_bytes()
    })
}

pub(crate) fn handle_same(a: u32, b: u32) -> bool {
    if a & TEST != 0 || b & TEST != 0 {
        return a == b;
    }
    kernel(|k| match (k.entry(a).target, k.entry(b).target) {
        (Target::Peer { id: a, .. }, Target::Peer { id: b, .. }) => a == b,
        (a, b) => a == b,
    })
}
