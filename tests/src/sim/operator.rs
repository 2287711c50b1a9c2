//! Who runs the realm while it storms: moves replicas and actors, drains nodes, replaces one whose disk was wiped, admits new ones.
//!
//! Owns: what is asked of the realm, and what is ordered of machines. Does not know: whether a wipe is survivable now; that is
//! for whoever looks at all machines ([`may_wipe`]).
//!
//! 1. Never more than a minority of any group's copies is destroyed: one disk at a time, only while every replica of every
//!    group says the same three voters or more, and none of them on a disk that was wiped before.

use std::{collections::BTreeMap, time::Duration};

use pando_abi::{ActorId, Errno, NodeId, RealmId};
use pando_admin::{Contact, Reply, Request};
use pando_kernel::Genesis;
use pando_transport::{Member, PublicKey};
use tokio::time::sleep;

use super::{
    check::replicas::is_unread,
    people::{Cast, Client, errno_of},
    world::World,
};

/// Nodes that are admitted in one run at most.
const COME_MAX: usize = 3;
/// How long a good moment to wipe a disk is waited for.
const MOMENT_MAX: Duration = Duration::from_secs(3);
/// A week.
const LIFETIME_MS: u64 = 7 * 86_400_000;

/// What is to be done to machines.
#[derive(Clone, Debug)]
pub enum Order {
    /// A disk is wiped, if that can be survived now.
    Wipe,
    /// A machine with an empty disk comes.
    Admit {
        /// Who it is.
        member: Member,
        /// What it was told.
        genesis: Genesis,
    },
}

impl Client {
    /// Runs the realm until told to stop; leaves it with every node fit to hold something.
    pub async fn operate(mut self, replicas: u8) {
        let cast = loop {
            if let Some(cast) = self.board.lock().cast.clone() {
                break cast;
            }
            sleep(Duration::from_millis(20)).await;
        };
        while !self.board.lock().stop {
            match self.dice.below(100) {
                0..=29 => self.reseat(&cast).await,
                30..=44 => self.carry(&cast).await,
                45..=59 => self.drain().await,
                60..=79 if replicas >= 3 => self.replace().await,
                80..=89 => self.admit().await,
                _ => {
                    let ms = self.dice.pick(&[0, 1_000, 3_000, 600_000]);
                    let request = Request::Settings { replace_after_ms: Some(ms) };
                    self.ask(&request, 2, Duration::from_secs(4)).await;
                }
            }
            let pause = self.dice.between(50, 1_500);
            sleep(Duration::from_millis(pause)).await;
        }
        for node in self.there() {
            let request = Request::Drain { node, drained: false };
            loop {
                match self.ask(&request, 1, Duration::from_secs(8)).await.0 {
                    Some(Reply::Drained { .. }) => break,
                    other => self.board.lock().audit_at = format!("n{node} is not fit to hold something: {other:?}"),
                }
            }
        }
        self.board.lock().working -= 1;
    }

    /// Numbers of the nodes that are not known to have gone.
    fn there(&self) -> Vec<u32> {
        let board = self.board.lock();
        let all = (1..=self.nodes).chain(board.came.iter().copied());
        all.filter(|node| !board.left.contains(node)).collect()
    }

    async fn reseat(&mut self, cast: &Cast) {
        let groups: Vec<&String> = cast.tallies.iter().chain(&cast.witnesses[..cast.groups]).collect();
        let there = self.there();
        let (target, a, b) = (self.dice.pick(&groups).clone(), self.dice.pick(&there), self.dice.pick(&there));
        let (add, remove) = match self.dice.below(3) {
            0 => (vec![a], vec![]),
            1 => (vec![], vec![a]),
            _ => (vec![a], vec![b]),
        };
        // What is refused was not possible; what is not answered comes to be so anyway, or is replaced by the next wish.
        self.ask(&Request::Reseat { target, add, remove }, 1, Duration::from_secs(5)).await;
    }

    /// A plain actor goes elsewhere, if it can.
    async fn carry(&mut self, cast: &Cast) {
        let (witnesses, jacks) = (&cast.witnesses[cast.groups..], &cast.jacks[cast.jack_groups..]);
        let plain: Vec<&String> = witnesses.iter().chain(jacks).collect();
        let there = self.there();
        if !plain.is_empty() {
            let (target, node) = (self.dice.pick(&plain).clone(), self.dice.pick(&there));
            self.ask(&Request::Move { target, node }, 1, Duration::from_secs(5)).await;
        }
    }

    async fn drain(&mut self) {
        let there = self.there();
        let (node, drained) = (self.dice.pick(&there), self.dice.percent(60));
        self.ask(&Request::Drain { node, drained }, 1, Duration::from_secs(5)).await;
    }

    /// A disk is wiped; its node is removed, and a new one comes.
    async fn replace(&mut self) {
        if self.board.lock().came.len() >= COME_MAX {
            return;
        }
        self.board.lock().orders.push(Order::Wipe);
        let mut waited = Duration::ZERO;
        let wiped = loop {
            {
                let mut board = self.board.lock();
                if let Some(node) = board.wiped.take() {
                    break node;
                }
                // An order that was begun is waited for.
                if waited > MOMENT_MAX && !board.orders.is_empty() {
                    board.orders.clear();
                    return;
                }
            }
            sleep(Duration::from_millis(50)).await;
            waited += Duration::from_millis(50);
        };
        self.board.lock().left.push(wiped);
        let mut lost = false;
        loop {
            let request = Request::RemoveNode { node: wiped, lost };
            match self.ask(&request, 1, Duration::from_secs(10)).await.0 {
                Some(Reply::Done) => break,
                Some(ref reply @ Reply::Refused { .. }) if errno_of(reply) == Errno::NOT_FOUND => break,
                Some(Reply::Refused { text, .. }) => {
                    lost = loses_only_jacks(&text);
                    self.board.lock().audit_at = format!("n{wiped} is not removed: {text}");
                }
                other => self.board.lock().audit_at = format!("n{wiped} is not removed: {other:?}"),
            }
        }
        self.admit().await;
    }

    /// A new machine comes with a ticket.
    async fn admit(&mut self) {
        let count = self.board.lock().came.len() as u8;
        if usize::from(count) >= COME_MAX {
            return;
        }
        let (ticket, key) = (PublicKey([200 + count; 32]), PublicKey([100 + count; 32]));
        let request = Request::Ticket { key: ticket.0, lifetime_ms: LIFETIME_MS };
        while !matches!(self.ask(&request, 1, Duration::from_secs(8)).await.0, Some(Reply::Ticket { .. })) {}
        let addr = format!("127.0.0.1:{}", 100 + u16::from(count));
        let request = Request::Join { key: key.0, addr };
        // Asked at node after node, until it is answered: always the same number.
        let (node, realm, nodes, users) = loop {
            let at = self.some_node();
            match self.ask_as(ticket, at, &request, Duration::from_secs(8)).await {
                Some(Reply::Joined { node, nodes, users }) => break (node, self.realm(), nodes, users),
                Some(Reply::Refused { text, .. }) => self.board.lock().audit_at = format!("nobody comes: {text}"),
                _ => {}
            }
            sleep(Duration::from_millis(100)).await;
        };
        let nodes: Vec<Member> = nodes.iter().filter_map(Contact::member).collect();
        let users = users.into_iter().map(PublicKey).collect();
        let genesis = Genesis { realm, nodes, users, joined: true };
        let member = *genesis.nodes.iter().find(|m| m.node == NodeId(node)).expect("a newcomer that is told of itself");
        let mut board = self.board.lock();
        board.came.push(node);
        board.orders.push(Order::Admit { member, genesis });
    }

    fn realm(&self) -> RealmId {
        self.board.lock().realm
    }
}

/// Has the realm said that with a node nothing goes but groups without a name? Those are jacks' own, of one replica each: one of them
/// may have been on its way to that node's disk when it was wiped, and then it is lost indeed.
fn loses_only_jacks(refusal: &str) -> bool {
    let named = refusal.split_once("no majority of ").and_then(|(_, rest)| rest.strip_suffix(" is left"));
    named.is_some_and(|names| names.split(", ").all(|name| name.starts_with("group/") && !name.contains(' ')))
}

/// The machine whose disk may be wiped now, of those that `pick` offers.
pub fn may_wipe(world: &World, at: usize) -> bool {
    let machines: Vec<_> = world.machines.iter().filter(|machine| !machine.gone).collect();
    if machines.iter().any(|machine| machine.wiped || machine.disk.is_cut() || machine.kernel().is_none()) {
        return false;
    }
    let mut held: BTreeMap<ActorId, Vec<NodeId>> = BTreeMap::new();
    let mut replicas: BTreeMap<ActorId, Vec<NodeId>> = BTreeMap::new();
    for machine in &machines {
        let Some(kernel) = machine.kernel() else { return false };
        if kernel.root().read(|root| root.moving_groups().next().is_some()) {
            return false;
        }
        for group in kernel.groups().list() {
            let Some(status) = kernel.groups().status(group) else { return false };
            is_unread(kernel, group, &status);
            let Some((_, voters)) = status.seated else { return false };
            if status.changing || status.leader.is_none() || status.voters != voters || voters.len() < 3 {
                return false;
            }
            replicas.entry(group).or_default().push(machine.id());
            // Every replica has to say the same.
            if held.entry(group).or_insert_with(|| voters.clone()) != &voters {
                return false;
            }
        }
    }
    // And those that count have to be there.
    let all_there = held.iter().all(|(group, voters)| voters.iter().all(|voter| replicas[group].contains(voter)));
    all_there && world.machines.get(at).is_some_and(|machine| !machine.gone && machine.is_on())
}
