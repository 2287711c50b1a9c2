//! Commands that only look: `ps`, `top`, `names`, `nodes`, `inspect`, `monitor`, `log`.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use pando_abi::{ActorId, Errno, NodeId};
use pando_admin::{ClientError, Reply, Request, TopRow};

use super::Eval;
use crate::{
    ask::Answers,
    cli::Log,
    failure::Failure,
    outcome::{Ended, Outcome},
    session::{DEADLINE, Session, unexpected},
};

/// How often `top --watch` looks.
const REFRESH: Duration = Duration::from_secs(1);
/// How often another node is asked to go on with what a lost one did.
const TRIES: u32 = 10;
const AGAIN: Duration = Duration::from_millis(500);

impl Eval<'_> {
    pub(super) async fn ps(&mut self) -> Result<(), Failure> {
        // The node itself is asked: a wrong one, or one that is down, is told as what it is.
        let node = self.common.node.map(|n| n.0.0);
        match self.ask(Request::Ps { node }, DEADLINE).await? {
            Reply::Actors { mut rows, silent } => {
                rows.retain(|row| node.is_none_or(|node| row.node == node || row.voters.contains(&node)));
                self.session.saw_rows(&rows);
                self.sink.emit(Outcome::Actors { rows, silent });
                Ok(())
            }
            _ => Err(unexpected()),
        }
    }

    pub(super) async fn names(&mut self) -> Result<(), Failure> {
        match self.ask(Request::Names, DEADLINE).await? {
            Reply::Names(rows) => {
                self.sink.emit(Outcome::Names(rows));
                Ok(())
            }
            _ => Err(unexpected()),
        }
    }

    pub(super) async fn nodes(&mut self) -> Result<(), Failure> {
        match self.ask(Request::Nodes, DEADLINE).await? {
            Reply::Nodes(rows) => {
                self.sink.emit(Outcome::Nodes(rows));
                Ok(())
            }
            _ => Err(unexpected()),
        }
    }

    pub(super) async fn top(&mut self, watch: bool) -> Result<(), Failure> {
        let mut before: Option<(Vec<TopRow>, Instant)> = None;
        loop {
            let mut rows = match self.ask(Request::Top, DEADLINE).await? {
                Reply::Top(rows) => rows,
                _ => return Err(unexpected()),
            };
            if let Some(node) = self.common.node {
                rows.retain(|row| row.node == node.0.0);
            }
            let now = Instant::now();
            let then = before.replace((rows.clone(), now)).map(|(rows, then)| (rows, now - then));
            self.sink.emit(Outcome::Top { rows, before: then, refresh: watch });
            if !watch {
                return Ok(());
            }
            tokio::time::sleep(REFRESH).await;
        }
    }

    pub(super) async fn inspect(&mut self, target: &str) -> Result<(), Failure> {
        let request = Request::Inspect { target: target.to_owned() };
        let lines = match self.session.ask.ask(self.node(), request, self.deadline(DEADLINE)).await {
            Ok(Reply::Details(lines)) => lines,
            Ok(_) => return Err(unexpected()),
            Err(e) => return Err(self.session.suggest(e.into(), target).await),
        };
        // An actor whose interface cannot be had or read is still worth looking at.
        let interface = self.session.known(target, true, self.node()).await.map(|k| k.text).unwrap_or_default();
        self.sink.emit(Outcome::Details { target: target.to_owned(), lines, interface });
        Ok(())
    }

    pub(super) async fn monitor(&mut self, target: &str, wait: bool) -> Result<(), Failure> {
        let watch = match watch(self.session, self.node(), target).await {
            Ok(watch) => watch,
            Err(why) => return Err(self.session.suggest(why, target).await),
        };
        let end = end_of(self.session.clone(), target.to_owned(), watch);
        match self.session.notices.get() {
            Some(_) if !wait => {
                let session = self.session.clone();
                session.watching.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let ended = end.await;
                    session.watching.fetch_sub(1, Ordering::Relaxed);
                    if let Some(notices) = session.notices.get() {
                        notices(ended);
                    }
                });
                let text = format!("watching {target}");
                self.sink.emit(Outcome::done(text, serde_json::json!({ "watching": target })));
            }
            _ => {
                let ended = end.await?;
                self.sink.emit(Outcome::Ended(ended));
            }
        }
        Ok(())
    }

    pub(super) async fn log(&mut self, args: &Log) -> Result<(), Failure> {
        let target = args.target.as_deref().unwrap_or_default();
        let mut tail = args.tail;
        let mut node = self.node();
        let mut tries = 0;
        let mut silent = true;
        if args.follow && !target.is_empty() {
            // Nobody who is not there will say anything.
            self.session.known(target, true, node).await?;
        }
        loop {
            let request = Request::Log { target: args.target.clone(), tail, follow: args.follow };
            let lost = match self.session.ask.follow(node, request).await {
                Ok(mut answers) => loop {
                    match answers.next().await {
                        Ok(Some(Reply::Log(lines))) => {
                            tries = 0;
                            if !lines.is_empty() {
                                silent = false;
                                self.sink.emit(Outcome::Log(lines));
                            }
                        }
                        Ok(Some(_)) => return Err(unexpected()),
                        Ok(None) => {
                            if silent && !target.is_empty() {
                                // No line of it: has it said nothing, or is nobody called that?
                                self.session.known(target, true, node).await?;
                            }
                            if silent {
                                self.sink.emit(Outcome::Log(Vec::new()));
                            }
                            return Ok(());
                        }
                        Err(e) => break e,
                    }
                },
                Err(e) => e,
            };
            // Whoever follows goes on at another node; what has been shown is not shown again.
            tries += 1;
            let elsewhere = matches!(lost, ClientError::Lost { .. } | ClientError::NoNode { .. });
            if !args.follow || tries > TRIES || !elsewhere {
                return Err(self.session.suggest(lost.into(), target).await);
            }
            tail = 0;
            node = None;
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Somebody who is watched.
struct Watch {
    /// Its address, by which it is known though its name may go.
    address: String,
    answers: Box<dyn Answers>,
}

/// Begins to watch: when this returns, the end of `target` will be told.
async fn watch(session: &Session, node: Option<NodeId>, target: &str) -> Result<Watch, Failure> {
    let located = async {
        let mut answers = session.ask.follow(node, Request::Watch { target: target.to_owned() }).await?;
        Ok::<_, ClientError>((answers.next().await?, answers))
    };
    let after = DEADLINE;
    match tokio::time::timeout(after, located).await.unwrap_or(Err(ClientError::Timeout { after }))? {
        (Some(Reply::Located { node, id }), answers) => {
            let home = if node == 0 { "group".to_owned() } else { NodeId(node).to_string() };
            Ok(Watch { address: format!("{home}/{}", ActorId(id)), answers })
        }
        _ => Err(unexpected()),
    }
}

/// Waits for the end of `target`. When the node that watches goes itself, another one is asked.
async fn end_of(session: Arc<Session>, target: String, Watch { address, answers }: Watch) -> Result<Ended, Failure> {
    let mut watching = Ok(answers);
    let mut lost = String::new();
    for _ in 0..TRIES {
        let answer = match watching {
            Ok(mut answers) => answers.next().await.map_err(Failure::from),
            Err(why) => Err(why),
        };
        match answer {
            Ok(Some(Reply::Down { target: address, kind, code, message })) => {
                return Ok(Ended { target, address, kind, code, message });
            }
            Ok(Some(_)) => return Err(unexpected()),
            Ok(None) => return Err(Failure::new(format!("the node stopped watching {target}"), "monitor it again")),
            Err(why) if why.errno == Some(Errno::UNREACHABLE) => lost = why.sentence,
            Err(why) => return Err(why),
        }
        tokio::time::sleep(AGAIN).await;
        watching = watch(&session, None, &address).await.map(|watch| watch.answers);
    }
    Err(Failure::new(format!("nobody watches {target} any more: {lost}"), "monitor it again"))
}
