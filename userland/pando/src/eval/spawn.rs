//! `spawn`: find or build the module, put it in the realm if it is not there, start it.

use std::time::Duration;

use pando_abi::{Errno, Priority};
use pando_admin::{ClientError, Reply, Request, SpawnRequest};
use pando_interface::{ArgumentError, encode_start};

use super::Eval;
use crate::{cli::Spawn, failure::Failure, outcome::Outcome, program, session::unexpected};

/// Compiling a large module takes seconds.
const SPAWN_DEADLINE: Duration = Duration::from_secs(30);

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
        let hash = *blake3::hash(&module.wasm).as_bytes();
        self.sink.progress(Some(&format!("starting {}", module.label)));
        match self.session.ask.ask(self.node(), Request::HasModule { hash }, self.deadline(SPAWN_DEADLINE)).await {
            Ok(Reply::Module { .. }) => {}
            Ok(_) => return Err(unexpected()),
            Err(ClientError::Refused { errno, .. })
                if matches!(Errno::from_code(errno), Some(Errno::NO_MODULE | Errno::NOT_FOUND)) =>
            {
                self.sink.progress(Some(&format!("putting {} in the realm", module.label)));
                let request = Request::PutModule { label: module.label.clone(), wasm: module.wasm };
                match self.ask(request, SPAWN_DEADLINE).await? {
                    Reply::Module { .. } => {}
                    _ => return Err(unexpected()),
                }
            }
            Err(e) => return Err(e.into()),
        }
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
}
