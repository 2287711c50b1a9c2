//! Write actors for Pando.
//!
//! An actor is a struct with its state and an `impl` block with its methods:
//!
//! ```ignore
//! #![no_std]
//! use pando::prelude::*;
//!
//! #[derive(Default)]
//! pub struct Counter {
//!     value: i64,
//! }
//!
//! #[pando::actor]
//! impl Counter {
//!     /// Adds and returns the new value.
//!     fn add(&mut self, by: i64) -> i64 {
//!         self.value += by;
//!         self.value
//!     }
//!
//!     #[query]
//!     fn value(&self) -> i64 {
//!         self.value
//!     }
//!
//!     /// Methods may wait for others, and let others run meanwhile.
//!     async fn add_value_of(this: This<Self>, other: CounterRef) -> pando::Result<i64> {
//!         let by = other.value().deadline(Duration::from_secs(1)).await?;
//!         Ok(this.with(|s| s.add(by)))
//!     }
//! }
//! ```
//!
//! | you want | see |
//! |---|---|
//! | state that `async` methods share | [`This`] |
//! | to call others | [`Call`], [`Client`] |
//! | records and enums in messages | [`Data`] |
//! | to begin with arguments, to hear of ends | [`macro@actor`] |
//! | to wait | [`sleep`], [`interval`], [`timeout`], [`join_all`] |
//! | to start others, and know when they end | [`Spawn`], [`Handle::monitor`], [`Handle::link`] |
//! | names | [`realm`] |
//! | to go on with other code | [`State`] |
//! | tests | `pando::testing` |
//!
//! Owns: the guest's side of the contract. Does not know: the host; both meet in `pando-abi` only.
//!
//! 1. An actor written with it contains no `unsafe`; what the SDK has of it is in `raw`, `sys`, `heap`, `single` and `receive`.
//! 2. Everything an actor waits with is in its own memory, so between two events it is at rest.
//! 3. In a guest it is `no_std`; the feature `std` is for actors that need std themselves.

#![no_std]

extern crate alloc;
// The macros say `::pando`, in this crate too.
extern crate self as pando;
#[cfg(any(not(target_arch = "wasm32"), feature = "std"))]
extern crate std;

mod actor;
mod call;
mod client;
pub mod data;
mod error;
mod executor;
pub mod future;
mod handle;
#[cfg(any(all(target_arch = "wasm32", not(feature = "std")), test))]
mod heap;
#[doc(hidden)]
pub mod log;
mod monitor;
#[cfg(target_arch = "wasm32")]
mod panic;
pub mod prelude;
#[cfg(target_arch = "wasm32")]
pub mod raw;
pub mod realm;
mod receive;
mod reply;
mod runtime;
pub mod schema;
#[cfg(target_arch = "wasm32")]
mod single;
mod spawn;
mod state;
pub mod sys;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod this;
mod time;

use crate::prelude::*;

pub use crate::{
    actor::{Actor, Answer},
    call::{Call, Pending},
    client::Client,
    data::{Any, Data},
    error::{Error, Result},
    executor::{Task, task},
    future::{join, join_all, race},
    handle::{Handle, Kind, Stat, grant},
    log::Level,
    monitor::{Bounce, Down, Monitor, unwatch},
    reply::Reply,
    spawn::Spawn,
    state::State,
    this::This,
    time::{Interval, Time, Timer, interval, now, sleep, timeout, yield_now},
};
pub use pando_abi as abi;
pub use pando_abi::{Errno, ExitKind, ModuleHash, NodeId, Priority, Restart, Rights};
pub use pando_macros::{Data, actor, client};

/// Sixty-four bits that nobody could foresee before the event; the same on every replica of a group.
pub fn random() -> u64 {
    sys::random()
}

/// Ends the actor when this handler is over: `0` is a normal end, anything else an error.
pub fn exit(code: i32, message: &str) -> ! {
    sys::exit(code, message)
}

/// The badge of the handle through which the message came that this method was called with; 0 without one.
pub fn badge() -> u64 {
    runtime::current(|runtime| runtime.present.get().badge)
}

/// Is this actor a replica in a group?
pub fn is_replicated() -> bool {
    runtime::current(|runtime| runtime.present.get().flags & abi::event::flags::REPLICATED != 0)
}

/// In `start`: is this a new life of an actor that had ended?
pub fn was_restarted() -> bool {
    runtime::current(|runtime| runtime.present.get().flags & abi::event::flags::RESTARTED != 0)
}

/// What the macros' code uses.
#[doc(hidden)]
pub mod macros {
    pub use crate::{
        actor::{Answer, Begun, Incoming, Outcome, begun, later, or_exit},
        data::{Malformed, Reader, Writer, field},
        executor::Task,
        receive::Driver,
        schema,
    };
    pub use alloc::{borrow::ToOwned, boxed::Box, string::String};

    #[cfg(target_arch = "wasm32")]
    pub use crate::{
        receive::{export, import, inbox, receive},
        single::Single,
    };
}

/// The interface text of an actor, as its module carries it.
pub fn interface_of<S: Actor>() -> String {
    schema::to_string(S::INTERFACE)
}

/// What a module exports, for the actor `$actor`, and what else it has.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($actor:ty) => {
        $crate::__export!($actor, {});
    };
    ($actor:ty, { $($more:tt)* }) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            static DRIVER: $crate::macros::Single<$crate::macros::Driver<$actor>> =
                $crate::macros::Single::new($crate::macros::Driver::new());

            const LENGTH: usize = $crate::schema::length(<$actor as $crate::Actor>::INTERFACE);

            #[used]
            #[unsafe(link_section = "pando.interface")]
            static INTERFACE: [u8; LENGTH] = $crate::schema::text(<$actor as $crate::Actor>::INTERFACE);

            #[unsafe(no_mangle)]
            extern "C" fn pando_inbox(len: usize) -> *mut u8 {
                $crate::macros::inbox(len)
            }

            #[unsafe(no_mangle)]
            extern "C" fn pando_receive(len: usize) {
                $crate::macros::receive(&DRIVER, len)
            }

            $($more)*
        };
    };
}
