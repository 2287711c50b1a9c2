//! `group`, `move`, `drain`, `ticket`, `remove-node`, `settings`: who is in the realm, and who holds what.

use std::time::Duration;

use pando_abi::{NodeId, RealmId};
use pando_admin::{Contact, Reply, Request, Ticket};
use serde_json::json;

use super::{Eval, VOTERS_DEADLINE};
use crate::{
    cli::{
        Group,
        values::{GroupChange, Patience},
    },
    failure::Failure,
    outcome::Outcome,
    render::{size, took, uptime},
    session::{DEADLINE, unexpected},
};

fn shown(nodes: &[u32]) -> Vec<String> {
    nodes.iter().map(|n| format!("n{n}")).collect()
}

impl Eval<'_> {
    pub(super) async fn group(&mut self, args: &Group) -> Result<(), Failure> {
        let node = args.id.0.0;
        let (add, remove) = match (args.change, args.to) {
            (GroupChange::Add, None) => (vec![node], vec![]),
            (GroupChange::Remove, None) => (vec![], vec![node]),
            (GroupChange::Move, Some(to)) => (vec![to.0.0], vec![node]),
            (GroupChange::Move, None) => {
                let mend = format!("as in: group move {} n{node} n4", args.target);
                return Err(Failure::usage("`group move` needs the node that takes the replica over", mend));
            }
            (_, Some(to)) => {
                let mend = format!("leave it out, or: group move {} n{node} {}", args.target, to.0);
                return Err(Failure::usage(format!("{} is one node too many", to.0), mend));
            }
        };
        self.sink.progress(Some("moving the group"));
        let request = Request::Reseat { target: args.target.clone(), add, remove };
        match self.session.ask.ask(self.node(), request, self.deadline(VOTERS_DEADLINE)).await {
            Ok(Reply::Held(voters)) => {
                let text = format!("{}  voters {}", args.target, shown(&voters).join(" "));
                self.sink.emit(Outcome::done(text, json!({ "target": args.target, "voters": shown(&voters) })));
                Ok(())
            }
            Ok(_) => Err(unexpected()),
            Err(e) => Err(self.session.suggest(e.into(), &args.target).await),
        }
    }

    pub(super) async fn move_actor(&mut self, target: &str, node: NodeId) -> Result<(), Failure> {
        self.sink.progress(Some(&format!("moving {target} to {node}")));
        let request = Request::Move { target: target.to_owned(), node: node.0 };
        match self.session.ask.ask(self.node(), request, self.deadline(VOTERS_DEADLINE)).await {
            Ok(Reply::Moved { from, to, bytes, paused_us }) => {
                let paused = Duration::from_micros(paused_us);
                let text = match from == to {
                    true => format!("{target} lives on n{to} already"),
                    false => format!("{target} moved n{from} -> n{to}, {}, paused {}", size(bytes), took(paused)),
                };
                let json = json!({
                    "target": target,
                    "from": format!("n{from}"),
                    "to": format!("n{to}"),
                    "bytes": bytes,
                    "paused_us": paused_us,
                });
                self.sink.emit(Outcome::done(text, json));
                Ok(())
            }
            Ok(_) => Err(unexpected()),
            Err(e) => Err(self.session.suggest(e.into(), target).await),
        }
    }

    pub(super) async fn drain(&mut self, node: NodeId, drained: bool) -> Result<(), Failure> {
        let doing = format!("moving what {node} holds");
        self.sink.progress(drained.then_some(doing.as_str()));
        let reply = self.ask(Request::Drain { node: node.0, drained }, VOTERS_DEADLINE).await?;
        let Reply::Drained { stay, actors, moved, kept } = reply else { return Err(unexpected()) };
        let why: Vec<_> = kept.iter().map(|(actor, why)| json!({ "actor": actor, "why": why })).collect();
        let json = json!({
            "node": node.to_string(),
            "drained": drained,
            "stay": stay,
            "actors": actors,
            "moved": moved,
            "kept": why,
        });
        if !drained {
            self.sink.emit(Outcome::done(format!("{node} may hold things again"), json));
            return Ok(());
        }
        let mut text = format!("{node} drained");
        if !stay.is_empty() {
            let few = stay.iter().take(5).cloned().collect::<Vec<_>>().join(" ");
            let more = if stay.len() > 5 { format!(" and {} more", stay.len() - 5) } else { String::new() };
            text = format!("{node} takes nothing new, and keeps its replicas of {few}{more}: no other node has room");
        }
        match moved {
            0 => {}
            1 => text.push_str("\n1 plain actor moved to another node"),
            n => text.push_str(&format!("\n{n} plain actors moved to other nodes")),
        }
        for (actor, why) in kept.iter().take(5) {
            text.push_str(&format!("\n{actor} could not be moved: {why}"));
        }
        match actors {
            Some(0) => {}
            Some(1) => text.push_str("\n1 plain actor stays on it, and would be lost if it stopped"),
            Some(n) => text.push_str(&format!("\n{n} plain actors stay on it, and would be lost if it stopped")),
            None => text.push_str("\nit does not answer, so it is not known which plain actors are on it"),
        }
        self.sink.emit(Outcome::done(text, json));
        Ok(())
    }

    pub(super) async fn ticket(&mut self, lifetime: Duration) -> Result<(), Failure> {
        let seed =
            Ticket::draw().map_err(|e| Failure::new(format!("the system gives no randomness: {e}"), "try again"))?;
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        let reply = self.ask(Request::Ticket { key: Ticket::key(seed).0, lifetime_ms }, DEADLINE).await?;
        let Reply::Ticket { realm, nodes } = reply else { return Err(unexpected()) };
        let nodes: Vec<_> = nodes.iter().filter_map(Contact::member).collect();
        let ticket = Ticket::new(RealmId(realm), seed, nodes).to_string();
        let text = format!(
            "{ticket}\ngood for one node, for {}; on its machine: pando node --join TICKET --dir ./node",
            uptime(lifetime.as_secs())
        );
        self.sink.emit(Outcome::done(text, json!({ "ticket": ticket, "lifetime_ms": lifetime_ms })));
        Ok(())
    }

    pub(super) async fn remove_node(&mut self, node: NodeId, lost: bool) -> Result<(), Failure> {
        self.sink.progress(Some(&format!("removing {node}")));
        match self.ask(Request::RemoveNode { node: node.0, lost }, VOTERS_DEADLINE).await? {
            Reply::Done => {
                self.session.fleet().removed(node);
                self.session.ask.forget(node).await;
                let text = format!("{node} removed; its number is never used again");
                self.sink.emit(Outcome::done(text, json!({ "removed": node.to_string() })));
                Ok(())
            }
            _ => Err(unexpected()),
        }
    }

    pub(super) async fn settings(&mut self, replace_after: Option<Patience>) -> Result<(), Failure> {
        let ms = replace_after.map(|p| p.0.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)));
        let Reply::Settings { replace_after_ms } =
            self.ask(Request::Settings { replace_after_ms: ms }, DEADLINE).await?
        else {
            return Err(unexpected());
        };
        let text = match replace_after_ms {
            0 => "replace-after  never".to_owned(),
            ms => format!("replace-after  {}", uptime(ms / 1_000)),
        };
        self.sink.emit(Outcome::done(text, json!({ "replace_after_ms": replace_after_ms })));
        Ok(())
    }
}
