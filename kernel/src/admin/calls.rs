//! What a person does to actors that live: call, send, kill, link, watch, name.

use std::{sync::Arc, time::Duration};

use pando_abi::{ActorId, Address, Errno, Home, NodeId, call::call_flags};
use pando_actors::{Body, Exit, Handles, Message};
use pando_admin::{CallFate, Level, Reply, SequenceKey};
use tokio::sync::oneshot;

use super::target::find;
use crate::{
    input::{Delivery, Input, Key, ReplyTo},
    lanes::{Fate, LaneItem},
    node::Kernel,
    realm::Refusal,
    root::RootCommand,
    router,
    served::{Answer, Found},
};

/// The longest that a person's call waits.
const DEADLINE_MAX: Duration = Duration::from_secs(3_600);
/// How long the receiver may take to say what became of a call.
const OUTCOME_PATIENCE: Duration = Duration::from_secs(30);
/// How often a waiting call looks whether the other side's node is still there.
const LOOK: Duration = Duration::from_millis(250);

fn key(key: SequenceKey) -> Key {
    Key { origin: ActorId(key.origin), incarnation: key.incarnation, seq: key.seq }
}

fn message(kernel: &Arc<Kernel>, body: Vec<u8>, handles: &[String]) -> Result<Message, Refusal> {
    if body.len() > pando_abi::limits::MESSAGE_BYTES_MAX {
        let text = format!("the message has {} bytes, more than {}", body.len(), pando_abi::limits::MESSAGE_BYTES_MAX);
        return Err(Refusal::new(Errno::LIMIT, text, "send it in pieces"));
    }
    if handles.len() > pando_abi::limits::MESSAGE_HANDLES_MAX {
        let text = format!("a message carries at most {} handles", pando_abi::limits::MESSAGE_HANDLES_MAX);
        return Err(Refusal::new(Errno::LIMIT, text, "pass fewer actors"));
    }
    let handles: Handles =
        handles.iter().map(|target| find(kernel, target).map(router::peer)).collect::<Result<_, _>>()?;
    Ok(Message { body: Body::from_vec(body), handles })
}

pub(super) async fn call(
    kernel: &Arc<Kernel>,
    target: &str,
    body: Vec<u8>,
    handles: &[String],
    flags: u32,
    deadline_ms: u32,
    sequence: SequenceKey,
) -> Result<Reply, Refusal> {
    let to = find(kernel, target)?;
    let message = message(kernel, body, handles)?;
    let console = kernel.console();
    let (token, answer) = console.call();
    let delivery = Delivery {
        flags: (flags & 0xff) as i32 & (call_flags::QUERY | call_flags::FINAL),
        reply: Some(ReplyTo { address: console.address(), token }),
        key: Some(Box::new(key(sequence))),
        ..Delivery::new(console.address(), message)
    };
    kernel.deliver(console.address(), to, Input::Message(Box::new(delivery)));
    let deadline = Duration::from_millis(deadline_ms.into()).min(DEADLINE_MAX);
    let reply = tokio::select! {
        reply = answer => reply.map_err(|_| Refusal::new(Errno::INTERNAL, "the answer was lost in the kernel", ""))?,
        () = tokio::time::sleep(deadline) => {
            return Err(Refusal::new(
                Errno::TIMEOUT,
                format!("`{target}` has not answered within {} ms; the call may have happened", deadline.as_millis()),
                "ask for its state, or call again with a longer --deadline",
            ));
        }
        node = home_lost(kernel, to) => {
            return Err(Refusal::new(
                Errno::UNREACHABLE,
                format!("{node} went away while `{target}` worked; the call may have happened"),
                "`nodes` shows who is up",
            ));
        }
    };
    let group = to.home == Home::Group;
    let level = match (group, reply.standing.linear) {
        (false, _) => Level::Local,
        (true, true) => Level::Linear,
        (true, false) => Level::Final,
    };
    Ok(Reply::Answer {
        status: reply.status,
        body: reply.message.body.to_vec(),
        level,
        index: reply.standing.index,
        node: if group { reply.standing.node } else { kernel.lives(to).0 },
        handles: reply.message.handles.iter().map(|c| c.address.to_string()).collect(),
    })
}

/// Asks the receiver what became of a call. It is in a group's log like any message, so it holds whoever leads.
pub(super) async fn outcome(kernel: &Arc<Kernel>, target: &str, sequence: SequenceKey) -> Result<Reply, Refusal> {
    let to = find(kernel, target)?;
    let console = kernel.console();
    let (token, answer) = console.call();
    let reply = ReplyTo { address: console.address(), token };
    kernel.deliver(console.address(), to, Input::Outcome { key: key(sequence), reply });
    let went = || {
        let text = format!("{} went away; what `{target}` did there went with it", kernel.lives(to));
        Refusal::new(Errno::UNREACHABLE, text, "`nodes` shows who is up")
    };
    let reply = tokio::select! {
        reply = answer => reply.map_err(|_| Refusal::new(Errno::INTERNAL, "the answer was lost in the kernel", ""))?,
        () = tokio::time::sleep(OUTCOME_PATIENCE) => {
            let text = format!("`{target}` is busy and has not said what became of the call");
            return Err(Refusal::new(Errno::TIMEOUT, text, "ask again"));
        }
        _ = home_lost(kernel, to) => return Err(went()),
    };
    let (status, standing) = (reply.status, reply.standing);
    let handles = reply.message.handles.iter().map(|c| c.address.to_string()).collect();
    let fate = match Found::open(status, reply.message, standing.index) {
        Some(Found::Answered(Answer { status, message, .. })) => {
            CallFate::Happened { status, body: message.body.to_vec(), handles }
        }
        Some(Found::Handled) => CallFate::Handled,
        Some(Found::Never) => CallFate::Never,
        Some(Found::Forgotten) => CallFate::Forgotten,
        None => {
            return Err(match Errno::from_code(status) {
                Some(Errno::NO_QUORUM) => no_quorum(target),
                Some(Errno::UNREACHABLE) => went(),
                errno => {
                    let text = format!("`{target}` has ended, and what it did went with it");
                    Refusal::new(errno.unwrap_or(Errno::INTERNAL), text, "`ps` shows what runs")
                }
            });
        }
    };
    let group = to.home == Home::Group;
    Ok(Reply::Outcome {
        fate,
        level: if group { Level::Final } else { Level::Local },
        index: standing.index,
        node: if group { standing.node } else { kernel.lives(to).0 },
    })
}

/// Returns when a node is gone by which a plain actor was asked, or where it lives now.
async fn home_lost(kernel: &Arc<Kernel>, to: Address) -> NodeId {
    if to.home != Home::Node {
        std::future::pending::<()>().await;
    }
    let asked = kernel.depends_on(to);
    loop {
        tokio::time::sleep(LOOK).await;
        let up = kernel.nodes_up();
        let gone = asked.iter().copied().chain([kernel.lives(to)]).find(|node| !up.contains(node));
        if let Some(node) = gone {
            return node;
        }
    }
}

pub(super) async fn send(
    kernel: &Arc<Kernel>,
    target: &str,
    body: Vec<u8>,
    handles: &[String],
    sequence: SequenceKey,
) -> Result<Reply, Refusal> {
    let to = find(kernel, target)?;
    let message = message(kernel, body, handles)?;
    let from = kernel.console().address();
    let key = Some(Box::new(key(sequence)));
    let delivery = Delivery { key, ..Delivery::new(from, message) };
    commit(kernel, to, Input::Message(Box::new(delivery)), target).await
}

pub(super) async fn kill(kernel: &Arc<Kernel>, target: &str) -> Result<Reply, Refusal> {
    let to = find(kernel, target)?;
    commit(kernel, to, Input::Kill { by: kernel.console().address(), grant: 0 }, target).await
}

/// Delivers; to a group, waits until it is in its log.
async fn commit(kernel: &Arc<Kernel>, to: Address, input: Input, target: &str) -> Result<Reply, Refusal> {
    let from = kernel.console().address();
    if to.home != Home::Group {
        kernel.deliver(from, to, input);
        return Ok(Reply::Done);
    }
    let (fate, told) = oneshot::channel();
    if kernel.lanes().push(to.id, LaneItem { from, input, stamp: None, fate: Some(fate) }).is_err() {
        return Err(Refusal::new(Errno::FULL, format!("too much waits for `{target}`"), "try again in a while"));
    }
    match told.await {
        Ok(Fate::Handled { .. } | Fate::Gap { .. }) => Ok(Reply::Done),
        Ok(Fate::Gone(exit)) => Err(Refusal::new(
            Errno::DEAD,
            format!("`{target}` has ended: {}", crate::input::describe(&exit)),
            "`ps` shows what runs",
        )),
        Ok(Fate::GivenUp) | Err(_) => Err(no_quorum(target)),
    }
}

pub(super) fn no_quorum(target: &str) -> Refusal {
    Refusal::new(
        Errno::NO_QUORUM,
        format!("`{target}` has no quorum: fewer than half of its nodes can be reached"),
        "start them; `inspect` shows its voters and `nodes` who is up",
    )
}

pub(super) fn link(kernel: &Arc<Kernel>, a: &str, b: &str, unlink: bool) -> Result<Reply, Refusal> {
    let (first, second) = (find(kernel, a)?, find(kernel, b)?);
    if first == second {
        return Err(Refusal::new(Errno::REFUSED, format!("`{a}` and `{b}` are the same actor"), "name two actors"));
    }
    for (to, peer) in [(first, second), (second, first)] {
        let input = if unlink { Input::Unlink { peer } } else { Input::Link { peer, grant: 0 } };
        kernel.deliver(peer, to, input);
    }
    Ok(Reply::Done)
}

/// Who is meant.
pub(super) fn locate(kernel: &Arc<Kernel>, target: &str) -> Result<Reply, Refusal> {
    let Address { node, id, .. } = find(kernel, target)?;
    Ok(Reply::Located { node: node.0, id: id.0 })
}

/// Watches an actor. Its end is told even if it comes before the watch does.
pub(super) fn watch(kernel: &Arc<Kernel>, to: Address) -> impl Future<Output = Reply> + use<> {
    let console = kernel.console();
    let (id, ended) = console.watch(to);
    kernel.deliver(console.address(), to, Input::Watch { watcher: console.address(), id, grant: 0 });
    async move {
        match ended.await {
            Ok(Exit { kind, code, message }) => {
                Reply::Down { target: to.to_string(), kind: kind.name().into(), code, message }
            }
            Err(_) => Refusal::new(Errno::INTERNAL, "the watch was lost in the kernel", "").into(),
        }
    }
}

pub(super) async fn name(kernel: &Arc<Kernel>, name: String, target: Option<String>) -> Result<Reply, Refusal> {
    let command = match target {
        Some(target) => {
            let address = find(kernel, &target)?;
            let module = kernel.module_of(address).unwrap_or_default();
            RootCommand::RegisterName { name, address, module }
        }
        None => RootCommand::UnregisterName { name, holder: None },
    };
    kernel.root_command(command).await.map(|_| Reply::Done)
}
