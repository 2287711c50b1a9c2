//! Who makes, replaces or ends the replica of a group here.
//!
//! Owns: the order of such work. Does not know what it is.
//!
//! 1. Of one group there is one at a time; groups do not wait for each other, for each waits for the disk.
//! 2. Once the node closes there is nobody: who closes it waits for those who have begun, and lets nobody else begin.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::entry::GroupId;

/// Locks of groups that are remembered before those are dropped that nobody holds.
const SWEEP: usize = 256;

/// See the module.
#[derive(Default)]
pub(crate) struct Turns {
    open: RwLock<()>,
    groups: Mutex<BTreeMap<GroupId, Weak<tokio::sync::Mutex<()>>>>,
}

/// The one at a time, until it is dropped.
pub(crate) struct Turn<'a> {
    _open: RwLockReadGuard<'a, ()>,
    _one: OwnedMutexGuard<()>,
}

impl Turns {
    /// Waits for the turn of a group. Not to be called by who has one.
    pub(crate) async fn of(&self, group: GroupId) -> Turn<'_> {
        let open = self.open.read().await;
        let lock = self.lock(group);
        Turn { _open: open, _one: lock.lock_owned().await }
    }

    /// Waits for the end of all turns. While this is held there are none.
    pub(crate) async fn none(&self) -> RwLockWriteGuard<'_, ()> {
        self.open.write().await
    }

    fn lock(&self, group: GroupId) -> Arc<tokio::sync::Mutex<()>> {
        let mut groups = self.groups.lock();
        if let Some(lock) = groups.get(&group).and_then(Weak::upgrade) {
            return lock;
        }
        if groups.len() >= SWEEP {
            groups.retain(|_, lock| lock.strong_count() > 0);
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        groups.insert(group, Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use pando_abi::ActorId;
    use tokio::time::{Duration, timeout};

    use super::*;

    #[tokio::test]
    async fn of_a_group_there_is_one_turn_at_a_time_and_none_once_the_node_closes() {
        let turns = Turns::default();
        let (a, b) = (ActorId([1; 16]), ActorId([2; 16]));
        let soon = Duration::from_millis(20);
        let first = turns.of(a).await;
        assert!(timeout(soon, turns.of(a)).await.is_err(), "one at a time");
        let other = timeout(soon, turns.of(b)).await.expect("another group need not wait");
        drop(first);
        let again = timeout(soon, turns.of(a)).await.expect("it is over");
        assert!(timeout(soon, turns.none()).await.is_err(), "somebody has begun");
        drop((other, again));
        let closed = timeout(soon, turns.none()).await.expect("all are over");
        assert!(timeout(soon, turns.of(b)).await.is_err(), "nobody begins");
        drop(closed);
        for n in 0..2 * SWEEP as u16 {
            let mut id = [3; 16];
            id[..2].copy_from_slice(&n.to_le_bytes());
            drop(turns.of(ActorId(id)).await);
        }
        assert!(turns.groups.lock().len() <= SWEEP, "what nobody holds is forgotten");
    }
}
