//! Modules in, actors and groups out.

use std::{sync::Arc, time::Duration};

use pando_abi::{Address, Errno, ModuleHash, NodeId, Priority, Restart, SpawnSpec, limits};
use pando_actors::{Body, Handles};
use pando_admin::{ActorRow, Reply, Request, SpawnRequest};
use pando_raft::blocking;
use tokio::sync::oneshot;

use super::{VIEW_PATIENCE, views};
use crate::{
    cell::CellFacts,
    input::{Input, SpawnOrder},
    lanes::{Fate, LaneItem},
    launch,
    node::Kernel,
    realm::Refusal,
    root::RootCommand,
    router,
};

/// How long a new actor may take to be compiled and started.
const START_PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn has_module(kernel: &Arc<Kernel>, hash: ModuleHash) -> Result<Reply, Refusal> {
    known_here(kernel, hash).await;
    let known = kernel.root().read(|root| root.module(hash).map(|m| m.size));
    match known {
        Some(size) => {
            kernel.fetch_module(hash).await.map_err(|why| Refusal::new(Errno::NO_MODULE, why, "put it again"))?;
            Ok(Reply::Module { hash: hash.0, size })
        }
        None => Err(Refusal::new(Errno::NO_MODULE, format!("the realm has no module {hash:.8}"), "put it first")),
    }
}

/// Waits a little for this node to hear of a module that was put at another one a moment ago.
pub(super) async fn known_here(kernel: &Arc<Kernel>, hash: ModuleHash) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
    kernel.until_root(deadline, |root| root.module(hash).is_some()).await;
}

pub(super) async fn put_module(kernel: &Arc<Kernel>, label: String, wasm: Vec<u8>) -> Result<Reply, Refusal> {
    if wasm.len() > limits::MODULE_BYTES_MAX {
        let text = format!("the module has {} bytes, more than {}", wasm.len(), limits::MODULE_BYTES_MAX);
        return Err(Refusal::new(Errno::LIMIT, text, "build it with optimisation and without debug information"));
    }
    let size = wasm.len() as u64;
    let task = kernel.clone();
    let put = blocking(move || task.modules().put(&wasm).map_err(|e| e.to_string())).await;
    let module =
        put.map_err(|e| Refusal::new(Errno::INTERNAL, format!("the compiler failed: {e}"), ""))?.map_err(|why| {
            let text = format!("{label} is not a module that can run: {why}");
            Refusal::new(Errno::BAD_REQUEST, text, "syscalls/SPEC.md tells what a module has to export and may import")
        })?;
    let hash = module.hash();
    kernel.root_command(RootCommand::PutModule { hash, label, size }).await?;
    // The others fetch it now, so that the loss of this node is not the loss of the module.
    for node in kernel.nodes_up().into_iter().filter(|n| *n != kernel.id()) {
        let kernel = kernel.clone();
        kernel.clone().runtime().spawn(async move {
            kernel.ask_node(node, &Request::HasModule { hash: hash.0 }, VIEW_PATIENCE).await;
        });
    }
    Ok(Reply::Module { hash: hash.0, size })
}

pub(super) async fn spawn(kernel: &Arc<Kernel>, request: SpawnRequest) -> Result<Reply, Refusal> {
    let hash = ModuleHash(request.module);
    known_here(kernel, hash).await;
    if kernel.root().read(|root| root.module(hash).is_none()) {
        return Err(Refusal::new(Errno::NO_MODULE, format!("the realm has no module {hash:.8}"), "put it first"));
    }
    if let Some(node) = request.node
        && kernel.root().read(|root| root.member(NodeId(node)).is_none())
    {
        let nodes: Vec<String> = kernel.root().read(|root| root.members().map(|m| m.node.to_string()).collect());
        return Err(Refusal::new(
            Errno::REFUSED,
            format!("the realm has no node n{node}"),
            format!("its nodes are {}", nodes.join(", ")),
        ));
    }
    if let Some(node) = request.node
        && kernel.root().read(|root| root.member(NodeId(node)).is_some_and(|member| !member.is_placeable()))
    {
        return Err(Refusal::new(
            Errno::REFUSED,
            format!("n{node} takes nothing new"),
            format!("`nodes` shows why; `undrain n{node}` lets it again"),
        ));
    }
    let order = order(kernel, &request)?;
    if request.replicas == 0 {
        spawn_plain(kernel, order, request.name, hash).await
    } else {
        spawn_group(kernel, order, request.name).await
    }
}

fn order(kernel: &Arc<Kernel>, request: &SpawnRequest) -> Result<SpawnOrder, Refusal> {
    let bad = |what: &str| Refusal::new(Errno::BAD_REQUEST, what.to_owned(), "");
    let restart = Restart::from_u8(request.restart).ok_or_else(|| bad("unknown restart policy"))?;
    let priority = Priority::from_u8(request.priority).ok_or_else(|| bad("unknown priority"))?;
    if request.args.len() > limits::MESSAGE_BYTES_MAX {
        return Err(Refusal::new(Errno::LIMIT, "the start arguments are too long", "send them in messages"));
    }
    let node = router::chosen_node(request.node, kernel.id());
    let spec = SpawnSpec {
        module: request.module,
        node: if request.replicas == 0 { node.0 } else { request.node.unwrap_or(0) },
        memory_bytes: request.memory_bytes,
        restart: restart as u8,
        priority: priority as u8,
        replicas: request.replicas,
        handler_ms: request.handler_ms,
        ..SpawnSpec::new()
    };
    let id = launch::derive(&request.key.origin, request.key.incarnation, request.key.seq);
    let child = if request.replicas == 0 { Address::actor(node, id) } else { Address::group(id) };
    Ok(SpawnOrder {
        child,
        spec,
        args: Body::from_slice(&request.args),
        handles: Handles::new(),
        parent: router::kernel_parent(),
        realm: request.realm.then(router::realm),
    })
}

async fn spawn_plain(
    kernel: &Arc<Kernel>,
    order: SpawnOrder,
    name: Option<String>,
    module: ModuleHash,
) -> Result<Reply, Refusal> {
    let address = order.child;
    // Asked for once more, when what it started has ended already.
    if kernel.cells().end_of(address.id).is_some() {
        return Err(ended_at_once(kernel, address));
    }
    if kernel.lives(address) != kernel.id() {
        let text = format!("the actor was spawned, and lives on {} by now", kernel.lives(address));
        return Err(Refusal::new(Errno::EXISTS, text, "`ps` shows it"));
    }
    if kernel.cells().is_full() && kernel.cells().get(address.id).is_none() {
        let text = format!("{} has {} plain actors, and no more fit", kernel.id(), kernel.cells().places());
        return Err(Refusal::new(Errno::LIMIT, text, "choose another node with --node, or end some"));
    }
    if let Some(name) = name {
        // Before the actor runs: if the name is taken, nothing has happened.
        kernel.cells().expect(address.id);
        let named = kernel.root_command(RootCommand::RegisterName { name, address, module }).await;
        if named.is_err() {
            kernel.cells().expect_no_more(address.id);
        }
        named?;
    }
    kernel.spawn(order);
    kernel.cells().expect_no_more(address.id);
    let began = tokio::time::Instant::now();
    loop {
        let cell = kernel.cells().get(address.id);
        let facts = match cell {
            Some(cell) => blocking(move || cell.facts()).await.ok(),
            None => None,
        };
        // Its start has been handled: until then it may still end at once. One that is busy had its first event a while
        // before it could be looked at.
        let born = |facts: &CellFacts| matches!(facts.state, "running" | "busy") && facts.events > 0;
        match facts {
            Some(facts) if born(&facts) => return Ok(Reply::Spawned(views::row_of(kernel, &facts))),
            Some(facts) if facts.state == "ended" => return Err(ended_at_once(kernel, address)),
            Some(_) if began.elapsed() > START_PATIENCE => {
                return Err(Refusal::new(
                    Errno::TIMEOUT,
                    "the actor has not started yet",
                    "`inspect` shows how it does",
                ));
            }
            Some(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            None => return Err(ended_at_once(kernel, address)),
        }
    }
}

fn ended_at_once(kernel: &Arc<Kernel>, address: Address) -> Refusal {
    let why = kernel.cells().end_of(address.id);
    let text = match why {
        Some(exit) => format!("the actor ended as it started: {}", crate::input::describe(&exit)),
        None => "the actor ended as it started".to_owned(),
    };
    Refusal::new(Errno::DEAD, text, "check its start arguments; `log` has what it wrote")
}

async fn spawn_group(kernel: &Arc<Kernel>, order: SpawnOrder, name: Option<String>) -> Result<Reply, Refusal> {
    let address = order.child;
    let record = kernel.create_group(order, name.clone()).await?;
    // Once the group has committed something it has a leader and has been born.
    let nobody = kernel.console().address();
    let (fate, told) = oneshot::channel();
    let hello =
        LaneItem { from: nobody, input: Input::Unwatch { watcher: nobody, id: 0 }, stamp: None, fate: Some(fate) };
    let pushed = kernel.lanes().push(address.id, hello);
    let leader = match (pushed, told.await) {
        (Ok(()), Ok(Fate::Handled { leader, .. })) => leader,
        (_, Ok(Fate::Gone(exit))) => {
            return Err(Refusal::new(
                Errno::DEAD,
                format!("the group ended as it started: {}", crate::input::describe(&exit)),
                "check its start arguments; `log` has what it wrote",
            ));
        }
        _ => return Err(super::calls::no_quorum(name.as_deref().unwrap_or("the group"))),
    };
    let row = views::group_row(kernel, &record, None);
    Ok(Reply::Spawned(ActorRow { node: leader.0, state: "running".into(), ..row }))
}
