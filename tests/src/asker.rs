//! Somebody who asks a realm, in tests' words.
//!
//! Owns: the way from a line like `hits add 5` to an answer. Does not know: where nodes are or how they fare.
//!
//! 1. What is asked plainly must be answered, or the test ends with the refusal; `try_` hands it over instead.

use std::time::Duration;

use pando_abi::{Errno, NodeId, Priority, Restart, call::call_flags};
use pando_admin::{
    ActorRow, CallFate, Carried, Client, ClientError, Level, LogLine, NameRow, NodeRow, Reply, Request, SequenceKey,
    SpawnRequest, TopRow,
};
use pando_interface::{Interface, Type, decode, encode_call, encode_start, human, json};
use serde_json::Value as Json;
use tokio::task::JoinHandle;

use crate::{guests, until};

/// How long anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which error.
    pub errno: Errno,
    /// In words.
    pub text: String,
    /// What to do about it.
    pub mend: String,
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Trouble {
        Trouble { errno: error.errno(), text: error.to_string(), mend: error.mend() }
    }
}

/// An answer to a call.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The bytes.
    pub body: Vec<u8>,
    /// The value, if the bytes are CBOR.
    pub value: Json,
    /// How final it is.
    pub level: Level,
    /// The index in the group's log that it stands on.
    pub index: u64,
    /// The node, or the group's leader.
    pub node: u32,
    /// Addresses of the actors in it.
    pub handles: Vec<String>,
}

impl Answer {
    /// The value as a number.
    pub fn number(&self) -> i64 {
        self.value.as_i64().unwrap_or_else(|| panic!("{} is not a number", self.value))
    }
}

/// How an actor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `killed`, `node-down` ...
    pub kind: String,
    /// What it gave to `exit`.
    pub code: i32,
    /// The reason.
    pub message: String,
}

/// What to spawn.
#[derive(Clone, Debug)]
pub struct Spawn {
    label: String,
    wasm: Vec<u8>,
    request: SpawnRequest,
    words: Vec<String>,
}

impl Spawn {
    /// A guest of [`guests`].
    pub fn guest(label: &str) -> Spawn {
        Spawn::wasm(label, guests::wasm(label))
    }

    /// A program that is bundled with `pando`.
    pub fn bundled(label: &str) -> Spawn {
        let program = pando_bundle::programs().iter().find(|p| p.name == label);
        Spawn::wasm(label, program.unwrap_or_else(|| panic!("no program `{label}` is bundled")).wasm.to_vec())
    }

    /// Any module.
    pub fn wasm(label: &str, wasm: Vec<u8>) -> Spawn {
        let request = SpawnRequest {
            module: [0; 32],
            name: None,
            node: None,
            replicas: 0,
            restart: Restart::Never as u8,
            priority: Priority::Normal as u8,
            memory_bytes: 0,
            handler_ms: 0,
            args: Vec::new(),
            realm: true,
            key: SequenceKey::default(),
        };
        Spawn { label: label.to_owned(), wasm, request, words: Vec::new() }
    }

    /// Under this name.
    pub fn name(mut self, name: &str) -> Spawn {
        self.request.name = Some(name.to_owned());
        self
    }
    /// On this node.
    pub fn on(mut self, node: u32) -> Spawn {
        self.request.node = Some(node);
        self
    }
    /// As a group of so many.
    pub fn replicas(mut self, replicas: u8) -> Spawn {
        self.request.replicas = replicas;
        self
    }
    /// Started again so.
    pub fn restart(mut self, restart: Restart) -> Spawn {
        self.request.restart = restart as u8;
        self
    }
    /// With so many milliseconds for one handler.
    pub fn cpu_ms(mut self, ms: u16) -> Spawn {
        self.request.handler_ms = ms;
        self
    }
    /// With so many bytes of memory.
    pub fn memory(mut self, bytes: u64) -> Spawn {
        self.request.memory_bytes = bytes;
        self
    }
    /// With these arguments, as a person writes them.
    pub fn with(mut self, words: &str) -> Spawn {
        self.words = words.split_whitespace().map(str::to_owned).collect();
        self
    }
    /// With these bytes as arguments.
    pub fn args(mut self, bytes: Vec<u8>) -> Spawn {
        self.request.args = bytes;
        self
    }
}

/// Somebody who asks. Clones share the session.
#[derive(Clone)]
pub struct Asker {
    client: Client,
}

impl Asker {
    /// Asks through this client.
    pub fn new(client: Client) -> Asker {
        Asker { client }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Any request, by any node.
    pub async fn ask(&self, request: Request) -> Result<Reply, Trouble> {
        Ok(self.client.ask(request, PATIENCE).await?)
    }

    /// Any request, by this node.
    pub async fn ask_node(&self, node: u32, request: Request) -> Result<Reply, Trouble> {
        Ok(self.client.ask_node(NodeId(node), request, PATIENCE).await?)
    }

    async fn done(&self, request: Request) {
        match self.ask(request.clone()).await {
            Ok(Reply::Done) => {}
            other => panic!("{request:?}: {other:?}"),
        }
    }

    /// Puts a module in the realm.
    pub async fn put(&self, label: &str, wasm: Vec<u8>) -> Result<[u8; 32], Trouble> {
        match self.ask(Request::PutModule { label: label.to_owned(), wasm }).await? {
            Reply::Module { hash, .. } => Ok(hash),
            other => panic!("put {label}: {other:?}"),
        }
    }

    /// Spawns.
    pub async fn spawn(&self, spawn: Spawn) -> ActorRow {
        let label = spawn.label.clone();
        self.try_spawn(spawn).await.unwrap_or_else(|e| panic!("spawn {label}: {e:?}"))
    }

    /// Spawns, or hands over why not.
    pub async fn try_spawn(&self, spawn: Spawn) -> Result<ActorRow, Trouble> {
        let Spawn { label, wasm, mut request, words } = spawn;
        if !words.is_empty() {
            let interface = pando_interface_of(&wasm);
            let encoded = encode_start(interface.as_ref(), &label, &words).expect("arguments that fit");
            request.args = encoded.body;
        }
        request.module = self.put(&label, wasm).await?;
        request.key = self.client.next_key();
        match self.ask(Request::Spawn(request)).await? {
            Reply::Spawned(row) => Ok(row),
            other => panic!("spawn {label}: {other:?}"),
        }
    }

    /// `hits add 5`: typed by the target's interface, as a shell does it.
    pub async fn call(&self, line: &str) -> Answer {
        self.try_call(line).await.unwrap_or_else(|e| panic!("call {line}: {e:?}"))
    }

    /// The same, or why not.
    pub async fn try_call(&self, line: &str) -> Result<Answer, Trouble> {
        let mut words = line.split_whitespace();
        let (target, method) = (words.next().expect("a target"), words.next().expect("a method"));
        let words: Vec<&str> = words.collect();
        let text = match self.ask(Request::Interface { target: target.to_owned() }).await? {
            Reply::Interface { text, .. } => text,
            other => panic!("interface of {target}: {other:?}"),
        };
        let interface = (!text.trim().is_empty()).then(|| Interface::parse(&text).expect("an interface that is one"));
        let encoded = encode_call(interface.as_ref(), target, method, &words).map_err(|e| Trouble {
            errno: Errno::BAD_REQUEST,
            text: e.to_string(),
            mend: e.mend(),
        })?;
        let flags = if encoded.query { call_flags::QUERY } else { 0 };
        let mut answer = self.message(target, encoded.body, encoded.handles, flags).await?;
        if let Ok(value) = decode(&answer.body) {
            answer.value = json(interface.as_ref(), &encoded.result, &value, &answer.handles);
        }
        Ok(answer)
    }

    /// A message of bytes to one of [`guests`].
    pub async fn order(&self, target: &str, order: Vec<u8>, handles: &[&str]) -> Answer {
        self.try_order(target, order, handles).await.unwrap_or_else(|e| panic!("to {target}: {e:?}"))
    }

    /// The same, or why not.
    pub async fn try_order(&self, target: &str, order: Vec<u8>, handles: &[&str]) -> Result<Answer, Trouble> {
        self.message(target, order, handles.iter().map(|h| (*h).to_owned()).collect(), 0).await
    }

    /// A query of bytes.
    pub async fn query(&self, target: &str, order: Vec<u8>) -> Answer {
        self.message(target, order, Vec::new(), call_flags::QUERY)
            .await
            .unwrap_or_else(|e| panic!("to {target}: {e:?}"))
    }

    async fn message(&self, target: &str, body: Vec<u8>, handles: Vec<String>, flags: i32) -> Result<Answer, Trouble> {
        let key = self.client.next_key();
        self.keyed(target, body, handles, flags, key, PATIENCE).await
    }

    /// A call under a key of one's own.
    pub async fn keyed(
        &self,
        target: &str,
        body: Vec<u8>,
        handles: Vec<String>,
        flags: i32,
        key: SequenceKey,
        patience: Duration,
    ) -> Result<Answer, Trouble> {
        let deadline_ms = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        let request = Request::Call { target: target.to_owned(), body, handles, flags: flags as u32, deadline_ms, key };
        match self.client.ask(request, patience).await? {
            Reply::Answer { status: 0, body, level, index, node, handles } => {
                let value = decode(&body).map_or(Json::Null, |value| json(None, &Type::Any, &value, &handles));
                Ok(Answer { body, value, level, index, node, handles })
            }
            Reply::Answer { status, body, .. } => {
                let errno = Errno::from_code(status).unwrap_or(Errno::INTERNAL);
                let text = decode(&body).map_or(String::new(), |value| human(None, &Type::Any, &value, &[]));
                Err(Trouble { errno, text, mend: String::new() })
            }
            other => panic!("call {target}: {other:?}"),
        }
    }

    /// Sends and does not wait for an answer.
    pub async fn send(&self, target: &str, body: Vec<u8>) {
        let key = self.client.next_key();
        self.done(Request::Send { target: target.to_owned(), body, handles: Vec::new(), key }).await;
    }

    /// Gives an actor or group other code, or hands over why not.
    pub async fn try_upgrade(&self, target: &str, label: &str, wasm: Vec<u8>) -> Result<(Carried, u64), Trouble> {
        let module = self.put(label, wasm).await?;
        match self.ask(Request::Upgrade { target: target.to_owned(), module }).await? {
            Reply::Upgraded { carried, index, .. } => Ok((carried, index)),
            other => panic!("upgrade {target}: {other:?}"),
        }
    }

    /// What became of a call with this key.
    pub async fn outcome(&self, target: &str, key: SequenceKey) -> Result<CallFate, Trouble> {
        match self.ask(Request::Outcome { target: target.to_owned(), key }).await? {
            Reply::Outcome { fate, .. } => Ok(fate),
            other => panic!("outcome {target}: {other:?}"),
        }
    }

    /// Ends an actor or a group.
    pub async fn kill(&self, target: &str) {
        self.done(Request::Kill { target: target.to_owned() }).await;
    }

    /// Ties two lives together, and waits until both know.
    pub async fn link(&self, a: &str, b: &str) {
        let before = (self.count(a, "links").await, self.count(b, "links").await);
        self.done(Request::Link { a: a.to_owned(), b: b.to_owned(), unlink: false }).await;
        until(&format!("{a} and {b} know of their link"), PATIENCE, async || {
            let now = (self.count(a, "links").await, self.count(b, "links").await);
            (now.0 > before.0 && now.1 > before.1).then_some(())
        })
        .await;
    }

    /// Watches a target; when this returns, it is watched.
    pub async fn watch(&self, target: &str) -> JoinHandle<Ended> {
        let before = self.count(target, "watched by").await;
        let request = Request::Watch { target: target.to_owned() };
        let mut replies = self.client.follow(None, request).await.expect("a node takes the request");
        let located = replies.next().await;
        assert!(matches!(located, Ok(Some(Reply::Located { .. }))), "a watch begins with {located:?}");
        let watching = tokio::spawn(async move {
            match replies.next().await {
                Ok(Some(Reply::Down { kind, code, message, .. })) => Ended { kind, code, message },
                other => panic!("a watch ended with {other:?}"),
            }
        });
        until(&format!("{target} is watched"), PATIENCE, async || {
            (watching.is_finished() || self.count(target, "watched by").await > before).then_some(())
        })
        .await;
        watching
    }

    /// A number of `inspect`; 0 if there is none.
    pub async fn count(&self, target: &str, title: &str) -> u64 {
        self.line(target, title).await.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// A line of `inspect`.
    pub async fn line(&self, target: &str, title: &str) -> Option<String> {
        let lines = self.inspect(None, target).await.ok()?;
        lines.into_iter().find(|(t, _)| t == title).map(|(_, text)| text)
    }

    /// All that is known about a target: by this node, or any.
    pub async fn inspect(&self, node: Option<u32>, target: &str) -> Result<Vec<(String, String)>, Trouble> {
        let request = Request::Inspect { target: target.to_owned() };
        let reply = match node {
            Some(node) => self.ask_node(node, request).await?,
            None => self.ask(request).await?,
        };
        match reply {
            Reply::Details(lines) => Ok(lines),
            other => panic!("inspect {target}: {other:?}"),
        }
    }

    /// Do these nodes say that their replicas have the same history? None of them may hold one that is fenced.
    ///
    /// # Panics
    /// If one is.
    pub async fn agrees(&self, name: &str, nodes: &[u32]) -> bool {
        let mut seen = Vec::new();
        for node in nodes {
            let Ok(lines) = self.inspect(Some(*node), name).await else { return false };
            let line = |title: &str| lines.iter().find(|(t, _)| t == title).map(|(_, text)| text.clone());
            assert_eq!(line("fenced"), None, "n{node} holds a replica for wrong");
            let (Some(log), Some(chain)) = (line("log"), line("chain")) else { return false };
            seen.push((log, chain));
        }
        seen.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// Actors and groups.
    pub async fn ps(&self) -> Vec<ActorRow> {
        match self.ask(Request::Ps { node: None }).await {
            Ok(Reply::Actors { rows, .. }) => rows,
            other => panic!("ps: {other:?}"),
        }
    }

    /// The row of one name.
    pub async fn row(&self, name: &str) -> Option<ActorRow> {
        self.ps().await.into_iter().find(|row| row.name == name)
    }

    /// Who leads a group, as soon as somebody does.
    pub async fn leader(&self, name: &str) -> u32 {
        until(&format!("{name} has a leader"), PATIENCE, async || {
            self.row(name).await.map(|row| row.node).filter(|node| *node != 0)
        })
        .await
    }

    /// Names in the realm.
    pub async fn names(&self) -> Vec<NameRow> {
        match self.ask(Request::Names).await {
            Ok(Reply::Names(rows)) => rows,
            other => panic!("names: {other:?}"),
        }
    }

    /// Nodes of the realm.
    pub async fn nodes(&self) -> Vec<NodeRow> {
        match self.ask(Request::Nodes).await {
            Ok(Reply::Nodes(rows)) => rows,
            other => panic!("nodes: {other:?}"),
        }
    }

    /// Counters of the nodes.
    pub async fn top(&self) -> Vec<TopRow> {
        match self.ask(Request::Top).await {
            Ok(Reply::Top(rows)) => rows,
            other => panic!("top: {other:?}"),
        }
    }

    /// The latest lines of logs.
    pub async fn log(&self, target: Option<&str>, tail: u32) -> Vec<LogLine> {
        let request = Request::Log { target: target.map(str::to_owned), tail, follow: false };
        match self.ask(request).await {
            Ok(Reply::Log(lines)) => lines,
            other => panic!("log: {other:?}"),
        }
    }
}

/// The interface that a module carries.
fn pando_interface_of(wasm: &[u8]) -> Option<Interface> {
    guests::interface(wasm).map(|text| Interface::parse(&text).expect("an interface that is one"))
}
