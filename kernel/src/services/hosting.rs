//! Keeps the groups on this node as the root group wants them: creates, joins and removes replicas; and after a boot gives
//! up the names of the actors that ended with the boot before.
//!
//! 1. A group is founded only by its founders, and only until its voters have once been changed: what is known here must not
//!    be older than this boot for that. Whoever comes later joins, and waits to be found.
//! 2. A replica of a group that goes on is deleted only once the group's leader agrees.
//! 3. On a disk that is an older copy a group that is missing may have been forgotten: it is neither founded nor just joined.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use pando_abi::{ActorId, Address, Home, ModuleHash};
use pando_raft::GroupEvent;
use tokio::{sync::broadcast, task::JoinSet};

use crate::{
    node::Kernel,
    realm::ROOT,
    replica::{LACKS_MODULE, Port},
    root::{GroupRecord, RootCommand},
};

/// How soon what could not be done is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// Replicas that are made at once.
const MADE_AT_ONCE: usize = 32;

pub(super) async fn work(kernel: &Arc<Kernel>) {
    tokio::spawn(give_up_names(kernel.clone()));
    let mut changes = kernel.root().changes();
    let mut events = kernel.groups().watch();
    // Also those that stopped before anybody listened.
    let mut stopped = true;
    loop {
        stopped = stopped && !supply(kernel).await;
        let done = pass(kernel).await && !stopped;
        let pause = if done { Duration::from_secs(3_600) } else { AGAIN };
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = a_stop(&mut events) => stopped = true,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Waits until a replica here has stopped, or the disk was found to be an older copy.
async fn a_stop(events: &mut broadcast::Receiver<GroupEvent>) {
    loop {
        match events.recv().await {
            Ok(GroupEvent::Stopped { .. } | GroupEvent::OldCopy { .. })
            | Err(broadcast::error::RecvError::Lagged(_)) => return,
            Ok(_) => {}
            // The node is stopping, and so is who waits here.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Replicas that met an event of a module that is not here, as those of a node that joins while it is upgraded, go on once
/// it is. `false`: not yet.
async fn supply(kernel: &Arc<Kernel>) -> bool {
    let lacks = |group: &ActorId| {
        let stopped = kernel.groups().status(*group).and_then(|status| status.stopped);
        stopped.is_some_and(|why| why.contains(LACKS_MODULE))
    };
    let lacking: Vec<ActorId> = kernel.groups().list().into_iter().filter(lacks).collect();
    if lacking.is_empty() {
        return true;
    }
    for hash in kernel.modules().lacked() {
        if let Err(why) = kernel.fetch_module(hash).await {
            tracing::warn!(%why, "replicas wait for a module");
            return false;
        }
    }
    for group in lacking {
        if let Err(why) = kernel.groups().restart(group).await {
            tracing::warn!(%group, %why, "a replica could not be started again");
            return false;
        }
    }
    true
}

/// Plain actors end with their node, but nobody was left to take their names back.
async fn give_up_names(kernel: Arc<Kernel>) {
    while kernel.groups().linear(ROOT, AGAIN).await.is_err() {
        tokio::time::sleep(AGAIN).await;
    }
    let named: BTreeSet<Address> = kernel.root().read(|root| {
        // Those who live elsewhere did not end with it.
        let own = |a: &Address| a.home == Home::Node && a.node == kernel.id() && root.moved(*a).is_none();
        root.names("").map(|n| n.address).filter(own).collect()
    });
    for address in named {
        if kernel.cells().is_known(address.id) {
            continue;
        }
        while let Err(why) = kernel.root_command(RootCommand::UnregisterAddress { address }).await {
            tracing::warn!(%address, %why, "the names of an actor that ended with its node could not be taken back");
        }
    }
}

async fn all_modules(kernel: &Arc<Kernel>, modules: &[ModuleHash]) -> Result<(), String> {
    for module in modules {
        kernel.module(*module, pando_actors::Class::Replicated).await?;
    }
    Ok(())
}

/// One pass. `false`: something is left to do.
async fn pass(kernel: &Arc<Kernel>) -> bool {
    if !kernel.groups().is_old_copy() {
        return settle(kernel).await;
    }
    // Only who knows which groups there are knows that none is missing.
    knows_now(kernel).await && settle(kernel).await && renew(kernel).await
}

/// Makes and removes replicas as this node knows them to be wanted. `false`: not all yet.
async fn settle(kernel: &Arc<Kernel>) -> bool {
    let here: BTreeSet<ActorId> = kernel.groups().list().into_iter().collect();
    let wanted = kernel.root().read(|root| {
        root.is_founded().then(|| {
            let keep: BTreeSet<ActorId> = root.groups_of(kernel.id()).map(|record| record.id).collect();
            let missing = root.groups_of(kernel.id()).filter(|record| !here.contains(&record.id));
            (missing.cloned().collect::<Vec<GroupRecord>>(), keep)
        })
    });
    let Some((missing, keep)) = wanted else { return true };
    let mut done = host_all(kernel, missing).await;
    for group in here.into_iter().filter(|g| *g != ROOT && !keep.contains(g)) {
        done &= let_go(kernel, group).await;
    }
    done
}

/// Nothing is left to do about the older copy that the disk was. `false`: something is.
async fn renew(kernel: &Arc<Kernel>) -> bool {
    let renewed = kernel.groups().renew().await;
    renewed
        .inspect_err(|why| tracing::warn!(%why, "that the disk here is renewed could not be written"))
        .unwrap_or(false)
}

/// Does this node know what the realm has decided by now, whatever it knew before?
async fn knows_now(kernel: &Arc<Kernel>) -> bool {
    kernel.groups().linear(ROOT, AGAIN).await.is_ok()
}

/// Makes replicas, some at once: each waits for the disk, which writes for many at once. `false`: not all of them yet.
async fn host_all(kernel: &Arc<Kernel>, missing: Vec<GroupRecord>) -> bool {
    let (mut tasks, mut done) = (JoinSet::new(), true);
    for record in missing {
        if tasks.len() >= MADE_AT_ONCE {
            done &= matches!(tasks.join_next().await, Some(Ok(true)));
        }
        let kernel = kernel.clone();
        tasks.spawn(async move { host(&kernel, &record).await });
    }
    while let Some(made) = tasks.join_next().await {
        done &= matches!(made, Ok(true));
    }
    done
}

/// Makes a replica. `false`: not yet.
async fn host(kernel: &Arc<Kernel>, record: &GroupRecord) -> bool {
    let group = record.id;
    // A replica must find its modules, that of now and those of the events in its log, on this node's own disk.
    if let Err(why) = all_modules(kernel, &record.modules()).await {
        tracing::warn!(group = %group, %why, "a replica waits for its module");
        return false;
    }
    let founder = record.seated_at == 0 && record.voters.contains(&kernel.id().0);
    let made = match founder {
        // What the old copy said of the group is long past.
        _ if kernel.groups().is_old_copy() && !knows_now(kernel).await => return false,
        _ if kernel.groups().is_old_copy() => kernel.groups().rejoin(group, &record.holders()).await,
        true if !kernel.is_caught_up().await => return false,
        // It may have been changed while that was found out.
        true if !kernel.root().read(|root| root.group(group).is_some_and(|now| now.seated_at == 0)) => return false,
        true => kernel.groups().create(group, &record.voter_ids()).await,
        false => kernel.groups().join(group).await,
    };
    if let Err(why) = &made {
        tracing::warn!(group = %group, %why, "a replica could not be made");
    }
    made.is_ok()
}

/// Deletes a replica that nobody wants here. `false`: not yet.
async fn let_go(kernel: &Arc<Kernel>, group: ActorId) -> bool {
    // A root group that has not caught up yet knows fewer groups than there are: only what it knows to be over is removed.
    let (ended, via) =
        kernel.root().read(|root| (root.ended(group).is_some(), root.group(group).map(GroupRecord::holders)));
    let gone = match (ended, via) {
        (true, _) => kernel.groups().remove(group).await.map_err(|why| why.to_string()),
        (false, Some(via)) if !via.contains(&kernel.id()) => {
            kernel.groups().leave(group, &via).await.map_err(|why| why.to_string())
        }
        _ => return true,
    };
    match gone {
        Ok(()) => {
            // Nobody tells a machine that is gone that it no longer leads.
            kernel.leaders().follows(group);
            true
        }
        Err(why) => {
            tracing::info!(group = %group, %why, "a replica is kept still");
            false
        }
    }
}
