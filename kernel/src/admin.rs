//! The admin interface at a node: a person's request becomes messages, commands and views.
//!
//! Owns: nothing; a request lives as long as its stream. Does not know: terminals, words, colours.
//!
//! 1. Every refusal says what is wrong and what to do about it.
//! 2. A request that concerns another node is passed there once, never further.

mod calls;
mod logs;
mod members;
mod moves;
mod spawn;
mod target;
mod upgrade;
mod views;

use std::{sync::Arc, time::Duration};

use pando_abi::{ActorId, Address, Errno, NodeId};
use pando_admin::{Reply, Request};
use pando_transport::UserRequest;

use crate::{backup, node::Kernel, realm::Refusal};

/// How long another node is waited for when it is asked for what it knows.
const VIEW_PATIENCE: Duration = Duration::from_millis(1_500);
/// How long another node is waited for when it is asked to do something.
const WORK_PATIENCE: Duration = Duration::from_secs(60);

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Reply {
        Reply::refused(refusal.errno, refusal.text, refusal.mend)
    }
}

/// Serves one request stream of a person.
pub(crate) async fn serve(kernel: Arc<Kernel>, mut stream: UserRequest) {
    let request = match Request::decode(&stream.bytes) {
        Ok(request) => request,
        Err(why) => {
            let reply = Reply::refused(
                Errno::BAD_REQUEST,
                why.to_string(),
                "use a `pando` program of the same version as the node's",
            );
            let _ = stream.respond(reply.encode().into()).await;
            return;
        }
    };
    // Whoever comes with a ticket is nobody yet, and may do one thing.
    let ticket = kernel.root().read(|root| !root.is_user(&stream.user.0) && root.ticket(&stream.user.0).is_some());
    let may = match (&request, ticket) {
        (Request::Join { .. }, ticket) => ticket,
        (_, ticket) => !ticket,
    };
    if !may {
        let text = if ticket { "a ticket is good for joining only" } else { "a node joins with a ticket" };
        let reply = Reply::refused(Errno::DENIED, text, "`pando ticket` gives one; `pando node --join` takes it");
        let _ = stream.respond(reply.encode().into()).await;
        return;
    }
    if let Request::Join { key, addr } = request {
        kernel.catch_up_once().await;
        let reply = members::join(&kernel, stream.user.0, key, &addr).await.unwrap_or_else(Reply::from);
        let _ = stream.respond(reply.encode().into()).await;
        return;
    }
    if !matches!(request, Request::Hello | Request::Log { .. } | Request::Stop) {
        kernel.catch_up_once().await;
    }
    if let Request::Log { target, tail, follow } = request {
        logs::serve(&kernel, &mut stream, target, tail, follow).await;
        return;
    }
    let closed = stream.closed();
    let answered = async {
        let Request::Watch { target } = request else { return Some(answer(&kernel, request).await) };
        let located = answer(&kernel, Request::Locate { target }).await;
        let Reply::Located { node, id } = located else { return Some(located) };
        let id = ActorId(id);
        let ended =
            calls::watch(&kernel, if node == 0 { Address::group(id) } else { Address::actor(NodeId(node), id) });
        stream.respond(located.encode().into()).await.ok()?;
        Some(ended.await)
    };
    let reply = tokio::select! {
        reply = answered => reply,
        // Nobody waits for the answer any more.
        () = closed => None,
    };
    let Some(reply) = reply else { return };
    // Whoever went away while the answer was made does not miss it.
    let _ = stream.respond(reply.encode().into()).await;
}

/// Answers a request, with the help of other nodes where it takes them.
async fn answer(kernel: &Arc<Kernel>, request: Request) -> Reply {
    if let Some(node) = target::other_node(kernel, &request) {
        return pass(kernel, node, &request).await;
    }
    match request {
        Request::Ps { node: None } => views::ps_everywhere(kernel).await,
        Request::Top => views::top_everywhere(kernel).await,
        request => answer_here(kernel, request).await,
    }
}

/// Answers a request from what this node has and can do itself.
pub(crate) async fn answer_here(kernel: &Arc<Kernel>, request: Request) -> Reply {
    let result = match request {
        Request::Hello => Ok(views::hello(kernel)),
        Request::Nodes => Ok(views::nodes(kernel)),
        Request::Ps { .. } => Ok(Reply::Actors { rows: views::rows_here(kernel).await, silent: Vec::new() }),
        Request::Top => Ok(Reply::Top(vec![views::top_here(kernel).await])),
        Request::Names => Ok(views::names(kernel)),
        Request::Inspect { target } => views::inspect(kernel, &target).await,
        Request::Interface { target } => views::interface(kernel, &target).await,
        Request::HasModule { hash } => spawn::has_module(kernel, pando_abi::ModuleHash(hash)).await,
        Request::PutModule { label, wasm } => spawn::put_module(kernel, label, wasm).await,
        Request::Spawn(request) => spawn::spawn(kernel, request).await,
        Request::Call { target, body, handles, flags, deadline_ms, key } => {
            calls::call(kernel, &target, body, &handles, flags, deadline_ms, key).await
        }
        Request::Send { target, body, handles, key } => calls::send(kernel, &target, body, &handles, key).await,
        Request::Outcome { target, key } => calls::outcome(kernel, &target, key).await,
        Request::Kill { target } => calls::kill(kernel, &target).await,
        Request::Link { a, b, unlink } => calls::link(kernel, &a, &b, unlink),
        Request::Locate { target } => calls::locate(kernel, &target),
        Request::Name { name, target } => calls::name(kernel, name, target).await,
        Request::Upgrade { target, module } => upgrade::upgrade(kernel, &target, pando_abi::ModuleHash(module)).await,
        Request::Voters { target, nodes } => members::voters(kernel, &target, nodes).await,
        Request::Reseat { target, add, remove } => members::reseat(kernel, &target, add, remove).await,
        Request::Move { target, node } => moves::one(kernel, &target, NodeId(node)).await,
        Request::Vacate => Ok(moves::all(kernel).await),
        Request::Ticket { key, lifetime_ms } => members::ticket(kernel, key, lifetime_ms).await,
        // Nobody joins or watches on behalf of somebody else.
        Request::Join { .. } => Err(Refusal::new(Errno::DENIED, "a node joins with a ticket", "")),
        Request::Watch { .. } => Err(Refusal::new(Errno::DENIED, "whoever watches does so from its own node", "")),
        Request::RemoveNode { node, lost } => members::remove(kernel, NodeId(node), lost).await,
        Request::Drain { node, drained } => members::drain(kernel, NodeId(node), drained).await,
        Request::Settings { replace_after_ms } => members::settings(kernel, replace_after_ms).await,
        Request::Hold { backup, lasts_ms, renew } => {
            backup::hold(kernel, backup, Duration::from_millis(lasts_ms.into()), renew)
        }
        Request::Release { backup } => backup::release(kernel, backup),
        Request::CopyPlan => Ok(backup::plan(kernel)),
        Request::CopyGroup { backup, group, offset } => backup::copy(kernel, backup, ActorId(group), offset).await,
        Request::CopyModule { hash, offset } => backup::module(kernel, pando_abi::ModuleHash(hash), offset).await,
        Request::Log { target, tail, .. } => Ok(Reply::Log(logs::tail_here(kernel, target.as_deref(), tail))),
        Request::Stop => {
            kernel.request_stop();
            Ok(Reply::Done)
        }
    };
    result.unwrap_or_else(Reply::from)
}

async fn pass(kernel: &Arc<Kernel>, node: NodeId, request: &Request) -> Reply {
    match kernel.ask_node(node, request, WORK_PATIENCE).await {
        Some(reply) => reply,
        None => Reply::refused(
            Errno::UNREACHABLE,
            format!("{node} does not answer"),
            format!("see `nodes`; `start-node {node}` starts it"),
        ),
    }
}
