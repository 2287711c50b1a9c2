//! Processes whose every packet to each other goes through a proxy.
//!
//! Owns: the realm, the network between its nodes, who is frozen. Does not know: why something is done to them.
//!
//! A realm is founded with the addresses at which the proxy will listen, and agrees on them once for all. Then it is
//! stopped, and each node's own record is given another port to listen at: its own address is the one thing that a node
//! takes from there afterwards. So the realm knows the proxy's addresses only, and the nodes are as they are shipped.
//!
//! 1. What the campaign itself asks goes to the nodes directly: a bad network hides nothing from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use pando_abi::NodeId;
use pando_admin::{Client, Patience, Reply, Request, client::QuicDial, client::origin};
use pando_kernel::{Genesis, genesis::free_port};
use pando_transport::{Identity, Member};
use tokio::time::{Instant, sleep};

use crate::{
    Asker, Realm,
    proxy::{Place, Proxy},
    realm::Kept,
};

/// Until a node that was started answers for the realm, with every core busy elsewhere.
pub const READY: Duration = Duration::from_secs(60);
/// Until a node that was told to stop has ended.
pub const STOPPED: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// See the module.
pub struct Field {
    realm: Realm,
    proxy: Proxy,
    nodes: u32,
    frozen: BTreeSet<u32>,
    kept: BTreeMap<u32, Kept>,
    direct: Client,
}

impl Field {
    /// Founds a realm, and starts it behind a proxy.
    pub async fn found(seed: u64, nodes: u32) -> Field {
        let mut realm = Realm::start(nodes).await;
        let all: Vec<u32> = (1..=nodes).collect();
        realm.stop(&all).await;
        let places = move_house(&realm);
        let proxy = Proxy::start(&places, seed).await.expect("the addresses of nodes that have ended are free");
        let direct = direct(&realm, &places);
        realm.boot(&all).await;
        Field { realm, proxy, nodes, frozen: BTreeSet::new(), kept: BTreeMap::new(), direct }
    }

    /// The realm.
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// The network.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// How many nodes there are, running or not.
    pub fn nodes(&self) -> u32 {
        self.nodes
    }

    /// Asks past the proxy.
    pub fn direct(&self) -> Asker {
        Asker::new(self.direct.clone())
    }

    /// Does its process run, and not frozen?
    pub fn is_awake(&self, node: u32) -> bool {
        self.realm.running().contains(&node) && !self.frozen.contains(&node)
    }

    /// Nodes whose processes have ended though nobody ended them.
    pub fn fallen(&mut self) -> Vec<u32> {
        self.realm.running().into_iter().filter(|node| self.realm.has_ended(*node)).collect()
    }

    /// A power cut of one node.
    pub fn kill(&mut self, node: u32) {
        self.realm.kill(node);
        self.frozen.remove(&node);
    }

    /// The disk of a node that has ended is kept, or becomes again what was kept. Which of the two?
    pub fn keep_or_put_back(&mut self, node: u32) -> bool {
        match self.kept.remove(&node) {
            Some(kept) => {
                self.realm.put_back(node, &kept);
                true
            }
            None => {
                self.kept.insert(node, self.realm.keep(node));
                false
            }
        }
    }

    /// Stops the process from running.
    pub fn freeze(&mut self, node: u32) {
        self.realm.freeze(node);
        self.frozen.insert(node);
    }

    /// Tells a node to stop. False if it has not, in good time.
    pub async fn stop(&mut self, node: u32) -> bool {
        // Its answer may be lost with its going.
        let _ = self.direct.ask_node(NodeId(node), Request::Stop, Duration::from_secs(5)).await;
        let began = Instant::now();
        while !self.realm.has_ended(node) && began.elapsed() < STOPPED {
            sleep(LOOK_AGAIN).await;
        }
        let ended = self.realm.has_ended(node);
        self.realm.kill(node);
        ended
    }

    /// Starts what does not run, in this order.
    pub fn launch(&mut self, nodes: &[u32]) {
        for node in nodes {
            if !self.realm.running().contains(node) {
                self.realm.launch(*node);
            }
        }
    }

    /// Everything runs, nothing is frozen, the network is good. Gives the nodes that do not answer for the realm in good
    /// time.
    pub async fn heal(&mut self) -> Vec<u32> {
        self.proxy.calm();
        for node in std::mem::take(&mut self.frozen) {
            self.realm.thaw(node);
        }
        let all: Vec<u32> = (1..=self.nodes).collect();
        self.launch(&all);
        let began = Instant::now();
        let mut waiting = all;
        while !waiting.is_empty() && began.elapsed() < READY {
            let mut still = Vec::new();
            for node in waiting {
                let hello = self.direct.ask_node(NodeId(node), Request::Hello, Duration::from_millis(500)).await;
                if !matches!(hello, Ok(Reply::Hello { ready: true, .. })) {
                    still.push(node);
                }
            }
            waiting = still;
            sleep(LOOK_AGAIN).await;
        }
        waiting
    }
}

/// Gives every node another port to listen at than the one that the realm knows it by.
fn move_house(realm: &Realm) -> Vec<Place> {
    // Held until all are chosen, so that no port is chosen twice.
    let mut held = Vec::new();
    let mut places = Vec::new();
    for member in &realm.genesis().nodes {
        let socket = free_port().expect("a free port");
        let private = socket.local_addr().expect("it is bound");
        held.push(socket);
        let record = Genesis::record_path(&Genesis::node_dir(realm.data(), member.node));
        let text = std::fs::read_to_string(&record).expect("a node has its record");
        let quoted = |addr: SocketAddr| format!("\"{addr}\"");
        assert_eq!(text.matches(&quoted(member.addr)).count(), 1, "{text}");
        std::fs::write(&record, text.replace(&quoted(member.addr), &quoted(private))).expect("it can be written");
        places.push(Place { node: member.node.0, public: member.addr, private });
    }
    places
}

fn direct(realm: &Realm, places: &[Place]) -> Client {
    let identity = Identity::load(&Genesis::user_key_path(realm.data())).expect("the founder has a key");
    let genesis = realm.genesis();
    let endpoints = genesis.nodes.iter().zip(places).map(|(m, place)| Member { addr: place.private, ..*m }).collect();
    let origin = origin(&identity.public());
    // Who is down is asked again and again, not waited for.
    let patience = Patience { dial_max: Duration::from_millis(300), grace: Duration::ZERO, ..Patience::default() };
    Client::with(QuicDial::new(identity, genesis.realm), origin, endpoints, patience)
}
