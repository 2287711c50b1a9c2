//! Another module for an actor or group that lives.
//!
//! 1. A group is only asked once every voter has the module on its disk: an entry that one replica cannot apply would stop it.
//! 2. Asked for again, a module that runs already is answered as one that runs, so whoever was not answered may ask again.

use std::{sync::Arc, time::Duration};

use pando_abi::{Address, Errno, Home, ModuleHash, NodeId};
use pando_actors::Class;
use pando_admin::{Carried, Reply, Request};
use pando_raft::Entry;

use super::{calls::no_quorum, spawn::known_here, target::find};
use crate::{
    cell::Switch,
    lanes::Whereabouts,
    launch,
    node::Kernel,
    realm::Refusal,
    replica::entry::{Outcome, Switched, UPGRADE, Upgrade},
    root::RootCommand,
    wire,
};

/// How long an upgrade is proposed before it is given up; it may still happen then.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one proposal is waited for before it is tried anew.
const TRY: Duration = Duration::from_secs(3);
/// How long a voter may take to fetch the module.
const FETCH_PATIENCE: Duration = Duration::from_secs(20);
/// How long a plain actor may be busy with the event before.
const TURN_PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn upgrade(kernel: &Arc<Kernel>, target: &str, hash: ModuleHash) -> Result<Reply, Refusal> {
    let to = find(kernel, target)?;
    known_here(kernel, hash).await;
    if kernel.root().read(|root| root.module(hash).is_none()) {
        return Err(Refusal::new(Errno::NO_MODULE, format!("the realm has no module {hash:.8}"), "put it first"));
    }
    match to.home {
        Home::Group => group(kernel, target, to, hash).await,
        Home::Node => plain(kernel, target, to, hash).await,
        Home::Service => Err(Refusal::new(Errno::REFUSED, format!("`{target}` is a part of the kernel"), "")),
    }
}

fn unfit(why: String) -> Refusal {
    Refusal::new(
        Errno::BAD_REQUEST,
        format!("the module cannot run here: {why}"),
        "bring it again if no node has it; syscalls/SPEC.md tells what it has to be",
    )
}

fn undone(target: &str, errno: Errno, why: &str) -> Refusal {
    let mend =
        "it has its old code and state; `help upgrade` and section 15 of syscalls/SPEC.md tell how state comes over";
    Refusal::new(errno, format!("`{target}` was not upgraded: {why}"), mend)
}

async fn plain(kernel: &Arc<Kernel>, target: &str, to: Address, hash: ModuleHash) -> Result<Reply, Refusal> {
    let ended = || Refusal::new(Errno::DEAD, format!("`{target}` has ended"), "`ps` shows what runs");
    let module = kernel.module(hash, Class::Plain).await.map_err(unfit)?;
    let cell = kernel.cells().get(to.id).ok_or_else(ended)?;
    if cell.module().is_some_and(|running| running.hash() == hash) {
        return Ok(Reply::Upgraded { carried: Carried::Already, index: 0, epoch: 0 });
    }
    let told = cell.upgrade(module);
    kernel.wake(&cell);
    let switch: Switch = match tokio::time::timeout(TURN_PATIENCE, told).await {
        Ok(told) => told.map_err(|_| ended())?,
        Err(_) => {
            let text = format!("`{target}` is busy with an event; it switches when that is handled");
            return Err(Refusal::new(Errno::TIMEOUT, text, "`inspect` shows which module it runs"));
        }
    };
    let carried = match switch {
        Ok(pando_actors::Carried::Kept) => Carried::Kept,
        Ok(pando_actors::Carried::Exported { version, .. }) => Carried::Exported { version },
        Err(why) => return Err(undone(target, Errno::REFUSED, &why)),
    };
    // Other nodes know by the name what can be called.
    let names: Vec<String> = kernel.root().read(|root| root.names_of(to).map(str::to_owned).collect());
    for name in names {
        if let Err(why) = kernel.root_command(RootCommand::RegisterName { name, address: to, module: hash }).await {
            tracing::warn!(%to, %why, "the module behind a name could not be recorded");
        }
    }
    Ok(Reply::Upgraded { carried, index: 0, epoch: 0 })
}

async fn group(kernel: &Arc<Kernel>, target: &str, to: Address, hash: ModuleHash) -> Result<Reply, Refusal> {
    kernel.module(hash, Class::Replicated).await.map_err(unfit)?;
    let voters = match kernel.whereabouts(to.id) {
        Whereabouts::At(voters) => voters,
        Whereabouts::Ended(exit) => {
            let text = format!("`{target}` has ended: {}", crate::input::describe(&exit));
            return Err(Refusal::new(Errno::DEAD, text, "`ps` shows what runs"));
        }
        Whereabouts::Unknown => return Err(Refusal::new(Errno::NOT_FOUND, format!("no group `{target}`"), "")),
    };
    for node in voters.iter().copied().filter(|n| *n != kernel.id()) {
        give(kernel, node, hash).await?;
    }
    let mut origin = [0; 16];
    origin[..4].copy_from_slice(&kernel.id().0.to_le_bytes());
    origin[8..].copy_from_slice(b"upgrader");
    let upgrade = Upgrade { engine: launch::ENGINE.into(), abi: pando_abi::IMPORT_MODULE.into(), module: hash.0 };
    let entry = Entry {
        origin,
        incarnation: kernel.incarnation().0,
        seq: kernel.next_sequence(),
        time_ns: kernel.door().now_ns(),
        seed: kernel.door().seed(),
        epoch: 0,
        kind: UPGRADE,
        payload: wire::encode(&upgrade),
    };
    let groups = kernel.groups_opened().await;
    let began = tokio::time::Instant::now();
    let committed = loop {
        match groups.propose_via(&voters, to.id, entry.clone(), TRY).await {
            Ok(committed) => break committed,
            Err(_) if began.elapsed() > PATIENCE => return Err(no_quorum(target)),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    match wire::decode::<Outcome>(&committed.outcome, usize::MAX) {
        Ok(Outcome::Switched(Switched::Done { epoch, version, already })) => {
            kernel.root_command(RootCommand::SetModule { id: to.id, module: hash, epoch }).await?;
            let carried = match (already, version) {
                (true, _) => Carried::Already,
                (false, None) => Carried::Kept,
                (false, Some(version)) => Carried::Exported { version },
            };
            Ok(Reply::Upgraded { carried, index: committed.index, epoch })
        }
        Ok(Outcome::Switched(Switched::Refused { errno, why })) => {
            Err(undone(target, Errno::from_code(errno).unwrap_or(Errno::INTERNAL), &why))
        }
        // A later upgrade that this node proposed was committed before.
        _ => Err(Refusal::new(Errno::REFUSED, format!("another upgrade of `{target}` came first"), "ask again")),
    }
}

/// Sees to it that a voter has the module on its disk.
async fn give(kernel: &Arc<Kernel>, node: NodeId, hash: ModuleHash) -> Result<(), Refusal> {
    let request = Request::HasModule { hash: hash.0 };
    match kernel.ask_node(node, &request, FETCH_PATIENCE).await {
        Some(Reply::Module { .. }) => Ok(()),
        Some(Reply::Refused { text, .. }) => {
            Err(Refusal::new(Errno::NO_MODULE, format!("{node} cannot fetch the module: {text}"), "ask again"))
        }
        _ => {
            let text = format!("{node} holds a replica and does not answer; all voters need the module on their disks");
            let mend = format!("start {node}, or give the group other nodes with `voters`");
            Err(Refusal::new(Errno::UNREACHABLE, text, mend))
        }
    }
}
