//! `kill-node`, `start-node`, `stop`: the processes of nodes on this machine.

use std::time::{Duration, Instant};

use pando_abi::NodeId;
use pando_admin::{Reply, Request};
use serde_json::json;

use super::Eval;
use crate::{failure::Failure, outcome::Outcome};

/// A node has to open its disk, find its peers and catch up.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// A node that stops has so long to put everything away.
const STOP_DEADLINE: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Eval<'_> {
    pub(super) async fn kill_node(&mut self, node: NodeId) -> Result<(), Failure> {
        self.session.fleet().kill(node)?;
        self.session.ask.forget(node).await;
        self.sink.emit(Outcome::done(format!("{node} killed"), json!({ "killed": node.to_string() })));
        Ok(())
    }

    pub(super) async fn start_node(&mut self, node: NodeId) -> Result<(), Failure> {
        let start = Instant::now();
        if let Some(pid) = self.session.fleet().running(node)? {
            return Err(Failure::new(
                format!("{node} runs already, as process {pid}"),
                format!("`kill-node {node}` or `stop {node}` ends it"),
            ));
        }
        self.session.fleet().start(node)?;
        self.session.ask.forget(node).await;
        self.sink.progress(Some(&format!("starting {node}")));
        ready(self, node, start + self.deadline(START_DEADLINE)).await?;
        let took = start.elapsed();
        let text = format!("{node} up  ({:.1} s)", took.as_secs_f64());
        self.sink.emit(Outcome::done(text, json!({ "started": node.to_string(), "ms": took.as_millis() as u64 })));
        Ok(())
    }

    pub(super) async fn stop(&mut self, nodes: &[NodeId]) -> Result<(), Failure> {
        let mut wanted: Vec<NodeId> = nodes.to_vec();
        if let (true, Some(node)) = (wanted.is_empty(), self.node()) {
            wanted.push(node);
        }
        if wanted.is_empty() {
            wanted = self.session.fleet().alive();
        }
        if wanted.is_empty() {
            return Err(Failure::new("no node of the realm runs on this machine", "there is nothing to stop"));
        }
        let shown = wanted.iter().map(NodeId::to_string).collect::<Vec<_>>();
        self.sink.progress(Some(&format!("stopping {}", shown.join(" "))));
        // All are told before any is waited for: the last ones could no longer reach a quorum.
        for node in &wanted {
            let asked = self.session.ask.ask(Some(*node), Request::Stop, self.deadline(STOP_DEADLINE)).await;
            let gone = self.session.fleet().running(*node).is_ok_and(|pid| pid.is_none());
            match asked {
                Err(e) if !gone => return Err(e.into()),
                _ => self.session.ask.forget(*node).await,
            }
        }
        let until = Instant::now() + self.deadline(STOP_DEADLINE);
        for node in &wanted {
            // A node on another machine has no process here: its word must do.
            while self.session.fleet().running(*node).is_ok_and(|pid| pid.is_some()) {
                if Instant::now() >= until {
                    return Err(Failure::new(
                        format!("{node} was told to stop and still runs"),
                        format!("`kill-node {node}` ends it at once; its log tells what it does"),
                    ));
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        self.sink.emit(Outcome::done(format!("{} stopped", shown.join(" ")), json!({ "stopped": shown })));
        Ok(())
    }
}

/// Waits until `node` answers for the realm; an error if its process ends before.
async fn ready(eval: &Eval<'_>, node: NodeId, until: Instant) -> Result<(), Failure> {
    loop {
        let asked = eval.session.ask.ask(Some(node), Request::Hello, Duration::from_secs(2)).await;
        if matches!(asked, Ok(Reply::Hello { ready: true, .. })) {
            return Ok(());
        }
        eval.session.fleet().check(node)?;
        if Instant::now() >= until {
            return Err(Failure::new(
                format!("{node} runs, but it has not caught up with the realm"),
                "a realm needs a majority of its nodes; `nodes` tells who is up",
            ));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
