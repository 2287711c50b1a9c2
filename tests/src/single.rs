//! A place that is real: one whole node in this process, asked as a shell asks it.
//!
//! 1. Nothing is known of an actor but what the admin interface tells.

use std::time::{Duration, Instant};

use pando_abi::{Errno, ExitKind, call::call_flags};
use pando_admin::{ClientError, Reply, Request};
use tokio::{runtime::Runtime, task::JoinHandle, time::timeout};

use crate::{
    Asker, Ended, Inside, Spawn,
    guest::{Case, Guest},
    place::{Answer, End, Place},
};

/// For an answer or an end that is promised, with every core busy elsewhere.
const PATIENCE: Duration = Duration::from_secs(30);
/// For a log line, which nobody is promised in time.
const LINE: Duration = Duration::from_secs(10);

/// The place. Its node stops when it goes.
pub struct Single {
    runtime: Runtime,
    inside: Option<Inside>,
    asker: Asker,
    /// The actor under test: its id, or how it was refused.
    subject: Result<String, End>,
    watch: Option<JoinHandle<Ended>>,
    end: Option<End>,
}

impl Single {
    /// Founds a realm of one node and waits until it answers.
    ///
    /// # Panics
    /// If it does not.
    pub fn start() -> Single {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let inside = runtime.block_on(Inside::start(1, 2));
        let asker = runtime.block_on(async { inside.asker() });
        let subject = Err(End { kind: ExitKind::NoActor, code: 0, message: String::new() });
        Single { runtime, inside: Some(inside), asker, subject, watch: None, end: None }
    }

    fn ask(&self, request: Request) -> Result<Reply, ClientError> {
        self.runtime.block_on(self.asker.client().ask(request, PATIENCE))
    }

    /// What the node said last, for a case that failed.
    fn clue(&self) -> String {
        let Ok(Reply::Log(lines)) = self.ask(Request::Log { target: None, tail: 5, follow: false }) else {
            return String::new();
        };
        lines.iter().map(|l| format!("\n    {}: {}", l.source, l.text)).collect()
    }

    fn clear(&mut self) {
        if let Ok(target) = &self.subject {
            // It may have ended by itself.
            let _ = self.ask(Request::Kill { target: target.clone() });
        }
        if let Some(watch) = self.watch.take() {
            watch.abort();
        }
        self.end = None;
    }
}

fn end_of(ended: Ended) -> End {
    let kind = ExitKind::ALL.into_iter().find(|k| k.name() == ended.kind).unwrap_or(ExitKind::NoActor);
    End { kind, code: ended.code, message: ended.message }
}

impl Place for Single {
    fn spawn(&mut self, guest: &Guest, case: &Case, start: &[u8]) {
        self.clear();
        let spawn = Spawn::wasm(&guest.name, guest.wasm.clone()).restart(case.how.restart).args(start.to_vec());
        let spawn = if case.how.group { spawn.replicas(1) } else { spawn };
        let asker = self.asker.clone();
        match self.runtime.block_on(asker.try_spawn(spawn)) {
            Ok(row) => {
                self.watch = Some(self.runtime.block_on(self.asker.watch(&row.id)));
                self.subject = Ok(row.id);
            }
            // What cannot be started has ended before it lived.
            Err(trouble) => {
                self.subject = Err(End { kind: ExitKind::BadModule, code: 0, message: trouble.text });
            }
        }
    }

    fn call(&mut self, body: &[u8], query: bool) -> Result<Answer, String> {
        let Ok(target) = self.subject.clone() else {
            return Ok(Answer { status: Errno::DEAD.code(), body: Vec::new() });
        };
        let request = Request::Call {
            target,
            body: body.to_vec(),
            handles: Vec::new(),
            flags: if query { call_flags::QUERY as u32 } else { 0 },
            deadline_ms: PATIENCE.as_millis() as u32,
            key: self.asker.client().next_key(),
        };
        match self.ask(request) {
            Ok(Reply::Answer { status, body, .. }) => Ok(Answer { status, body }),
            // The node itself says so of what it knows to have ended.
            Err(ClientError::Refused { errno, .. }) => Ok(Answer { status: errno, body: Vec::new() }),
            other => Err(format!("{other:?}{}", self.clue())),
        }
    }

    fn end(&mut self) -> Result<End, String> {
        if let Err(end) = &self.subject {
            return Ok(end.clone());
        }
        if let (None, Some(watch)) = (&self.end, self.watch.take()) {
            let ended = self.runtime.block_on(async { timeout(PATIENCE, watch).await });
            let ended = ended.map_err(|_| "it does not end")?.map_err(|e| format!("the watch: {e}"))?;
            self.end = Some(end_of(ended));
        }
        self.end.clone().ok_or_else(|| "nobody watches it".to_owned())
    }

    fn has_ended(&mut self) -> bool {
        match &self.subject {
            Ok(target) => {
                matches!(self.ask(Request::Inspect { target: target.clone() }), Err(ClientError::Refused { .. }))
            }
            Err(_) => true,
        }
    }

    fn logged(&mut self, line: &str) -> bool {
        let began = Instant::now();
        loop {
            let lines = self.ask(Request::Log { target: None, tail: 200, follow: false });
            if matches!(&lines, Ok(Reply::Log(lines)) if lines.iter().any(|l| l.text == line)) {
                return true;
            }
            if began.elapsed() > LINE {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        self.clear();
        if let Some(inside) = self.inside.take() {
            self.runtime.block_on(inside.stop());
        }
    }
}
