//! What a node shows: itself, its realm, its actors, its groups.

use std::{collections::BTreeMap, sync::Arc};

use pando_abi::{ActorId, Address, Errno, Home, ModuleHash, NodeId};
use pando_admin::{ActorRow, NameRow, NodeRow, Reply, Request, TopRow};
use pando_raft::{Role, Status, blocking};

use super::{VIEW_PATIENCE, target::find};
use crate::{
    cell::CellFacts,
    node::Kernel,
    realm::{ROOT, Refusal},
    replica::Replica,
    root::{GroupRecord, Standing},
};

/// Of a replica that is in doubt.
const FORGOTTEN: &str = "the disk here has forgotten what was promised on it";

pub(super) fn hello(kernel: &Arc<Kernel>) -> Reply {
    let leader = kernel.groups().status(ROOT).and_then(|s| s.leader);
    let ready = leader.is_some() && kernel.root().read(|root| root.is_founded());
    Reply::Hello { realm: kernel.realm_id().0, node: kernel.id().0, version: env!("CARGO_PKG_VERSION").into(), ready }
}

pub(super) fn nodes(kernel: &Arc<Kernel>) -> Reply {
    let leader = kernel.groups().status(ROOT).and_then(|s| s.leader);
    let sessions: BTreeMap<NodeId, u64> =
        kernel.transport().sessions().into_iter().filter_map(|s| Some((s.node, s.up?.0))).collect();
    let members = kernel.root().snapshot();
    let row = |node: NodeId, addr: String, key: [u8; 32], voter: bool, standing: Standing| {
        let this = node == kernel.id();
        let incarnation = if this { Some(kernel.incarnation().0) } else { sessions.get(&node).copied() };
        NodeRow {
            node: node.0,
            addr,
            key: ModuleHash(key).to_string(),
            up: incarnation.is_some(),
            incarnation: incarnation.unwrap_or(0),
            root_leader: leader == Some(node),
            voter,
            standing: standing_name(standing).into(),
            this,
        }
    };
    if members.is_founded() {
        let seats = members.seats();
        let rows =
            members.members().map(|m| row(m.node, m.addr.to_string(), m.key, seats.contains(&m.node), m.standing));
        Reply::Nodes(rows.collect())
    } else {
        let genesis = &kernel.parts.genesis;
        let rows = genesis.nodes.iter().map(|m| row(m.node, m.addr.to_string(), m.key.0, true, Standing::Present));
        Reply::Nodes(rows.collect())
    }
}

fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::Present => "present",
        Standing::Away => "away",
        Standing::Drained => "drained",
        Standing::Leaving => "leaving",
    }
}

pub(super) fn names(kernel: &Arc<Kernel>) -> Reply {
    let row = |root: &crate::root::Root, entry: &crate::root::NameEntry| NameRow {
        name: entry.name.clone(),
        address: entry.address.to_string(),
        module: label(root, entry.module),
    };
    Reply::Names(kernel.root().read(|root| root.names("").map(|n| row(root, n)).collect()))
}

fn label(root: &crate::root::Root, module: ModuleHash) -> String {
    match root.module(module) {
        Some(entry) if !entry.label.is_empty() => entry.label.clone(),
        _ if module == ModuleHash::default() => String::new(),
        _ => format!("{module:.8}"),
    }
}

/// A plain actor as a row.
pub(super) fn row_of(kernel: &Arc<Kernel>, facts: &CellFacts) -> ActorRow {
    kernel.root().read(|root| ActorRow {
        address: facts.address.to_string(),
        id: facts.address.id.to_string(),
        name: root.names_of(facts.address).next().unwrap_or_default().to_owned(),
        module: label(root, facts.module),
        node: kernel.id().0,
        voters: Vec::new(),
        wanted: Vec::new(),
        state: facts.state.to_owned(),
        mailbox: facts.mailbox as u64,
        memory: facts.memory,
        events: facts.events,
        restarts: facts.restarts,
        index: 0,
    })
}

struct Figures {
    events: u64,
    restarts: u32,
    memory: u64,
    outbox: usize,
    counts: Vec<(&'static str, usize)>,
}

/// Looks into a replica here; waits for the entry that it applies.
fn figures(kernel: &Arc<Kernel>, group: ActorId) -> Option<Figures> {
    let look = |machine: &mut dyn pando_raft::Machine| {
        let replica = machine.as_any().downcast_mut::<Replica>()?;
        let (events, restarts, memory, outbox) = replica.figures();
        let counts = replica.process().map(|p| p.counts().to_vec()).unwrap_or_default();
        Some(Figures { events, restarts, memory, outbox, counts })
    };
    kernel.groups().with_machine(group, look).flatten()
}

/// A group as a row, as far as this node can see it.
pub(super) fn group_row(kernel: &Arc<Kernel>, record: &GroupRecord, state: Option<String>) -> ActorRow {
    let status = kernel.groups().status(record.id);
    let state = state.unwrap_or_else(|| match &status {
        None => "elsewhere".into(),
        Some(Status { rebuilding: Some(why), .. }) => format!("rebuilding here: {why}"),
        Some(Status { in_doubt: true, .. }) => format!("joining again: {FORGOTTEN}"),
        Some(s) => match (&s.fenced, &s.stopped, s.leader) {
            (Some(why), _, _) => format!("fenced here: {why}"),
            (None, Some(why), _) => format!("stopped here: {why}"),
            (None, None, None) => "no leader".into(),
            (None, None, Some(_)) if !s.fenced_peers.is_empty() || !s.rebuilding_peers.is_empty() => {
                let on = |what: &str, peers: &[(NodeId, String)]| {
                    let names: Vec<String> = peers.iter().map(|(n, _)| n.to_string()).collect();
                    (!names.is_empty()).then(|| format!(", {what} on {}", names.join(" ")))
                };
                let odd = [on("fenced", &s.fenced_peers), on("rebuilding", &s.rebuilding_peers)];
                format!("running{}", odd.into_iter().flatten().collect::<String>())
            }
            (None, None, Some(_)) if record.is_moving() => "moving".into(),
            (None, None, Some(_)) => "running".into(),
        },
    });
    kernel.root().read(|root| ActorRow {
        address: record.address().to_string(),
        id: record.id.to_string(),
        name: root.names_of(record.address()).next().unwrap_or_default().to_owned(),
        module: label(root, record.module),
        node: status.as_ref().and_then(|s| s.leader).map_or(0, |n| n.0),
        voters: record.voters.clone(),
        wanted: record.wanted.clone(),
        state,
        mailbox: 0,
        memory: 0,
        events: 0,
        restarts: 0,
        index: status.map_or(0, |s| s.applied),
    })
}

/// Every actor and group that this node can tell of.
pub(super) async fn rows_here(kernel: &Arc<Kernel>) -> Vec<ActorRow> {
    let task = kernel.clone();
    // Cells and machines may be busy for a moment.
    let rows = blocking(move || {
        let kernel = &task;
        let mut rows: Vec<ActorRow> = kernel.cells().all().iter().map(|c| row_of(kernel, &c.facts())).collect();
        let records: Vec<GroupRecord> = kernel.root().read(|root| root.groups().cloned().collect());
        for record in &records {
            let mut row = group_row(kernel, record, None);
            if let Some(figures) = figures(kernel, record.id) {
                row.events = figures.events;
                row.restarts = figures.restarts;
                row.memory = figures.memory;
                row.mailbox = figures.outbox as u64;
            }
            rows.push(row);
        }
        rows
    });
    rows.await.unwrap_or_default()
}

/// The rows of every node that answers.
pub(super) async fn ps_everywhere(kernel: &Arc<Kernel>) -> Reply {
    let (replies, silent) = ask_all(kernel, |node| Request::Ps { node: Some(node.0) }).await;
    let mut rows: BTreeMap<String, (u32, ActorRow)> = BTreeMap::new();
    let mine = rows_here(kernel).await.into_iter().map(|row| (kernel.id().0, row)).collect::<Vec<_>>();
    let others = replies.into_iter().flat_map(|(node, reply)| match reply {
        Reply::Actors { rows, .. } => rows.into_iter().map(|row| (node.0, row)).collect(),
        _ => Vec::new(),
    });
    for (node, row) in mine.into_iter().chain(others) {
        // Of a group, its leader's word counts most, then the word of who holds a replica; of an actor that moves, the word of
        // the node on which it runs.
        let rank = |from: u32, row: &ActorRow| {
            (row.node == from, row.voters.contains(&from), row.index, row.state != "moving")
        };
        match rows.get(&row.id) {
            Some((known_from, known)) if rank(*known_from, known) >= rank(node, &row) => {}
            _ => drop(rows.insert(row.id.clone(), (node, row))),
        }
    }
    let mut rows: Vec<ActorRow> = rows.into_values().map(|(_, row)| row).collect();
    rows.sort_by(|a, b| {
        (a.voters.is_empty(), a.node, &a.name, &a.id).cmp(&(b.voters.is_empty(), b.node, &b.name, &b.id))
    });
    Reply::Actors { rows, silent }
}

pub(super) async fn top_everywhere(kernel: &Arc<Kernel>) -> Reply {
    let (replies, _) = ask_all(kernel, |_| Request::Top).await;
    let mut rows = vec![top_here(kernel).await];
    rows.extend(replies.into_iter().flat_map(|(_, reply)| match reply {
        Reply::Top(rows) => rows,
        _ => Vec::new(),
    }));
    rows.sort_by_key(|row| row.node);
    Reply::Top(rows)
}

/// Asks every other member at once: (who answered what, who did not).
pub(super) async fn ask_all(
    kernel: &Arc<Kernel>,
    request: impl Fn(NodeId) -> Request,
) -> (Vec<(NodeId, Reply)>, Vec<u32>) {
    let others: Vec<NodeId> =
        kernel.root().read(|root| root.members().map(|m| m.node).filter(|n| *n != kernel.id()).collect());
    let asked: Vec<_> = others
        .into_iter()
        .map(|node| {
            let (task, request) = (kernel.clone(), request(node));
            let answer = tokio::spawn(async move { task.ask_node(node, &request, VIEW_PATIENCE).await });
            (node, answer)
        })
        .collect();
    let (mut replies, mut silent) = (Vec::new(), Vec::new());
    for (node, answer) in asked {
        match answer.await {
            Ok(Some(reply)) => replies.push((node, reply)),
            _ => silent.push(node.0),
        }
    }
    (replies, silent)
}

pub(super) async fn top_here(kernel: &Arc<Kernel>) -> TopRow {
    let stats = kernel.scheduler().stats();
    let (cpu_ms, resident) = process_use();
    let events = kernel.cells().all().iter().map(|c| c.events()).sum::<u64>() + kernel.ended_events();
    TopRow {
        node: kernel.id().0,
        uptime_s: kernel.uptime().as_secs(),
        actors: kernel.cells().count() as u64,
        groups: kernel.groups().list().iter().filter(|g| **g != ROOT).count() as u64,
        leads: kernel.leaders().list().len() as u64,
        events,
        remote: kernel.remote_count(),
        cpu_ms,
        resident,
        overruns: stats.hand_overs(),
    }
}

/// Processor time in milliseconds and resident bytes of this process, where the system tells (Linux's `/proc`).
fn process_use() -> (u64, u64) {
    let resident = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map_or(0, |pages| pages * 4096);
    // Fields 14 and 15 after the name in parentheses, in ticks of 10 ms (proc(5)).
    let cpu = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| {
        let fields: Vec<u64> = text.rsplit(')').next()?.split_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
        Some((fields.get(11)? + fields.get(12)?) * 10)
    });
    (cpu.unwrap_or(0), resident)
}

pub(super) async fn interface(kernel: &Arc<Kernel>, target: &str) -> Result<Reply, Refusal> {
    let address = find(kernel, target)?;
    let module = kernel.module_of(address).filter(|hash| *hash != ModuleHash::default());
    let hash = module.ok_or_else(|| {
        Refusal::new(Errno::DEAD, format!("`{target}` has ended or has no module"), "`ps` shows what runs")
    })?;
    let module = kernel
        .module(hash, pando_actors::Class::Plain)
        .await
        .map_err(|why| Refusal::new(Errno::NO_MODULE, why, "start a node that has it"))?;
    let text = module.interface().unwrap_or_default().to_owned();
    Ok(Reply::Interface { text, group: address.home == Home::Group })
}

pub(super) async fn inspect(kernel: &Arc<Kernel>, target: &str) -> Result<Reply, Refusal> {
    let address = find(kernel, target)?;
    if address.home == Home::Group {
        // One that sleeps would have nothing to tell.
        kernel.groups().rouse(address.id).await;
    }
    let task = kernel.clone();
    let lines = blocking(move || match address.home {
        Home::Group => inspect_group(&task, address),
        _ => inspect_plain(&task, address),
    });
    let lines = lines.await.map_err(|e| Refusal::new(Errno::INTERNAL, e.to_string(), ""))?;
    match lines {
        Some(lines) => Ok(Reply::Details(lines)),
        None => {
            let how = kernel.cells().end_of(address.id).map(|exit| crate::input::describe(&exit));
            let text = match how {
                Some(how) => format!("`{target}` has ended: {how}"),
                None => format!("`{target}` has ended"),
            };
            Err(Refusal::new(Errno::DEAD, text, "`ps` shows what runs"))
        }
    }
}

fn line(title: &str, text: impl ToString) -> (String, String) {
    (title.to_owned(), text.to_string())
}

fn inspect_plain(kernel: &Arc<Kernel>, address: Address) -> Option<Vec<(String, String)>> {
    let facts = kernel.cells().get(address.id)?.facts();
    let row = row_of(kernel, &facts);
    let mut lines = vec![
        line("address", &row.address),
        line("id", &row.id),
        line("names", names_of(kernel, address)),
        line("module", module_line(kernel, facts.module)),
        line("state", &row.state),
        line("events", row.events),
        line("restarts", row.restarts),
        line("mailbox", row.mailbox),
        line("memory", row.memory),
    ];
    lines.extend(facts.counts.iter().map(|(title, n)| line(title, n)));
    Some(lines)
}

fn inspect_group(kernel: &Arc<Kernel>, address: Address) -> Option<Vec<(String, String)>> {
    let record = kernel.root().read(|root| root.group(address.id).cloned())?;
    let row = group_row(kernel, &record, None);
    let listed = |nodes: &[u32]| nodes.iter().map(|n| format!("n{n}")).collect::<Vec<_>>().join(" ");
    let mut lines = vec![
        line("address", &row.address),
        line("id", &row.id),
        line("names", names_of(kernel, address)),
        line("module", module_line(kernel, record.module)),
        line("state", &row.state),
        line("voters", listed(&record.voters)),
        line("leader", if row.node == 0 { "none known".into() } else { format!("n{}", row.node) }),
    ];
    if record.is_moving() {
        lines.push(line("moves to", listed(&record.wanted)));
    }
    if let Some(status) = kernel.groups().status(record.id) {
        lines.extend([
            line("term", status.term),
            line("log", format!("applied {} of {}", status.applied, status.last_index)),
            line("chain", ModuleHash(status.chain)),
            line("root", format!("{} at {}", ModuleHash(status.root), status.root_index)),
            line("attested", status.attested),
            line(
                "this replica",
                match status.role {
                    Role::Leader => "leader",
                    Role::Follower => "follower",
                    Role::Candidate => "candidate",
                    Role::Learner => "learner",
                    Role::Stopped => "stopped",
                },
            ),
        ]);
        lines.extend(status.in_doubt.then(|| line("joining again", FORGOTTEN)));
        lines.extend(status.rebuilding.iter().map(|why| line("rebuilding", format!("here: {why}"))));
        lines.extend(status.rebuilding_peers.iter().map(|(node, why)| line("rebuilding", format!("{node}: {why}"))));
        lines.extend(status.fenced_peers.iter().map(|(node, why)| line("fenced", format!("{node}: {why}"))));
    }
    if let Some(figures) = figures(kernel, record.id) {
        lines.extend([
            line("events", figures.events),
            line("restarts", figures.restarts),
            line("memory", figures.memory),
            line("unheard sayings", figures.outbox),
        ]);
        lines.extend(figures.counts.iter().map(|(title, n)| line(title, n)));
    }
    Some(lines)
}

fn names_of(kernel: &Arc<Kernel>, address: Address) -> String {
    kernel.root().read(|root| root.names_of(address).collect::<Vec<_>>().join(" "))
}

fn module_line(kernel: &Arc<Kernel>, hash: ModuleHash) -> String {
    kernel.root().read(|root| match root.module(hash) {
        Some(entry) => format!("{} {hash:.16} ({} bytes)", entry.label, entry.size),
        None => format!("{hash:.16}"),
    })
}
