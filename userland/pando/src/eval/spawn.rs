//! `spawn` and `upgrade`: find or build the module, put it in the realm if it is not there, start it or switch to it.

use std::time::{Duration, Instant};

use pando_abi::{Errno, Priority};
use pando_admin::{Carried, ClientError, Reply, Request, SpawnRequest};
use pando_interface::{ArgumentError, encode_start};
use serde_json::json;

use super::Eval;
use crate::{
    cli::{Spawn, Upgrade},
    failure::Failure,
    outcome::Outcome,
    program,
    session::unexpected,
};

/// Compiling a large module takes seconds.
const SPAWN_DEADLINE: Duration = Duration::from_secs(30);
/// Every voter fetches the module first.
const UPGRADE_DEADLINE: Duration = Duration::from_secs(60);

impl Eval<'_> {
    pub(super) async fn spawn(&mut self, args: &Spawn) -> Result<(), Failure> {
        let module = program::resolve(&args.program, &mut |text| self.sink.progress(Some(text)))?;
        let start = encode_start(module.interface.as_ref(), &module.label, &args.args).map_err(|e| {
            let usage = matches!(e, ArgumentError::Missing { .. } | ArgumentError::TooMany { .. });
            Failure { code: if usage { 2 } else { 1 }, ..Failure::from(e) }
        })?;
        if !start.handles.is_empty() {
            return Err(Failure::new(
                format!("the start of {} wants an actor, and spawn from the shell cannot give one", module.label),
                "give it afterwards, in a call",
            ));
        }
        self.sink.progress(Some(&format!("starting {}", module.label)));
        let hash = self.put(&module.label, module.wasm).await?;
        let request = Request::Spawn(SpawnRequest {
            module: hash,
            name: args.name.clone(),
            node: self.common.node.map(|n| n.0.0),
            replicas: args.replicas.unwrap_or(0),
            restart: args.restart.policy() as u8,
            priority: Priority::Normal as u8,
            memory_bytes: args.memory.map_or(0, |m| m.0),
            handler_ms: args.cpu_ms.unwrap_or(0),
            args: start.body,
            realm: !args.no_realm,
            key: self.session.ask.key(),
        });
        match self.session.ask.ask(None, request, self.deadline(SPAWN_DEADLINE)).await? {
            Reply::Spawned(row) => {
                self.session.forget_interfaces();
                self.session.saw_rows([&row]);
                self.sink.emit(Outcome::Spawned(row));
                Ok(())
            }
            _ => Err(unexpected()),
        }
    }

    pub(super) async fn upgrade(&mut self, args: &Upgrade) -> Result<(), Failure> {
        let module = program::resolve(&args.program, &mut |text| self.sink.progress(Some(text)))?;
        let label = module.label;
        self.sink.progress(Some(&format!("switching {} to {label}", args.target)));
        let hash = self.put(&label, module.wasm).await?;
        let request = Request::Upgrade { target: args.target.clone(), module: hash };
        let start = Instant::now();
        let (carried, index, epoch) =
            match self.session.ask.ask(self.node(), request, self.deadline(UPGRADE_DEADLINE)).await {
                Ok(Reply::Upgraded { carried, index, epoch }) => (carried, index, epoch),
                Ok(_) => return Err(unexpected()),
                Err(e) => return Err(self.session.suggest(e.into(), &args.target).await),
            };
        self.session.forget_interfaces();
        let (how, json_how) = match carried {
            Carried::Already => ("runs it already".to_owned(), json!("already")),
            Carried::Kept => ("memory kept".to_owned(), json!("kept")),
            Carried::Exported { version } => {
                (format!("state of version {version} taken over"), json!({ "exported": version }))
            }
        };
        let since = if index > 0 { format!("  from index {index}") } else { String::new() };
        let text = format!("{} runs {label}  {how}{since}  ({})", args.target, crate::render::took(start.elapsed()));
        let document = json!({
            "upgraded": args.target, "program": label, "state": json_how, "index": index, "epoch": epoch,
        });
        self.sink.emit(Outcome::done(text, document));
        Ok(())
    }

    /// Puts a module in the realm if it is not there. Its hash.
    async fn put(&mut self, label: &str, wasm: Vec<u8>) -> Result<[u8; 32], Failure> {
        let hash = *blake3::hash(&wasm).as_bytes();
        match self.session.ask.ask(self.node(), Request::HasModule { hash }, self.deadline(SPAWN_DEADLINE)).await {
            Ok(Reply::Module { .. }) => Ok(hash),
            Ok(_) => Err(unexpected()),
            Err(ClientError::Refused { errno, .. })
                if matches!(Errno::from_code(errno), Some(Errno::NO_MODULE | Errno::NOT_FOUND)) =>
            {
                self.sink.progress(Some(&format!("putting {label} in the realm")));
                let request = Request::PutModule { label: label.to_owned(), wasm };
                match self.ask(request, SPAWN_DEADLINE).await? {
                    Reply::Module { .. } => Ok(hash),
                    _ => Err(unexpected()),
                }
            }
            Err(e) => Err(e.into()),
        }
    }
}
