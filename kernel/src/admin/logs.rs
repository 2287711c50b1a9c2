//! Log lines for people: this node's and, for a follower, the other nodes' beside them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pando_admin::{LogLine, Reply, Request};
use pando_transport::UserRequest;
use tokio::sync::broadcast::error::RecvError;

use super::{target::find, views::ask_all};
use crate::node::Kernel;

/// Lines that one request shows of the past at most.
const TAIL_MAX: u32 = 4_096;
/// How often a follower hears from the other nodes.
const EVERY: Duration = Duration::from_millis(400);

/// The source as lines name it: what a person wrote, and the address it stands for.
fn sources(kernel: &Arc<Kernel>, target: Option<&str>) -> Option<Vec<String>> {
    let target = target?;
    let mut names = vec![target.to_owned()];
    if let Ok(address) = find(kernel, target) {
        names.push(address.to_string());
        names.extend(kernel.root().read(|root| root.names_of(address).map(str::to_owned).collect::<Vec<_>>()));
    }
    Some(names)
}

/// The latest lines of this node.
pub(super) fn tail_here(kernel: &Arc<Kernel>, target: Option<&str>, tail: u32) -> Vec<LogLine> {
    let wanted = sources(kernel, target);
    let is_wanted = |line: &LogLine| wanted.as_ref().is_none_or(|names| names.contains(&line.source));
    kernel.logs().tail(tail.min(TAIL_MAX) as usize, is_wanted).0
}

/// Serves a `Log` request until it is answered, or its asker goes.
pub(super) async fn serve(
    kernel: &Arc<Kernel>,
    stream: &mut UserRequest,
    target: Option<String>,
    tail: u32,
    follow: bool,
) {
    let tail = tail.min(TAIL_MAX);
    let wanted = sources(kernel, target.as_deref());
    let is_wanted = |line: &LogLine| wanted.as_ref().is_none_or(|names| names.contains(&line.source));
    let (mut lines, mut news) = kernel.logs().tail(tail as usize, is_wanted);
    let others = |tail: u32| ask_all(kernel, move |_| Request::Log { target: target.clone(), tail, follow: false });
    // The latest line known of each other node.
    let mut known: BTreeMap<u32, u64> = BTreeMap::new();
    let (replies, _) = others.clone()(tail).await;
    lines.extend(fresh(replies, &mut known));
    lines.sort_by_key(|line| line.time_ns);
    let skip = lines.len().saturating_sub(tail as usize);
    if stream.respond(Reply::Log(lines.split_off(skip)).encode().into()).await.is_err() || !follow {
        return;
    }
    let closed = stream.closed();
    tokio::pin!(closed);
    let mut every = tokio::time::interval(EVERY);
    loop {
        let lines = tokio::select! {
            () = &mut closed => return,
            line = news.recv() => match line {
                Ok(line) if is_wanted(&line) => vec![line],
                Ok(_) => continue,
                Err(RecvError::Lagged(missed)) => vec![LogLine {
                    time_ns: kernel.door().now_ns(),
                    node: kernel.id().0,
                    level: 2,
                    source: "kernel".into(),
                    text: format!("{missed} lines were written too fast to follow"),
                }],
                Err(RecvError::Closed) => return,
            },
            _ = every.tick() => {
                let (replies, _) = others.clone()(TAIL_MAX / 4).await;
                let lines = fresh(replies, &mut known);
                if lines.is_empty() {
                    continue;
                }
                lines
            }
        };
        if stream.respond(Reply::Log(lines).encode().into()).await.is_err() {
            return;
        }
    }
}

/// Lines that were not shown yet.
fn fresh(replies: Vec<(pando_abi::NodeId, Reply)>, known: &mut BTreeMap<u32, u64>) -> Vec<LogLine> {
    let mut all = Vec::new();
    for (node, reply) in replies {
        let Reply::Log(lines) = reply else { continue };
        let latest = known.entry(node.0).or_insert(0);
        let shown = *latest;
        *latest = lines.iter().map(|l| l.time_ns).max().unwrap_or(0).max(shown);
        all.extend(lines.into_iter().filter(|l| l.time_ns > shown));
    }
    all
}
