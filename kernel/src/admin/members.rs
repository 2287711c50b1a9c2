//! Nodes in and out, and who holds which group: asked for here, done by the services.
//!
//! 1. What is asked for is written down by the root group first. Whoever asked waits until it is so, but it comes to be so also
//!    if they do not.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use pando_abi::{ActorId, Address, Errno, Home, NodeId};
use pando_admin::{Contact, Reply, Request};
use tokio::time::Instant;

use super::{VIEW_PATIENCE, target::find};
use crate::{
    node::Kernel,
    realm::Refusal,
    root::{MemberEntry, Root, RootCommand, RootOutcome},
};

/// How long is waited for a change that goes on by itself.
const CHANGE_PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing has to move any more before a node counts as drained as far as it can be.
const STILL: Duration = Duration::from_secs(3);
/// The longest and shortest time that a ticket may be good.
const TICKET_MS: std::ops::RangeInclusive<u64> = 1_000..=7 * 86_400_000;
/// Contacts in a ticket: it has to be copied by hand.
const CONTACTS_MAX: usize = 2;

fn alive(kernel: &Kernel) -> Vec<u32> {
    kernel.nodes_up().iter().map(|node| node.0).collect()
}

fn contact(member: &MemberEntry) -> Contact {
    Contact { node: member.node.0, key: member.key, addr: member.addr.to_string() }
}

pub(super) async fn ticket(kernel: &Arc<Kernel>, key: [u8; 32], lifetime_ms: u64) -> Result<Reply, Refusal> {
    if !TICKET_MS.contains(&lifetime_ms) {
        let text = "a ticket is good for a second at least and a week at most";
        return Err(Refusal::new(Errno::BAD_REQUEST, text, "`pando ticket --for 1h`"));
    }
    let now_ns = kernel.door().now_ns();
    let expires_ns = now_ns.saturating_add(lifetime_ms * 1_000_000);
    kernel.root_command(RootCommand::AddTicket { key, expires_ns, now_ns }).await?;
    let up = kernel.nodes_up();
    let mut nodes: Vec<Contact> =
        kernel.root().read(|root| root.members().filter(|m| up.contains(&m.node)).map(contact).collect());
    nodes.sort_by_key(|contact| contact.node != kernel.id().0);
    nodes.truncate(CONTACTS_MAX);
    Ok(Reply::Ticket { realm: kernel.realm_id().0, nodes })
}

/// Admits a node for whoever has proved `ticket`.
pub(super) async fn join(kernel: &Arc<Kernel>, ticket: [u8; 32], key: [u8; 32], addr: &str) -> Result<Reply, Refusal> {
    let addr: SocketAddr = addr.parse().map_err(|_| {
        Refusal::new(Errno::BAD_REQUEST, format!("`{addr}` is not an address"), "give an IP address and a port")
    })?;
    if addr.port() == 0 || addr.ip().is_unspecified() {
        let text = format!("nobody can reach a node at {addr}");
        return Err(Refusal::new(Errno::BAD_REQUEST, text, "name the address by which others reach it: `--listen`"));
    }
    let now_ns = kernel.door().now_ns();
    match kernel.root_command(RootCommand::Admit { ticket, key, addr, now_ns }).await? {
        RootOutcome::Member { node } => {
            let (nodes, users) = kernel.root().read(|root| {
                (root.members().map(contact).collect::<Vec<_>>(), root.users().map(|user| user.key).collect())
            });
            let known = nodes.iter().any(|contact| contact.node == node.0);
            // It is asked again, by when this node has heard of its own decision.
            let late = || Refusal::new(Errno::UNREACHABLE, "the node is admitted, and not known here yet", "try again");
            if known { Ok(Reply::Joined { node: node.0, nodes, users }) } else { Err(late()) }
        }
        other => Err(Refusal::new(Errno::INTERNAL, format!("the root group answered {other:?}"), "")),
    }
}

pub(super) async fn remove(kernel: &Arc<Kernel>, node: NodeId, lost: bool) -> Result<Reply, Refusal> {
    if node == kernel.id() {
        let text = format!("{node} cannot remove itself");
        return Err(Refusal::new(Errno::REFUSED, text, "ask another node: `--node`"));
    }
    kernel.root_command(RootCommand::RemoveMember { node, alive: alive(kernel), lost }).await?;
    let deadline = Instant::now() + CHANGE_PATIENCE;
    if kernel.until_root(deadline, |root| root.member(node).is_none()).await {
        return Ok(Reply::Done);
    }
    let held = kernel.root().read(|root| root.groups_of(node).map(|group| group.address()).next());
    let text = match held {
        Some(group) => format!("{node} is being removed, but {} counts on it still", called(kernel, group)),
        None => format!("{node} is being removed, but the root group counts on it still"),
    };
    Err(Refusal::new(
        Errno::TIMEOUT,
        text,
        "it goes on by itself once a majority of that group is up; `inspect` shows it",
    ))
}

pub(super) async fn drain(kernel: &Arc<Kernel>, node: NodeId, drained: bool) -> Result<Reply, Refusal> {
    kernel.root_command(RootCommand::Drain { node, drained }).await?;
    let (mut stay, mut moved, mut kept) = (Vec::new(), 0, Vec::new());
    if drained {
        // Its plain actors leave while its groups do.
        let (task, runtime) = (kernel.clone(), kernel.runtime());
        let vacated = runtime.spawn(async move { vacate(&task, node).await });
        let deadline = Instant::now() + CHANGE_PATIENCE;
        // The keeper moves what can be moved; what has not begun to move for a while finds no room.
        loop {
            let load = kernel.root().read(|root| (root.load(node), root.wanted_on(node)));
            if load.0 == 0 {
                break;
            }
            let step = (Instant::now() + STILL).min(deadline);
            let moved = kernel.until_root(step, |root| (root.load(node), root.wanted_on(node)) != load).await;
            let moving = kernel.root().read(|root| root.groups_of(node).any(|group| group.is_moving()));
            if Instant::now() >= deadline || !moved && !moving {
                break;
            }
        }
        let held: Vec<Address> = kernel.root().read(|root| root.groups_of(node).map(|g| g.address()).collect());
        stay = held.into_iter().map(|group| called(kernel, group)).collect();
        if let Ok(Some(Reply::Vacated { moved: count, stay })) = vacated.await {
            (moved, kept) = (count, stay);
        }
    }
    Ok(Reply::Drained { stay, actors: actors_on(kernel, node).await, moved, kept })
}

/// Has a node give its plain actors to others; what it says.
async fn vacate(kernel: &Arc<Kernel>, node: NodeId) -> Option<Reply> {
    if node == kernel.id() {
        return Some(super::moves::all(kernel).await);
    }
    kernel.ask_node(node, &Request::Vacate, CHANGE_PATIENCE).await
}

/// Plain actors on a node.
async fn actors_on(kernel: &Arc<Kernel>, node: NodeId) -> Option<u64> {
    if node == kernel.id() {
        return Some(kernel.cells().count() as u64);
    }
    match kernel.ask_node(node, &Request::Top, VIEW_PATIENCE).await {
        Some(Reply::Top(rows)) => rows.first().map(|row| row.actors),
        _ => None,
    }
}

pub(super) async fn settings(kernel: &Arc<Kernel>, replace_after_ms: Option<u64>) -> Result<Reply, Refusal> {
    if let Some(ms) = replace_after_ms {
        kernel.root_command(RootCommand::SetReplaceAfter { ms }).await?;
    }
    Ok(Reply::Settings { replace_after_ms: kernel.root().read(|root| root.replace_after_ms()) })
}

fn group_of(kernel: &Arc<Kernel>, target: &str) -> Result<ActorId, Refusal> {
    let to = find(kernel, target)?;
    match to.home {
        Home::Group => Ok(to.id),
        _ => Err(Refusal::new(Errno::REFUSED, format!("`{target}` is not a group"), "spawn it with --replicas")),
    }
}

pub(super) async fn voters(kernel: &Arc<Kernel>, target: &str, nodes: Vec<u32>) -> Result<Reply, Refusal> {
    let id = group_of(kernel, target)?;
    seated(kernel, target, RootCommand::SetVoters { id, voters: nodes }, id).await.map(|_| Reply::Done)
}

pub(super) async fn reseat(
    kernel: &Arc<Kernel>,
    target: &str,
    add: Vec<u32>,
    remove: Vec<u32>,
) -> Result<Reply, Refusal> {
    let id = group_of(kernel, target)?;
    seated(kernel, target, RootCommand::Reseat { id, add, remove }, id).await.map(Reply::Held)
}

/// Has it written down, and waits until the group says that it is so.
async fn seated(kernel: &Arc<Kernel>, target: &str, command: RootCommand, id: ActorId) -> Result<Vec<u32>, Refusal> {
    let RootOutcome::Group { record } = kernel.root_command(command).await? else {
        return Err(Refusal::new(Errno::INTERNAL, "the root group answered another question", ""));
    };
    let deadline = Instant::now() + CHANGE_PATIENCE;
    let settled =
        |root: &Root| root.group(id).is_none_or(|now| now.voters == now.wanted || now.wanted != record.wanted);
    kernel.until_root(deadline, settled).await;
    match kernel.root().read(|root| root.group(id).map(|now| (now.voters.clone(), now.wanted.clone()))) {
        Some((voters, _)) if voters == record.wanted => Ok(voters),
        Some((_, wanted)) if wanted != record.wanted => {
            let text = format!("somebody else wants `{target}` on other nodes meanwhile");
            Err(Refusal::new(Errno::EXISTS, text, format!("see `inspect {target}`")))
        }
        Some(_) => {
            let text = format!("`{target}` is not yet where it shall be");
            let mend = format!("it goes on by itself once those nodes are up; `inspect {target}` shows how far it is");
            Err(Refusal::new(Errno::TIMEOUT, text, mend))
        }
        None => Err(Refusal::new(Errno::DEAD, format!("`{target}` has ended meanwhile"), "")),
    }
}

pub(super) fn called(kernel: &Kernel, address: Address) -> String {
    let name = kernel.root().read(|root| root.names_of(address).next().map(str::to_owned));
    name.unwrap_or_else(|| address.to_string())
}
