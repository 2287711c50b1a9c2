//! A command and a session into outcomes.
//!
//! Owns: which requests a command makes, in which order, and what their answers mean. Does not know: terminals.
//!
//! 1. A command that fails leaves one [`Failure`] and no outcome that claims otherwise.

mod backup;
mod call;
mod look;
mod members;
mod processes;
mod spawn;

use std::{sync::Arc, time::Duration};

use pando_abi::NodeId;
use pando_admin::{Reply, Request};
use serde_json::json;

use crate::{
    cli::{Common, Pair, Verb},
    create,
    failure::Failure,
    outcome::Outcome,
    session::{DEADLINE, Session, Sink, unexpected},
};

/// What a change of voters has unless told: a joiner gets the whole image first.
const VOTERS_DEADLINE: Duration = Duration::from_secs(70);

/// One command being carried out.
struct Eval<'a> {
    session: &'a Arc<Session>,
    common: &'a Common,
    sink: &'a mut dyn Sink,
}

/// Carries out `verb`.
pub async fn eval(session: &Arc<Session>, common: &Common, verb: &Verb, sink: &mut dyn Sink) -> Result<(), Failure> {
    let mut eval = Eval { session, common, sink };
    let result = eval.verb(verb).await;
    eval.sink.progress(None);
    result
}

impl Eval<'_> {
    async fn verb(&mut self, verb: &Verb) -> Result<(), Failure> {
        match verb {
            Verb::Spawn(args) => self.spawn(args).await,
            Verb::Call(args) => self.call(args).await,
            Verb::Send(args) => self.send(args).await,
            Verb::Outcome(args) => self.outcome(args).await,
            Verb::Ps => self.ps().await,
            Verb::Top(args) => self.top(args.watch).await,
            Verb::Names => self.names().await,
            Verb::Nodes => self.nodes().await,
            Verb::Inspect(args) => self.inspect(&args.target).await,
            Verb::Kill(args) => {
                for target in &args.targets {
                    self.about(target, Request::Kill { target: target.clone() }).await?;
                    self.sink.emit(Outcome::done(format!("{target} killed"), json!({ "killed": target })));
                }
                Ok(())
            }
            Verb::Link(pair) => self.link(pair, false).await,
            Verb::Unlink(pair) => self.link(pair, true).await,
            Verb::Monitor(args) => self.monitor(&args.target, args.wait).await,
            Verb::Log(args) => self.log(args).await,
            Verb::Name(args) => {
                let about = args.target.as_ref().unwrap_or(&args.name);
                let request = Request::Name { name: args.name.clone(), target: args.target.clone() };
                self.about(about, request).await?;
                self.session.forget_interfaces();
                let text = match &args.target {
                    Some(target) => format!("{} is {target}", args.name),
                    None => format!("{} is nobody's name any more", args.name),
                };
                self.sink.emit(Outcome::done(text, json!({ "name": args.name, "target": args.target })));
                Ok(())
            }
            Verb::Upgrade(args) => self.upgrade(args).await,
            Verb::Voters(args) => {
                self.sink.progress(Some("moving the group"));
                let nodes: Vec<u32> = args.nodes.iter().map(|n| n.0.0).collect();
                let request = Request::Voters { target: args.target.clone(), nodes: nodes.clone() };
                self.about_within(&args.target, request, self.deadline(VOTERS_DEADLINE)).await?;
                let shown: Vec<String> = args.nodes.iter().map(|n| n.0.to_string()).collect();
                let text = format!("{}  voters {}", args.target, shown.join(" "));
                self.sink.emit(Outcome::done(text, json!({ "target": args.target, "voters": nodes })));
                Ok(())
            }
            Verb::Group(args) => self.group(args).await,
            Verb::Move(args) => self.move_actor(&args.target, args.id.0).await,
            Verb::Drain(args) => self.drain(args.id.0, true).await,
            Verb::Undrain(args) => self.drain(args.id.0, false).await,
            Verb::Ticket(args) => self.ticket(args.lifetime.0).await,
            Verb::RemoveNode(args) => self.remove_node(args.id.0, args.lost).await,
            Verb::Backup(args) => self.backup(&args.file).await,
            Verb::Settings(args) => self.settings(args.replace_after).await,
            Verb::Programs => {
                self.sink.emit(Outcome::Programs(crate::program::bundled()));
                Ok(())
            }
            Verb::New(args) => {
                let made = create::create(&args.path, args.sdk.as_deref())?;
                self.sink.emit(made);
                Ok(())
            }
            Verb::KillNode(args) => self.kill_node(args.id.0).await,
            Verb::StartNode(args) => self.start_node(args.id.0).await,
            Verb::Stop(args) => self.stop(&args.nodes.iter().map(|n| n.0).collect::<Vec<_>>()).await,
        }
    }

    async fn link(&mut self, pair: &Pair, unlink: bool) -> Result<(), Failure> {
        let request = Request::Link { a: pair.a.clone(), b: pair.b.clone(), unlink };
        let result = self.ask(request, DEADLINE).await;
        if let Err(failure) = result {
            let failure = self.session.suggest(failure, &pair.a).await;
            return Err(failure);
        }
        let word = if unlink { "unlinked" } else { "linked" };
        let text = format!("{} and {} {word}", pair.a, pair.b);
        self.sink.emit(Outcome::done(text, json!({ word: [pair.a, pair.b] })));
        Ok(())
    }

    fn deadline(&self, unless_told: Duration) -> Duration {
        self.common.deadline.map_or(unless_told, |d| d.0)
    }

    fn node(&self) -> Option<NodeId> {
        self.common.node.map(|n| n.0)
    }

    /// Asks the node that is wanted, or any.
    async fn ask(&self, request: Request, unless_told: Duration) -> Result<Reply, Failure> {
        Ok(self.session.ask.ask(self.node(), request, self.deadline(unless_told)).await?)
    }

    /// A request about `target` that is answered by `Done`.
    async fn about(&self, target: &str, request: Request) -> Result<(), Failure> {
        self.about_within(target, request, self.deadline(DEADLINE)).await
    }

    async fn about_within(&self, target: &str, request: Request, deadline: Duration) -> Result<(), Failure> {
        match self.session.ask.ask(self.node(), request, deadline).await {
            Ok(Reply::Done) => Ok(()),
            Ok(_) => Err(unexpected()),
            Err(e) => Err(self.session.suggest(e.into(), target).await),
        }
    }
}

#[cfg(test)]
mod tests;
