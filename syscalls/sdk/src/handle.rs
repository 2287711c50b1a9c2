//! Handles: what an actor may reach.
//!
//! Owns: when a handle is let go. Does not know: what the actor behind it understands; that is a [`Client`](crate::Client).
//!
//! 1. The kernel's handle is dropped with the last clone of the Rust one, and not before.

use alloc::rc::Rc;

use crate::{
    Call, Client, Data, Errno, Error, Monitor, Result, Rights,
    data::{Arguments, Malformed, Reader, Writer},
    schema::Type,
    sys,
};
use pando_abi::Handle as Number;

/// The authority to reach one actor, group or service. Cloning it is free; the kernel knows of one.
#[derive(Clone)]
pub struct Handle(Repr);

#[derive(Clone)]
enum Repr {
    /// There from birth, and never let go.
    Fixed(u32),
    Held(Rc<Held>),
}

struct Held(u32);

impl Drop for Held {
    fn drop(&mut self) {
        // What is gone already cannot be dropped, and there is nobody to tell.
        let _ = sys::handle_drop(self.0);
    }
}

/// What one's own table says of a handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    /// A plain actor, a group, a service.
    pub kind: Kind,
    /// What may be done with it.
    pub rights: Rights,
    /// What messages through it carry.
    pub badge: u64,
    /// The node where it is, if that is fixed and the asker is not in a group.
    pub node: Option<u32>,
}

/// What is behind a handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A plain actor.
    Actor,
    /// A replicated one.
    Group,
    /// A service of the kernel.
    Service,
    /// A caller that waits.
    Reply,
}

impl Handle {
    /// The actor itself.
    pub const fn me() -> Handle {
        Handle(Repr::Fixed(Number::SELF.0))
    }

    /// Who spawned it.
    pub const fn parent() -> Handle {
        Handle(Repr::Fixed(Number::PARENT.0))
    }

    /// The realm service. [`crate::realm`] speaks to it.
    pub const fn realm() -> Handle {
        Handle(Repr::Fixed(Number::REALM.0))
    }

    /// Takes over a number that the kernel gave.
    pub(crate) fn owned(number: u32) -> Handle {
        if [Number::SELF.0, Number::PARENT.0, Number::REALM.0].contains(&number) {
            return Handle(Repr::Fixed(number));
        }
        Handle(Repr::Held(Rc::new(Held(number))))
    }

    /// The number in one's own table, for [`crate::sys`].
    pub fn number(&self) -> u32 {
        match &self.0 {
            Repr::Fixed(number) => *number,
            Repr::Held(held) => held.0,
        }
    }

    /// As a reference that knows the actor's methods. Whether the actor has them shows when it is called.
    pub fn cast<C: Client>(self) -> C {
        C::of(self)
    }

    /// A call by name: `peer.call::<i64>("add", (5,)).await?`.
    pub fn call<R: Data>(&self, method: &str, arguments: impl Arguments) -> Call<R> {
        Call::new(self, method, arguments)
    }

    /// Ends the actor.
    ///
    /// # Errors
    /// `DENIED` without the right.
    pub fn kill(&self) -> Result<()> {
        done(sys::kill(self.number()))
    }

    /// Ties two lives together: when one ends otherwise than normally, so does the other.
    ///
    /// # Errors
    /// `DENIED` without the right, `LIMIT`.
    pub fn link(&self) -> Result<()> {
        done(sys::link(self.number()))
    }

    /// Unties them.
    ///
    /// # Errors
    /// `DENIED` without the right.
    pub fn unlink(&self) -> Result<()> {
        done(sys::unlink(self.number()))
    }

    /// Waits for the actor's end: `let down = peer.monitor()?.await;`. Dropping the monitor takes it back.
    ///
    /// # Errors
    /// `DENIED` without the right, `LIMIT`.
    pub fn monitor(&self) -> Result<Monitor> {
        Monitor::start(self)
    }

    /// Asks for the actor's end to be told to `on_down`. Returns the monitor's id, which `Down::monitor` will have.
    ///
    /// # Errors
    /// `DENIED` without the right, `LIMIT`.
    pub fn watch(&self) -> Result<u64> {
        Ok(sys::monitor(self.number())?)
    }

    /// A second handle to the same, with at most these rights.
    ///
    /// # Errors
    /// `DENIED` without the share right, `LIMIT`.
    pub fn limited(&self, rights: Rights) -> Result<Handle> {
        copied(sys::handle_copy(self.number(), rights.0, 0))
    }

    /// Takes back a [`grant`], wherever its copies are.
    ///
    /// # Errors
    /// `DENIED` if it is none.
    pub fn revoke(&self) -> Result<()> {
        done(sys::handle_revoke(self.number()))
    }

    /// What one's own table says of it. Asks nobody.
    pub fn stat(&self) -> Stat {
        let b = sys::handle_stat(self.number());
        let word = |i: usize| u32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
        let kind = match word(0) {
            0 => Kind::Actor,
            1 => Kind::Group,
            2 => Kind::Service,
            _ => Kind::Reply,
        };
        let badge = u64::from(word(8)) | u64::from(word(12)) << 32;
        Stat { kind, rights: Rights(word(4)), badge, node: Some(word(16)).filter(|node| *node != 0) }
    }
}

/// A handle to oneself with a badge, to give to one client: every message through it or its copies carries the badge
/// ([`crate::badge`]), and [`Handle::revoke`] takes it back.
///
/// # Errors
/// `LIMIT`; `READ_ONLY` in a query.
pub fn grant(badge: u64, rights: Rights) -> Result<Handle> {
    copied(sys::handle_copy(Number::SELF.0, rights.0, badge))
}

fn copied(answer: sys::Answer) -> Result<Handle> {
    let number = answer?;
    u32::try_from(number).map(Handle::owned).map_err(|_| Error::from(Errno::INTERNAL))
}

fn done(answer: sys::Answer) -> Result<()> {
    answer?;
    Ok(())
}

/// Do both reach the same actor?
impl PartialEq for Handle {
    fn eq(&self, other: &Handle) -> bool {
        self.number() == other.number() || sys::handle_same(self.number(), other.number())
    }
}

impl core::fmt::Debug for Handle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Handle({})", self.number())
    }
}

impl Data for Handle {
    const TYPE: &'static Type = &Type::Word("actor");
    fn write(&self, out: &mut Writer) {
        out.handle(self);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.handle()
    }
}
