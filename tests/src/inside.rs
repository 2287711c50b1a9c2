//! The same nodes in the test's own process: quicker to start, and open to look at.

use std::{collections::BTreeMap, path::Path, time::Duration};

use pando_abi::NodeId;
use pando_admin::{Client, Reply, Request};
use pando_kernel::{Genesis, Node, NodeConfig};
use pando_transport::Identity;
use tempfile::TempDir;

use crate::{Asker, Turn, realm::READY, until};

/// A realm in this process. [`Inside::stop`] ends it; it cannot be killed.
pub struct Inside {
    genesis: Genesis,
    nodes: BTreeMap<u32, Node>,
    folder: TempDir,
    _turn: Turn,
}

impl Inside {
    /// Founds a realm of `count` nodes with `workers` worker threads each, and waits until it answers.
    pub async fn start(count: u32, workers: usize) -> Inside {
        Inside::with(count, |config| config.workers = Some(workers)).await
    }

    /// The same with nodes that are set up as the test wants them.
    pub async fn with(count: u32, set: impl Fn(&mut NodeConfig)) -> Inside {
        let turn = Turn::take();
        let folder = tempfile::Builder::new().prefix("pando-test-").tempdir().expect("a temporary folder");
        let genesis = Genesis::found(folder.path(), count).expect("a realm is founded");
        let mut nodes = BTreeMap::new();
        for member in &genesis.nodes {
            let dir = Genesis::node_dir(folder.path(), member.node);
            let mut config = NodeConfig::new(dir);
            set(&mut config);
            let node = Node::start(config).await.unwrap_or_else(|e| panic!("{} does not start: {e}", member.node));
            nodes.insert(member.node.0, node);
        }
        let inside = Inside { genesis, nodes, folder, _turn: turn };
        let client = inside.client();
        for member in &inside.genesis.nodes {
            until(&format!("{} answers for the realm", member.node), READY, async || {
                let hello = client.ask_node(member.node, Request::Hello, Duration::from_secs(2)).await;
                matches!(hello, Ok(Reply::Hello { ready: true, .. })).then_some(())
            })
            .await;
        }
        inside
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    /// A node.
    pub fn node(&self, node: u32) -> &Node {
        &self.nodes[&node]
    }

    /// A client of its own.
    pub fn client(&self) -> Client {
        let identity = Identity::load(&Genesis::user_key_path(self.data())).expect("the founder has a key");
        Client::new(identity, self.genesis.realm, self.genesis.nodes.clone())
    }

    /// Asks in the founder's name.
    pub fn asker(&self) -> Asker {
        Asker::new(self.client())
    }

    /// Asks one node first.
    pub async fn asker_at(&self, node: u32) -> Asker {
        let client = self.client();
        client.prefer(NodeId(node)).await;
        Asker::new(client)
    }

    /// Stops every node in good order.
    pub async fn stop(self) {
        for node in self.nodes.values() {
            node.stop().await;
        }
    }
}
