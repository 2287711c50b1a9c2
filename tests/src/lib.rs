//! Everything together: what the tests of this folder share.
//!
//! For the conformance suite: [`guest`] reads the guests and their table of cases; [`place`] runs a case anywhere; [`model`] is the
//! smallest place there is, the specification of effects and events over bare actors, and [`single`]
//! a whole node. For everything else: [`Realm`] is a realm of
//! real processes, [`campaign`] lets them live through a bad day behind a [`proxy`], [`Inside`] is one in the test's own;
//! [`Asker`] asks them, [`load`] asks without pause, [`shell`] types. [`sim`] is a whole realm in one thread, from one seed.
//! [`decoders`] is everything that reads bytes of others, [`hostile`] guests by the
//! thousand, [`large`] a group with much memory.

#![forbid(unsafe_code)]

mod asker;
pub mod campaign;
pub mod decoders;
pub mod dice;
pub mod guest;
pub mod guests;
pub mod hostile;
mod inside;
pub mod large;
pub mod load;
pub mod model;
pub mod place;
pub mod program;
pub mod proxy;
pub mod realm;
pub mod shell;
pub mod sim;
pub mod single;
mod turn;
mod until;

pub use asker::{Answer, Asker, Ended, PATIENCE, Spawn, Trouble};
pub use inside::Inside;
pub use realm::Realm;
pub use turn::Turn;
pub use until::{until, until_quiet};
