//! Starting other actors.
//!
//! ```ignore
//! let worker = WorkerRef::start(Spawn::own().restart(Restart::OnFailure), 7)?;
//! let store = KvRef::start(Spawn::module(realm::module("kv").await?).replicas(3))?;
//! ```

use pando_abi::{ModuleHash, NodeId, Priority, Restart, SpawnSpec, policy::spawn_flags};

use crate::{
    Client, Errno, Error, Handle, Result,
    data::{self, Arguments, Writer},
    prelude::*,
    sys,
};

/// How to start an actor. Everything that is not said is the kernel's default.
#[must_use = "nothing is started until `start`"]
#[derive(Clone, Debug)]
pub struct Spawn {
    authority: Handle,
    spec: SpawnSpec,
}

impl Spawn {
    /// Another one of one's own module.
    pub fn own() -> Spawn {
        Spawn { authority: Handle::me(), spec: SpawnSpec::new() }
    }

    /// One of a module of the realm ([`crate::realm::module`] has hashes). Needs the realm's handle with the spawn right.
    pub fn module(hash: ModuleHash) -> Spawn {
        Spawn { authority: Handle::realm(), spec: SpawnSpec { module: hash.0, ..SpawnSpec::new() } }
    }

    /// On this node; for a group, where its first replica is.
    pub fn on(mut self, node: NodeId) -> Spawn {
        self.spec.node = node.0;
        self
    }

    /// As a group with so many voters.
    pub fn replicas(mut self, replicas: u8) -> Spawn {
        self.spec.replicas = replicas;
        self
    }

    /// What happens when it ends.
    pub fn restart(mut self, restart: Restart) -> Spawn {
        self.spec.restart = restart as u8;
        self
    }

    /// How many restarts within `window` are borne before it stays ended.
    pub fn restarts(mut self, max: u64, window: Duration) -> Spawn {
        self.spec.restarts_max = max;
        self.spec.window_ms = window.as_millis() as u64;
        self
    }

    /// Who runs first.
    pub fn priority(mut self, priority: Priority) -> Spawn {
        self.spec.priority = priority as u8;
        self
    }

    /// Limit of its memory, in bytes.
    pub fn memory(mut self, bytes: u64) -> Spawn {
        self.spec.memory_bytes = bytes;
        self
    }

    /// Limit of processor time for one handler.
    pub fn handler_time(mut self, limit: Duration) -> Spawn {
        self.spec.handler_ms = u16::try_from(limit.as_millis()).unwrap_or(u16::MAX);
        self
    }

    /// Limit of fuel for one handler of a group, in millions.
    pub fn fuel(mut self, millions: u32) -> Spawn {
        self.spec.fuel_millions = millions;
        self
    }

    /// Passes one's own realm handle on to it.
    pub fn grant_realm(mut self) -> Spawn {
        self.spec.flags |= spawn_flags::GRANT_REALM;
        self
    }

    /// Starts it. The reference is good at once; if the actor cannot be started, its monitors and callers are told.
    ///
    /// # Errors
    /// `DENIED` without the authority, `LIMIT`.
    pub fn start<C: Client>(self, arguments: impl Arguments) -> Result<C> {
        let mut out = Writer::new();
        out.list(data::count(&arguments));
        arguments.write(&mut out);
        self.start_with(&out).map(C::of)
    }

    /// Starts it with arguments that are written already.
    #[doc(hidden)]
    pub fn start_with(self, arguments: &Writer) -> Result<Handle> {
        let mut spec = self.spec.to_bytes().to_vec();
        spec.extend_from_slice(arguments.bytes());
        let number = sys::spawn(self.authority.number(), &spec, &arguments.numbers())?;
        u32::try_from(number).map(Handle::owned).map_err(|_| Error::from(Errno::INTERNAL))
    }
}
