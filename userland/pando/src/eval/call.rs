//! `call` and `send`: typed by the target's interface, checked before they leave.

use std::time::{Duration, Instant};

use pando_abi::{Errno, call::call_flags};
use pando_admin::{CallFate, Level, Reply, Request, SequenceKey};
use pando_interface::{ArgumentError, Encoded, Type, decode, encode_call, human, json};
use serde_json::json;

use super::Eval;
use crate::{
    cli::{Call, OutcomeOf, Send, values::CallKey},
    failure::Failure,
    outcome::{Answer, Outcome},
    session::{DEADLINE, Known, unexpected},
};

/// The receiver answers between two events.
const OUTCOME_DEADLINE: Duration = Duration::from_secs(30);

impl Eval<'_> {
    pub(super) async fn call(&mut self, args: &Call) -> Result<(), Failure> {
        let (encoded, known) = self.encode(&args.target, &args.method, &args.args).await?;
        let query = encoded.query || (known.interface.is_none() && (args.query || args.committed));
        if (args.committed || args.query) && !query {
            return Err(Failure::new(
                format!("{} may change the state of {}, so it cannot be run as a query", args.method, args.target),
                "leave out --final and --query",
            ));
        }
        let mut flags = 0;
        if query {
            flags |= call_flags::QUERY;
        }
        if args.committed {
            flags |= call_flags::FINAL;
        }
        let deadline = self.deadline(DEADLINE);
        let key = self.session.ask.key();
        // A query changes nothing, so it does not matter whether it happened.
        let unknown = |failure: Failure| if query { failure } else { unknown(failure, &args.target, key) };
        let request = Request::Call {
            target: args.target.clone(),
            body: encoded.body,
            handles: encoded.handles,
            flags: flags as u32,
            deadline_ms: u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX),
            key,
        };
        let start = Instant::now();
        let reply = self.session.ask.ask(self.node(), request, deadline).await;
        let took = start.elapsed();
        let (status, body, level, index, node, handles) = match reply {
            Ok(Reply::Answer { status, body, level, index, node, handles }) => {
                (status, body, level, index, node, handles)
            }
            Ok(_) => return Err(unexpected()),
            Err(e) => return Err(unknown(self.session.suggest(e.into(), &args.target).await)),
        };
        if status != 0 {
            return Err(unknown(refused(args, status, &body)));
        }
        let value = decode(&body)
            .map_err(|e| Failure::new(format!("{} answered, but {e}", args.target), "its author has to mend that"))?;
        let interface = known.interface.as_deref();
        // A query is answered by the replica that was asked, whoever leads.
        let leader = level != Level::Local && !query;
        self.sink.emit(Outcome::Answer(Answer {
            text: human(interface, &encoded.result, &value, &handles),
            json: json(interface, &encoded.result, &value, &handles),
            level,
            index,
            node,
            took,
            new_leader: if leader { self.session.saw_leader(&args.target, node) } else { None },
        }));
        Ok(())
    }

    pub(super) async fn send(&mut self, args: &Send) -> Result<(), Failure> {
        let (encoded, _) = self.encode(&args.target, &args.method, &args.args).await?;
        let key = self.session.ask.key();
        let request = Request::Send { target: args.target.clone(), body: encoded.body, handles: encoded.handles, key };
        self.about(&args.target, request).await.map_err(|failure| unknown(failure, &args.target, key))?;
        self.sink.emit(Outcome::done("sent", json!({ "sent": args.target })));
        Ok(())
    }

    pub(super) async fn outcome(&mut self, args: &OutcomeOf) -> Result<(), Failure> {
        // Keys are told apart by who asks: one can only ask for one's own.
        let own = self.session.ask.key();
        let key = SequenceKey { origin: own.origin, incarnation: args.key.incarnation, seq: args.key.seq };
        let request = Request::Outcome { target: args.target.clone(), key };
        let (fate, level, index, node) =
            match self.session.ask.ask(self.node(), request, self.deadline(OUTCOME_DEADLINE)).await {
                Ok(Reply::Outcome { fate, level, index, node }) => (fate, level, index, node),
                Ok(_) => return Err(unexpected()),
                Err(e) => return Err(self.session.suggest(e.into(), &args.target).await),
            };
        let (word, text, value) = match fate {
            CallFate::Happened { status: 0, body, handles } => {
                let value = decode(&body).map_err(|e| Failure::new(format!("its answer cannot be read: {e}"), ""))?;
                let text = human(None, &Type::Any, &value, &handles);
                ("happened", format!("it happened, and was answered {text}"), json(None, &Type::Any, &value, &handles))
            }
            CallFate::Happened { status, .. } => {
                let errno = Errno::from_code(status).unwrap_or(Errno::INTERNAL);
                ("happened", format!("it came, and was answered: {}", errno.text()), errno.name().into())
            }
            CallFate::Handled => ("happened", "it happened; no answer is remembered".to_owned(), json!(null)),
            CallFate::Never => ("never", "it has not happened, and never will".to_owned(), json!(null)),
            CallFate::Forgotten => {
                ("forgotten", "it will not happen any more; whether it has, nobody remembers".to_owned(), json!(null))
            }
        };
        let at = if level == Level::Final { format!("  final@{index}") } else { String::new() };
        let document = json!({ "outcome": word, "answer": value, "index": index, "node": node });
        self.sink.emit(Outcome::done(format!("{text}{at}"), document));
        Ok(())
    }

    /// The body, by the interface that is known; if it does not fit, by the one of now.
    async fn encode(&self, target: &str, method: &str, words: &[String]) -> Result<(Encoded, Known), Failure> {
        let mut known = self.session.known(target, false, self.node()).await?;
        let mut encoded = encode_call(known.interface.as_deref(), target, method, words);
        if known.cached && encoded.is_err() {
            known = self.session.known(target, true, self.node()).await?;
            encoded = encode_call(known.interface.as_deref(), target, method, words);
        }
        let encoded = encoded.map_err(|e| {
            let usage = matches!(e, ArgumentError::Missing { .. } | ArgumentError::TooMany { .. });
            Failure { code: if usage { 2 } else { 1 }, ..Failure::from(e) }
        })?;
        Ok((encoded, known))
    }
}

/// Says how to find out, if the call may have happened.
fn unknown(failure: Failure, target: &str, key: SequenceKey) -> Failure {
    match failure.errno {
        Some(Errno::TIMEOUT | Errno::UNREACHABLE | Errno::NO_QUORUM | Errno::INTERNAL | Errno::UPGRADED) => {
            let key = CallKey { incarnation: key.incarnation, seq: key.seq };
            let mend = format!("`outcome {target} {key}` tells whether it happened");
            Failure {
                mend: if failure.mend.is_empty() { mend } else { format!("{mend}; {}", failure.mend) },
                ..failure
            }
        }
        _ => failure,
    }
}

/// The receiver, or the kernel in its place, said no.
fn refused(args: &Call, status: u16, body: &[u8]) -> Failure {
    let said = match decode(body) {
        Ok(value) if value.is_null() => String::new(),
        Ok(value) => match value.as_text() {
            Some(text) => text.to_owned(),
            None => human(None, &Type::Any, &value, &[]),
        },
        Err(_) => String::new(),
    };
    let target = &args.target;
    let errno = Errno::from_code(status).unwrap_or(Errno::INTERNAL);
    let sentence = match (errno, said.is_empty()) {
        (Errno::APPLICATION, false) => format!("{target} refused {}: {said}", args.method),
        (errno, false) => format!("{target}: {}: {said}", errno.text()),
        (errno, true) => format!("{target}: {}", errno.text()),
    };
    let mend = match errno {
        Errno::DEAD => format!("`log {target}` may tell why; `ps` lists who is alive"),
        Errno::FULL => "wait a little and call again".to_owned(),
        Errno::TIMEOUT => "give it longer with --deadline".to_owned(),
        Errno::UNREACHABLE | Errno::NO_QUORUM => "`nodes` tells who is up; `start-node` brings one back".to_owned(),
        Errno::TRAPPED | Errno::INTERNAL => format!("`log {target}` has the cause"),
        Errno::BAD_REQUEST => format!("`inspect {target}` lists its methods"),
        Errno::READ_ONLY => "call it without --query".to_owned(),
        _ => String::new(),
    };
    Failure::new(sentence, mend).with(errno)
}
