//! Talking to the root group: commands, placement of groups, and the realm service that guests reach by their third handle.

use std::{sync::Arc, time::Duration};

use ciborium::Value;
use pando_abi::{ActorId, Address, Errno, ExitKind, ModuleHash, NodeId};
use pando_actors::{Body, Capability, Handles, Message};
use pando_raft::Entry;

use crate::{
    input::{Delivery, Input, SpawnOrder, Standing, exit},
    lanes::Whereabouts,
    node::Kernel,
    replica::entry::Birth,
    root::{GroupRecord, NewGroup, Root, RootCommand, RootOutcome},
    router,
    wire::WireSpawn,
};

/// The root group's id.
pub const ROOT: ActorId = ActorId(*b"pando-root-group");
/// How long a command to the root group is tried.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why the root group did not do something.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// Which error.
    pub errno: Errno,
    /// One sentence.
    pub text: String,
    /// What to do about it; may be empty.
    pub mend: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(errno: Errno, text: impl Into<String>, mend: impl Into<String>) -> Refusal {
        Refusal { errno, text: text.into(), mend: mend.into() }
    }
}

impl Kernel {
    /// Has the root group do something.
    ///
    /// # Errors
    /// What it refuses, and that it cannot be reached.
    pub async fn root_command(&self, command: RootCommand) -> Result<RootOutcome, Refusal> {
        self.root_command_at(command).await.map(|(outcome, _)| outcome)
    }

    /// The same, with the index in the root group's log.
    ///
    /// # Errors
    /// See [`Kernel::root_command`].
    pub(crate) async fn root_command_at(&self, command: RootCommand) -> Result<(RootOutcome, u64), Refusal> {
        let mut origin = [0; 16];
        origin[..4].copy_from_slice(&self.id().0.to_le_bytes());
        origin[8..].copy_from_slice(b"realm cl");
        let entry = Entry {
            origin,
            incarnation: self.incarnation().0,
            seq: self.next_sequence(),
            time_ns: self.door().now_ns(),
            seed: self.door().seed(),
            epoch: 1,
            kind: 1,
            payload: command.encode(),
        };
        let via: Vec<NodeId> = self.root_voters();
        let groups = self.groups_opened().await;
        let began = tokio::time::Instant::now();
        loop {
            match groups.propose_via(&via, ROOT, entry.clone(), Duration::from_secs(3)).await {
                Ok(committed) => {
                    self.catch_up(committed.index).await;
                    return match RootOutcome::decode(&committed.outcome) {
                        Ok(RootOutcome::Refused { errno, text, mend }) => {
                            let errno = Errno::from_code(errno).unwrap_or(Errno::INTERNAL);
                            Err(Refusal { errno, text, mend })
                        }
                        Ok(outcome) => Ok((outcome, committed.index)),
                        Err(why) => Err(Refusal::new(Errno::INTERNAL, why.to_string(), "")),
                    };
                }
                Err(why) if began.elapsed() > PATIENCE => {
                    return Err(Refusal::new(
                        Errno::NO_QUORUM,
                        format!("the root group of the realm cannot decide: {why}"),
                        "start enough of the realm's nodes that more than half are up; `nodes` shows which are",
                    ));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Waits until what was just committed can be read here, so that whoever asked for a change sees it.
    async fn catch_up(&self, index: u64) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
        // A node that is cut off or far behind answers all the same: the change is made.
        while self.groups().applied(ROOT) < index && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// After a boot, waits until this node knows what the realm had decided by then, so that nothing is told from an
    /// old disk. A realm without a quorum is not waited for long.
    pub(crate) async fn catch_up_once(&self) {
        use std::sync::atomic::Ordering;
        if self.caught_up.load(Ordering::Relaxed) {
            return;
        }
        let deadline = tokio::time::Instant::now() + Duration::from_secs(4);
        while tokio::time::Instant::now() < deadline {
            if self.groups().linear(ROOT, Duration::from_secs(1)).await.is_ok() {
                self.caught_up.store(true, Ordering::Relaxed);
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the root group's state is so, as far as this node knows. `false`: it was not by then.
    pub(crate) async fn until_root(&self, deadline: tokio::time::Instant, is_so: impl Fn(&Root) -> bool) -> bool {
        let mut changes = self.root().changes();
        while !self.root().read(&is_so) {
            match tokio::time::timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return false,
            }
        }
        true
    }

    /// Has this node known, since it booted, what the realm had decided by then? One short try to find out.
    pub(crate) async fn is_caught_up(&self) -> bool {
        use std::sync::atomic::Ordering;
        if !self.caught_up.load(Ordering::Relaxed) && self.groups().linear(ROOT, Duration::from_secs(1)).await.is_ok() {
            self.caught_up.store(true, Ordering::Relaxed);
        }
        self.caught_up.load(Ordering::Relaxed)
    }

    /// The nodes that vote in the root group.
    pub fn root_voters(&self) -> Vec<NodeId> {
        let known = self.root().read(|root| root.seats());
        if known.is_empty() { self.parts.genesis.nodes.iter().map(|m| m.node).collect() } else { known }
    }

    /// Where a group is.
    pub fn whereabouts(&self, group: ActorId) -> Whereabouts {
        self.root().read(|root| {
            if let Some(record) = root.ended(group) {
                return Whereabouts::Ended(Box::new(record.ended.as_ref().map_or_else(
                    || exit(ExitKind::NoActor, "it has ended"),
                    |e| pando_actors::Exit { kind: e.exit_kind(), code: e.code, message: e.message.clone() },
                )));
            }
            match root.group(group) {
                Some(record) => Whereabouts::At(record.holders()),
                None => Whereabouts::Unknown,
            }
        })
    }

    /// Creates a group and waits until this node knows it.
    ///
    /// # Errors
    /// What the root group refuses.
    pub async fn create_group(
        self: &Arc<Self>,
        order: SpawnOrder,
        name: Option<String>,
    ) -> Result<GroupRecord, Refusal> {
        let group = NewGroup {
            id: order.child.id,
            module: ModuleHash(order.spec.module),
            spec: order.spec.to_bytes(),
            args: order.args.to_vec(),
            handles: order.handles.iter().map(Capability::to_bytes).collect(),
            parent: order.parent.to_bytes(),
            realm: order.realm.is_some(),
        };
        let preferred = if order.spec.node == 0 { vec![self.id().0] } else { vec![order.spec.node] };
        let alive = self.nodes_up().iter().map(|n| n.0).collect();
        let replicas = order.spec.replicas.max(1);
        let command = RootCommand::CreateGroup { group: Box::new(group), replicas, preferred, alive, name };
        match self.root_command(command).await? {
            RootOutcome::Group { record } => Ok(*record),
            other => Err(Refusal::new(Errno::INTERNAL, format!("the root group answered {other:?}"), "")),
        }
    }

    /// The first entry of a group that the realm knows.
    pub(crate) fn birth_of(&self, group: ActorId) -> Option<Birth> {
        let record = self.root().read(|root| root.group(group).cloned())?;
        let handle = |bytes: &[u8; 64]| Capability::from_bytes(bytes);
        let mut spec = record.spawn_spec();
        spec.module = record.module.0;
        let order = SpawnOrder {
            child: Address::group(group),
            spec,
            args: Body::from_slice(&record.args),
            handles: record.handles.iter().filter_map(handle).collect(),
            parent: handle(&record.parent).unwrap_or_else(router::kernel_parent),
            realm: record.realm.then(router::realm),
        };
        Some(Birth {
            epoch: 1,
            engine: crate::launch::ENGINE.into(),
            abi: pando_abi::IMPORT_MODULE.into(),
            order: WireSpawn::from(&order),
            module: record.module.0,
        })
    }

    /// Answers a guest's message to the realm service.
    pub(crate) fn serve_realm(self: &Arc<Self>, delivery: Box<Delivery>) {
        let kernel = self.clone();
        self.runtime().spawn(async move {
            let (status, message) = match kernel.realm_request(&delivery).await {
                Ok(message) => (0, message),
                Err(refusal) => (refusal.errno.code(), text(&refusal.text)),
            };
            if let Some(reply) = delivery.reply {
                let standing = Standing { node: kernel.id().0, ..Standing::default() };
                let (token, message) = (reply.token, Box::new(message));
                let input = Input::Reply { token, status, message, standing };
                kernel.deliver(Address::service(pando_abi::id::service::REALM), reply.address, input);
            }
        });
    }

    async fn realm_request(&self, delivery: &Delivery) -> Result<Message, Refusal> {
        let bad = |why: &str| Refusal::new(Errno::BAD_REQUEST, format!("the realm service: {why}"), "");
        let request: Value =
            ciborium::from_reader(&delivery.message.body[..]).map_err(|_| bad("the request is not CBOR"))?;
        let Value::Array(parts) = request else { return Err(bad("the request is not an array")) };
        let named = parts.split_first().and_then(|(method, args)| Some((method.as_text()?, args)));
        let (method, args) = named.ok_or_else(|| bad("the method's name is missing"))?;
        let name = |n: usize| args.get(n).and_then(Value::as_text).ok_or_else(|| bad("a name is missing"));
        match method {
            "lookup" => {
                let name = name(0)?;
                let address = self
                    .root()
                    .read(|root| root.lookup(name).map(|entry| entry.address))
                    .ok_or_else(|| Refusal::new(Errno::NOT_FOUND, format!("nothing is named {name}"), ""))?;
                Ok(Message { handles: Handles::from_slice(&[router::peer(address)]), ..cbor(&Value::from(0)) })
            }
            "register" => {
                let name = name(0)?.to_owned();
                let at = args.get(1).and_then(Value::as_integer).and_then(|n| usize::try_from(n).ok());
                let who =
                    at.and_then(|n| delivery.message.handles.get(n)).ok_or_else(|| bad("the handle is missing"))?;
                let address = who.address;
                let module = self.module_of(address).unwrap_or_default();
                self.root_command(RootCommand::RegisterName { name, address, module }).await?;
                Ok(cbor(&Value::Null))
            }
            "unregister" => {
                // Only its holder, or who the holder is for, takes a name away.
                let (name, holder) = (name(0)?.to_owned(), Some(delivery.from));
                self.root_command(RootCommand::UnregisterName { name, holder }).await?;
                Ok(cbor(&Value::Null))
            }
            "names" => Ok(cbor(&Value::Array(
                self.root().read(|root| root.names("").map(|n| Value::from(n.name.clone())).collect()),
            ))),
            "nodes" => Ok(cbor(&Value::Array(
                self.root().read(|root| root.members().map(|m| Value::from(m.node.0)).collect()),
            ))),
            "module" => {
                let label = name(0)?;
                let hash = self
                    .root()
                    .read(|root| root.module_by_label(label).map(|m| m.hash))
                    .ok_or_else(|| Refusal::new(Errno::NO_MODULE, format!("the realm has no module {label}"), ""))?;
                Ok(cbor(&Value::Bytes(hash.0.to_vec())))
            }
            other => Err(bad(&format!("there is no method {other}"))),
        }
    }

    /// The module that an address runs, if this node knows.
    pub fn module_of(&self, address: Address) -> Option<ModuleHash> {
        match address.home {
            pando_abi::Home::Group => self.root().read(|root| root.group(address.id).map(|g| g.module)),
            pando_abi::Home::Node if self.lives(address) == self.id() => {
                self.cells().get(address.id).and_then(|cell| cell.module()).map(|m| m.hash())
            }
            _ => self.root().read(|root| {
                let names: Vec<&str> = root.names_of(address).collect();
                names.first().and_then(|n| root.lookup(n)).map(|entry| entry.module)
            }),
        }
    }
}

fn cbor(value: &Value) -> Message {
    let mut body = Vec::new();
    // Writing to memory cannot fail.
    let _ = ciborium::into_writer(value, &mut body);
    Message { body: Body::from_vec(body), ..Message::default() }
}

fn text(words: &str) -> Message {
    cbor(&Value::from(words))
}
