//! The state as a group's machine, and as what this node's readers see.
//!
//! Owns: the one published state, and the bell that rings when it changes. Does not know: what readers make of it.
//!
//! 1. A command's outcome is handed on only after its change can be read.
//! 2. Readers never wait for more than one command; a snapshot that a reader keeps never changes.
//! 3. The state is copied (rows are shared) only if somebody keeps a snapshot while a command is applied.

use std::{
    any::Any,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use pando_abi::{Errno, RealmId};
use pando_raft::{Applied, Cut, Entry, Machine, Whole};
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{Root, RootOutcome};

struct Published {
    root: RwLock<Arc<Root>>,
    version: watch::Sender<u64>,
    /// Does anybody live elsewhere than at home? Asked for every message.
    moves: AtomicBool,
}

/// What a node's readers see of the root group. Copies are views of the same state.
#[derive(Clone)]
pub struct RootView(Arc<Published>);

impl RootView {
    /// A view of a realm that is not founded yet.
    pub fn new(realm: RealmId) -> RootView {
        let root = Root::new(realm);
        RootView(Arc::new(Published {
            version: watch::Sender::new(root.version()),
            moves: AtomicBool::new(false),
            root: RwLock::new(Arc::new(root)),
        }))
    }

    /// Reads in place: the quickest way for one short look. `look` must not use this view.
    pub fn read<R>(&self, look: impl FnOnce(&Root) -> R) -> R {
        look(&self.0.root.read())
    }

    /// The state as it is now, to keep.
    pub fn snapshot(&self) -> Arc<Root> {
        self.0.root.read().clone()
    }

    /// [`Root::version`] as it is now.
    pub fn version(&self) -> u64 {
        self.read(Root::version)
    }

    /// Does any plain actor live elsewhere than where it was born?
    pub fn has_moves(&self) -> bool {
        self.0.moves.load(Ordering::Acquire)
    }

    /// Hears of every new version (of several in quick succession, at least of the last).
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.version.subscribe()
    }

    fn change<R>(&self, change: impl FnOnce(&mut Root) -> R) -> R {
        let mut root = self.0.root.write();
        let result = change(Arc::make_mut(&mut root));
        let version = root.version();
        self.0.moves.store(root.moves().next().is_some(), Ordering::Release);
        drop(root);
        self.0.version.send_if_modified(|known| std::mem::replace(known, version) != version);
        result
    }
}

/// The root group's machine. The only writer of its view.
pub struct RootMachine {
    view: RootView,
}

impl RootMachine {
    /// The empty machine. What `view` showed before is gone: the log will be applied from its beginning, or a snapshot
    /// restored.
    pub fn new(view: RootView) -> RootMachine {
        view.change(|root| *root = Root::new(root.realm()));
        RootMachine { view }
    }

    /// Where its state can be read.
    pub fn view(&self) -> &RootView {
        &self.view
    }
}

/// A state that is kept until it is written; what makes bytes of it holds nobody up.
struct Kept {
    root: Arc<Root>,
    whole: OnceLock<Whole>,
}

impl Kept {
    fn whole(&self) -> &Whole {
        self.whole.get_or_init(|| Whole::new(self.root.snapshot()))
    }
}

impl Cut for Kept {
    fn count(&self) -> usize {
        self.whole().count()
    }
    fn name(&self, part: usize) -> Option<[u8; 32]> {
        self.whole().name(part)
    }
    fn bytes(&self, part: usize) -> Vec<u8> {
        self.whole().bytes(part)
    }
    fn named(&mut self, _: usize, _: [u8; 32]) {}
}

impl Machine for RootMachine {
    fn apply(&mut self, index: u64, entry: &Entry) -> Applied {
        let outcome = self.view.change(|root| root.apply(index, entry)).encode();
        // The root group has no effects but its outcomes.
        let effects_digest = *blake3::hash(&outcome).as_bytes();
        Applied { outcome, effects_digest }
    }

    fn skip(&mut self, _: u64, _: &Entry) -> Applied {
        let text = "the command kills whoever applies it, and was skipped";
        let (errno, mend) = (Errno::INTERNAL.code(), "look into the nodes' logs".to_owned());
        let refused = RootOutcome::Refused { errno, text: text.to_owned(), mend };
        Applied { outcome: refused.encode(), effects_digest: [0; 32] }
    }

    fn batch_end(&mut self) -> [u8; 32] {
        self.view.read(Root::hash)
    }

    fn snapshot(&mut self) -> Vec<u8> {
        // Not in place: encoding is long, and readers shall not hold up a writer for it.
        self.view.snapshot().snapshot()
    }

    fn restore(&mut self, image: &[u8]) -> Result<(), String> {
        let realm = self.view.read(Root::realm);
        let restored = Root::from_snapshot(realm, image).map_err(|error| error.to_string())?;
        self.view.change(|root| *root = restored);
        Ok(())
    }

    fn cut(&mut self) -> Box<dyn Cut> {
        Box::new(Kept { root: self.view.snapshot(), whole: OnceLock::new() })
    }

    fn role(&mut self, _leading: bool, _term: u64) {
        // Nothing to let out: what follows from a change is done by whoever reads it.
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
