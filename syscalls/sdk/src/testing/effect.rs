//! What an actor asked for, as a test sees it.

use core::fmt;

use pando_abi::SpawnSpec;

use crate::{
    Rights,
    data::{Reader, cbor::Items},
    prelude::*,
};

/// Somebody whom the actor can reach.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    pub(crate) id: u32,
    pub(crate) name: String,
}

impl Peer {
    pub(crate) const ME: Peer = Peer { id: 0, name: String::new() };
    pub(crate) const PARENT: Peer = Peer { id: 1, name: String::new() };
    pub(crate) const REALM: Peer = Peer { id: 2, name: String::new() };

    /// A handle to it, to give to the actor in a message.
    pub fn handle(&self) -> Handle {
        Handle::owned(super::kernel::TEST | self.id)
    }

    /// A reference to it, to give to the actor in a message.
    pub fn cast<C: Client>(&self) -> C {
        C::of(self.handle())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            0 => f.write_str("itself"),
            1 => f.write_str("its parent"),
            2 => f.write_str("the realm"),
            _ => f.write_str(&self.name),
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A body and the handles beside it.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The method's name; empty for the arguments of `start`.
    pub method: String,
    /// The body as it travels.
    pub body: Vec<u8>,
    /// Who is behind the handles.
    pub handles: Vec<Peer>,
}

impl Message {
    pub(crate) fn new(body: &[u8], handles: Vec<Peer>) -> Message {
        let mut reader = Reader::new(body, Vec::new());
        let method = reader.list().and_then(|_| reader.text()).map(ToOwned::to_owned);
        Message { method: method.unwrap_or_default(), body: body.to_vec(), handles }
    }

    /// The arguments as a tuple: `let (by,) = message.args::<(i64,)>();`.
    ///
    /// # Panics
    /// If they are something else.
    #[track_caller]
    pub fn args<T: FromArguments>(&self) -> T {
        let handles = self.handles.iter().map(Peer::handle).collect();
        let mut reader = Reader::new(&self.body, handles);
        let read = reader.list().and_then(|_| {
            if !self.method.is_empty() {
                reader.text()?;
            }
            T::read(&mut reader)
        });
        match read {
            Ok(arguments) if reader.is_at_end() => arguments,
            Ok(_) => panic!("{self:?} has more arguments"),
            Err(malformed) => panic!("{self:?}: {malformed}"),
        }
    }
}

/// The bytes are shown in CBOR's diagnostic notation, which reads like the call.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::show::value(&mut Items { bytes: &self.body }, f)?;
        if self.handles.is_empty() { Ok(()) } else { write!(f, " with {:?}", self.handles) }
    }
}

/// Tuples that arguments are read as.
pub trait FromArguments: Sized {
    /// Reads them one after the other.
    fn read(from: &mut Reader<'_>) -> core::result::Result<Self, crate::data::Malformed>;
}

macro_rules! from_arguments {
    ($($name:ident)*) => {
        impl<$($name: Data),*> FromArguments for ($($name,)*) {
            fn read(_from: &mut Reader<'_>) -> core::result::Result<Self, crate::data::Malformed> {
                Ok(($($name::read(_from)?,)*))
            }
        }
    };
}
from_arguments!();
from_arguments!(A);
from_arguments!(A B);
from_arguments!(A B C);
from_arguments!(A B C D);
from_arguments!(A B C D E);
from_arguments!(A B C D E F);

/// A call that waits for the test's answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Whom it is to.
    pub to: Peer,
    /// What it says.
    pub message: Message,
    /// How long the actor waits, if not for ever.
    pub deadline: Option<Duration>,
    /// Is it a query?
    pub query: bool,
    pub(crate) token: u64,
}

impl Outgoing {
    /// The arguments, as [`Message::args`].
    #[track_caller]
    pub fn args<T: FromArguments>(&self) -> T {
        self.message.args()
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", if self.query { "query" } else { "call" }, self.to)?;
        if let Some(deadline) = self.deadline {
            write!(f, " within {deadline:?}")?;
        }
        write!(f, ": {:?}", self.message)
    }
}

/// An actor that the actor spawned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spawned {
    /// The child.
    pub child: Peer,
    /// How it was started.
    pub spec: SpawnSpec,
    /// Under whose authority: itself for its own module, or the realm.
    pub authority: Peer,
    /// What it was started with.
    pub arguments: Message,
}

/// One thing that the actor asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// A message that nobody answers.
    Send {
        /// Whom it is to.
        to: Peer,
        /// What it says.
        message: Message,
    },
    /// A message that the test is to answer.
    Call(Outgoing),
    /// A child.
    Spawn(Spawned),
    /// The end of another.
    Kill(Peer),
    /// Two lives tied together.
    Link(Peer),
    /// And untied.
    Unlink(Peer),
    /// Wants to hear of an end.
    Monitor {
        /// Whose.
        of: Peer,
        /// The monitor's id.
        id: u64,
    },
    /// And no longer.
    Demonitor(u64),
    /// A handle to itself for one client.
    Grant {
        /// What messages through it carry.
        badge: u64,
        /// What its holder may do.
        rights: Rights,
    },
    /// And taken back: the badge.
    Revoke(u64),
}
