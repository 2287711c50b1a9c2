//! Keeps the groups on this node as the root group wants them: creates, joins and removes replicas; and after a boot gives
//! up the names of the actors that ended with the boot before.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use pando_abi::{ActorId, Address, Home, ModuleHash};

use crate::{node::Kernel, realm::ROOT, replica::Port, root::RootCommand};

/// How soon what could not be done is tried again.
const AGAIN: Duration = Duration::from_millis(500);

pub(super) async fn work(kernel: &Arc<Kernel>) {
    tokio::spawn(give_up_names(kernel.clone()));
    let mut changes = kernel.root().changes();
    loop {
        let done = settle(kernel).await;
        let pause = if done { Duration::from_secs(3_600) } else { AGAIN };
        if let Ok(Err(_)) = tokio::time::timeout(pause, changes.changed()).await {
            return;
        }
    }
}

/// Plain actors end with their node, but nobody was left to take their names back.
async fn give_up_names(kernel: Arc<Kernel>) {
    while kernel.groups().linear(ROOT, AGAIN).await.is_err() {
        tokio::time::sleep(AGAIN).await;
    }
    let own = |a: &Address| a.home == Home::Node && a.node == kernel.id();
    let named: BTreeSet<Address> = kernel.root().read(|root| root.names("").map(|n| n.address).filter(own).collect());
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
async fn settle(kernel: &Arc<Kernel>) -> bool {
    let wanted = kernel.root().read(|root| {
        root.is_founded()
            .then(|| root.groups_of(kernel.id()).map(|g| (g.id, g.modules(), g.voter_ids())).collect::<Vec<_>>())
    });
    let Some(wanted) = wanted else { return true };
    let here: BTreeSet<ActorId> = kernel.groups().list().into_iter().collect();
    let mut done = true;
    for (group, modules, voters) in &wanted {
        if here.contains(group) {
            continue;
        }
        // A replica must find its modules, that of now and those of the events in its log, on this node's own disk.
        if let Err(why) = all_modules(kernel, modules).await {
            tracing::warn!(group = %group, %why, "a replica waits for its module");
            done = false;
            continue;
        }
        let made = kernel.groups().create(*group, voters).await;
        if let Err(why) = made {
            tracing::warn!(group = %group, %why, "a replica could not be made");
            done = false;
        }
    }
    let keep: BTreeSet<ActorId> = wanted.into_iter().map(|(group, ..)| group).collect();
    for group in here.into_iter().filter(|g| *g != ROOT && !keep.contains(g)) {
        // A root group that has not caught up yet knows fewer groups than there are: only what it knows to be
        // over is removed.
        let over = kernel.root().read(|root| {
            root.ended(group).is_some() || root.group(group).is_some_and(|g| !g.voters.contains(&kernel.id().0))
        });
        if !over {
            continue;
        }
        match kernel.groups().remove(group).await {
            // Nobody tells a machine that is gone that it no longer leads.
            Ok(()) => kernel.leaders().follows(group),
            Err(why) => {
                tracing::warn!(group = %group, %why, "a replica could not be removed");
                done = false;
            }
        }
    }
    done
}
