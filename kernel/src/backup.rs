//! What a backup asks of a node: to hold still towards groups while they are copied, and the copies.
//!
//! Copies of many groups are of one piece (a consistent cut, as Chandy and Lamport call it, 1985) if no copy has heard what
//! another one has not said yet, and none has forgotten what another one has not heard yet. So first every node of the realm
//! **holds**: its leaders let nothing out and take nothing as heard. Then each group is copied at an index that it had reached
//! by then, or later. Calls of people and plain actors go on.
//!
//! ```text
//! who backs up  -- Hold -->  every node that is up
//!               -- CopyGroup, for the root group, then CopyPlan, then CopyGroup for each group -->  a node that holds it
//!               -- Hold again, which tells whether a node has held all the while -->  every node
//!               -- Release -->  every node
//! ```
//!
//! 1. A hold ends by itself soon after nobody renews it.
//! 2. A node holds for one backup at a time.
//! 3. What was not let out or not taken as heard is said again after the hold.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use pando_abi::{ActorId, Errno, ModuleHash};
use pando_admin::{CopyRow, Reply};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{node::Kernel, realm::Refusal, wire};

/// A hold lasts so long at most unless it is renewed.
const HOLD_MAX: Duration = Duration::from_secs(30);
/// How long a group has to say where it stands.
const COPY_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of one piece of a copy.
const PIECE_BYTES: usize = 1 << 20;

/// Does this node hold, and what has it copied last?
#[derive(Default)]
pub(crate) struct Holding(Mutex<Option<Held>>);

struct Held {
    backup: u64,
    until: Instant,
    /// The group that is being carried away.
    copy: Option<(ActorId, Bytes)>,
}

fn lapsed(kernel: &Kernel) -> Refusal {
    let text = format!("{} does not hold for this backup: it was started anew, or held for too long", kernel.id());
    Refusal::new(Errno::REFUSED, text, "make the backup again")
}

/// Holds from now on. `renew`: only if this node has held since the backup began.
pub(crate) fn hold(kernel: &Arc<Kernel>, backup: u64, lasts: Duration, renew: bool) -> Result<Reply, Refusal> {
    let until = Instant::now() + lasts.min(HOLD_MAX);
    {
        let mut held = kernel.holding().0.lock();
        match &mut *held {
            Some(held) if held.backup == backup => {
                held.until = until;
                return Ok(Reply::Done);
            }
            Some(_) => {
                let text = format!("{} holds for another backup", kernel.id());
                return Err(Refusal::new(Errno::EXISTS, text, "wait until that one is done, and try again"));
            }
            None if renew => return Err(lapsed(kernel)),
            None => *held = Some(Held { backup, until, copy: None }),
        }
        kernel.leaders().hold();
    }
    kernel.log_as("kernel".into(), 3, "holds still for a backup".into());
    let task = kernel.clone();
    kernel.runtime().spawn(async move {
        loop {
            let until = match &*task.holding().0.lock() {
                Some(held) if held.backup == backup => held.until,
                _ => return,
            };
            tokio::time::sleep_until(until).await;
            let late = |held: &mut Held| held.backup == backup && held.until <= Instant::now();
            if task.holding().0.lock().take_if(late).is_some() {
                task.log_as("kernel".into(), 2, "a backup has not renewed its hold, and holds no more".into());
                return task.leaders().release();
            }
        }
    });
    Ok(Reply::Done)
}

/// Holds no longer.
pub(crate) fn release(kernel: &Arc<Kernel>, backup: u64) -> Result<Reply, Refusal> {
    if kernel.holding().0.lock().take_if(|held| held.backup == backup).is_some() {
        kernel.leaders().release();
    }
    Ok(Reply::Done)
}

/// A piece of the copy of a group; the copy is made when its first piece is asked for.
pub(crate) async fn copy(kernel: &Arc<Kernel>, backup: u64, group: ActorId, offset: u64) -> Result<Reply, Refusal> {
    let is_held = || kernel.holding().0.lock().as_ref().is_some_and(|held| held.backup == backup);
    if !is_held() {
        return Err(lapsed(kernel));
    }
    if offset == 0 {
        let copied = kernel.groups_opened().await.copy_out(group, COPY_PATIENCE).await;
        let copied = copied.map_err(|why| {
            let text = format!("{} on {}: {why}", pando_abi::Address::group(group), kernel.id());
            Refusal::new(Errno::NO_QUORUM, text, "start enough of its nodes that more than half are up")
        })?;
        match &mut *kernel.holding().0.lock() {
            Some(held) if held.backup == backup => held.copy = Some((group, copied.to_bytes())),
            _ => return Err(lapsed(kernel)),
        }
    }
    match &*kernel.holding().0.lock() {
        Some(Held { backup: held, copy: Some((copied, bytes)), .. }) if *held == backup && *copied == group => {
            Ok(piece(bytes, offset))
        }
        _ => Err(lapsed(kernel)),
    }
}

/// What there is to copy, as the root group has it: ask for the root group's own copy first.
pub(crate) fn plan(kernel: &Arc<Kernel>) -> Reply {
    kernel.root().read(|root| {
        let groups = root.groups().filter(|group| group.ended.is_none());
        let groups = groups.map(|group| CopyRow { id: group.id.0, voters: group.voters.clone() }).collect();
        Reply::Plan { groups, modules: root.modules().map(|module| module.hash.0).collect() }
    })
}

/// A piece of a module's bytes.
pub(crate) async fn module(kernel: &Arc<Kernel>, hash: ModuleHash, offset: u64) -> Result<Reply, Refusal> {
    kernel
        .fetch_module(hash)
        .await
        .map_err(|why| Refusal::new(Errno::NO_MODULE, why, "start the nodes that have it"))?;
    let bytes = kernel.modules().bytes(hash).unwrap_or_default();
    Ok(piece(&bytes, offset))
}

fn piece(bytes: &[u8], offset: u64) -> Reply {
    Reply::Piece { total: bytes.len() as u64, bytes: wire::piece(bytes, offset, PIECE_BYTES).to_vec() }
}
