//! People's and scripts' side of messages: who waits for which answer.
//!
//! A console is the origin of what the admin interface asks; its address is the service `CONSOLE` at this node.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use pando_abi::{Address, Home, NodeId, id::service};
use pando_actors::{Exit, Message};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::input::{Input, Standing};

/// Calls and watches that are kept though nobody waits for them any more. What somebody waits for is bounded by whoever takes people's
/// requests.
pub(crate) const ABANDONED_MAX: usize = 1_024;

/// An answer to a console.
#[derive(Debug)]
pub struct ConsoleReply {
    /// 0 or an errno.
    pub status: u16,
    /// What it said.
    pub message: Box<Message>,
    /// How final it is.
    pub standing: Standing,
}

/// See the module.
pub struct Console {
    address: Address,
    next: AtomicU64,
    calls: Mutex<BTreeMap<u64, oneshot::Sender<ConsoleReply>>>,
    watches: Mutex<BTreeMap<Address, Vec<(u64, oneshot::Sender<Exit>)>>>,
}

impl Console {
    /// The console of `node`.
    pub fn new(node: NodeId) -> Console {
        Console {
            address: Address { home: Home::Service, node, ..Address::service(service::CONSOLE) },
            next: AtomicU64::new(1),
            calls: Mutex::default(),
            watches: Mutex::default(),
        }
    }

    /// Where answers go.
    pub fn address(&self) -> Address {
        self.address
    }

    /// A token, and the answer that will come with it.
    pub fn call(&self) -> (u64, oneshot::Receiver<ConsoleReply>) {
        let token = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.tidy(token);
        self.calls.lock().insert(token, sender);
        (token, receiver)
    }

    /// The watch's id, and the end that will come.
    pub fn watch(&self, target: Address) -> (u64, oneshot::Receiver<Exit>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.tidy(id);
        self.watches.lock().entry(target).or_default().push((id, sender));
        (id, receiver)
    }

    /// Those who gave up waiting leave their entry behind; it goes now and then.
    fn tidy(&self, number: u64) {
        if number.is_multiple_of(ABANDONED_MAX as u64) {
            self.calls.lock().retain(|_, waiting| !waiting.is_closed());
            self.watches.lock().retain(|_, list| {
                list.retain(|(_, waiting)| !waiting.is_closed());
                !list.is_empty()
            });
        }
    }

    /// Calls and watches for which nobody waits any more.
    pub(crate) fn abandoned(&self) -> usize {
        let calls = self.calls.lock().values().filter(|waiting| waiting.is_closed()).count();
        let watches = self.watches.lock();
        calls + watches.values().flatten().filter(|(_, waiting)| waiting.is_closed()).count()
    }

    /// What came for a console.
    pub fn receive(&self, input: Input) {
        match input {
            Input::Reply { token, status, message, standing } => {
                if let Some(waiting) = self.calls.lock().remove(&token) {
                    // The asker may have given up.
                    let _ = waiting.send(ConsoleReply { status, message, standing });
                }
            }
            Input::Down { target, exit } => {
                for (_, waiting) in self.watches.lock().remove(&target).unwrap_or_default() {
                    let _ = waiting.send(exit.clone());
                }
            }
            _ => {}
        }
    }

    /// Watched addresses.
    pub fn watched(&self) -> Vec<Address> {
        self.watches.lock().keys().copied().collect()
    }

    /// Under which ids an address is watched.
    pub fn watches_of(&self, target: Address) -> Vec<u64> {
        self.watches.lock().get(&target).map_or_else(Vec::new, |list| list.iter().map(|(id, _)| *id).collect())
    }
}
