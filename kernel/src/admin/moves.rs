//! Plain actors to other nodes: one that a person names, or all that are on this node.
//!
//! 1. A move that was begun is brought to its end, also if nobody waits for the answer any more.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pando_abi::{Address, Errno, Home, NodeId};
use pando_admin::{Reply, Request};
use pando_raft::blocking;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{VIEW_PATIENCE, WORK_PATIENCE, target::find};
use crate::{moving::Carried, node::Kernel, realm::Refusal};

/// Actors that leave a node at once.
const AT_ONCE: usize = 8;
/// How often, and how soon, a move is tried again because somebody else moved the actor.
const TRIES: u32 = 20;
const AGAIN: Duration = Duration::from_millis(100);
/// How long a node goes on giving actors away.
const VACATE_PATIENCE: Duration = Duration::from_secs(45);

pub(super) async fn one(kernel: &Arc<Kernel>, target: &str, to: NodeId) -> Result<Reply, Refusal> {
    let address = find(kernel, target)?;
    let named = |why: Refusal| Refusal { text: format!("`{target}` stays where it is: {}", why.text), ..why };
    moved(kernel, address, to).await.map_err(named)
}

async fn moved(kernel: &Arc<Kernel>, address: Address, to: NodeId) -> Result<Reply, Refusal> {
    if address.home != Home::Node {
        let mend = "move its replicas: `group move`";
        return Err(Refusal::new(Errno::REFUSED, "it is a group, and lives on several nodes", mend));
    }
    let leader = kernel.led_by(address);
    if leader != kernel.id() {
        // Its own id names it at any node.
        let request = Request::Move { target: address.id.to_string(), node: to.0 };
        return match kernel.ask_node(leader, &request, WORK_PATIENCE).await {
            Some(Reply::Refused { errno, text, mend }) => {
                Err(Refusal::new(Errno::from_code(errno).unwrap_or(Errno::INTERNAL), text, mend))
            }
            Some(reply) => Ok(reply),
            None => Err(Refusal::new(Errno::UNREACHABLE, format!("{leader} does not answer"), "see `nodes`")),
        };
    }
    let mut tries = 0;
    let Carried { from, to, bytes, paused } = loop {
        let task = kernel.clone();
        let carried = kernel.runtime().spawn(async move { task.move_actor(address, to).await }).await;
        let failed = |why| Refusal::new(Errno::INTERNAL, format!("the move failed in the kernel: {why}"), "");
        match carried.map_err(failed)? {
            // Somebody else moves it: that is waited for, as it takes no time.
            Err(why) if why.errno == Errno::EXISTS && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(AGAIN).await;
            }
            carried => break carried?,
        }
    };
    let paused_us = u64::try_from(paused.as_micros()).unwrap_or(u64::MAX);
    Ok(Reply::Moved { from: from.0, to: to.0, bytes, paused_us })
}

/// Nodes that take plain actors, and how many each has.
async fn takers(kernel: &Arc<Kernel>) -> BTreeMap<NodeId, u64> {
    let up = kernel.nodes_up();
    let fit: Vec<NodeId> = kernel.root().read(|root| {
        let fit = root.members().filter(|m| m.is_placeable() && m.node != kernel.id() && up.contains(&m.node));
        fit.map(|m| m.node).collect()
    });
    let mut takers = BTreeMap::new();
    for node in fit {
        if let Some(Reply::Top(rows)) = kernel.ask_node(node, &Request::Top, VIEW_PATIENCE).await {
            takers.insert(node, rows.first().map_or(0, |row| row.actors));
        }
    }
    takers
}

/// Moves every plain actor of this node to the others, each to the one that has the fewest.
pub(super) async fn all(kernel: &Arc<Kernel>) -> Reply {
    let mut takers = takers(kernel).await;
    let task = kernel.clone();
    let here = blocking(move || task.cells().all().iter().map(|cell| cell.address()).collect::<Vec<Address>>()).await;
    let mut here = here.unwrap_or_default();
    here.sort_unstable();
    let deadline = Instant::now() + VACATE_PATIENCE;
    let (mut moved_count, mut stay) = (0, Vec::new());
    let mut under_way: JoinSet<(Address, Result<Reply, Refusal>)> = JoinSet::new();
    let mut note = |done: (Address, Result<Reply, Refusal>)| match done {
        (_, Ok(_)) => moved_count += 1,
        // Whoever has ended needs no place any more.
        (_, Err(why)) if why.errno == Errno::DEAD => {}
        (address, Err(why)) => stay.push((super::members::called(kernel, address), why.text)),
    };
    for address in here {
        let Some((node, count)) = takers.iter_mut().min_by_key(|(node, count)| (**count, **node)) else {
            note((address, Err(Refusal::new(Errno::REFUSED, "no other node takes it", ""))));
            continue;
        };
        if Instant::now() >= deadline {
            note((address, Err(Refusal::new(Errno::TIMEOUT, "its turn has not come in time", ""))));
            continue;
        }
        *count += 1;
        while under_way.len() >= AT_ONCE {
            under_way.join_next().await.into_iter().flatten().for_each(&mut note);
        }
        let (task, to) = (kernel.clone(), *node);
        under_way.spawn(async move { (address, moved(&task, address, to).await) });
    }
    while let Ok(Some(done)) = timeout(WORK_PATIENCE, under_way.join_next()).await {
        done.into_iter().for_each(&mut note);
    }
    Reply::Vacated { moved: moved_count, stay }
}
