//! Guests in a few lines of WebAssembly text, and what tests do with them.

use std::sync::{Arc, OnceLock};

use pando_abi::{ActorId, Address, Call, EventKind, ExitKind, NodeId, Rights, call::Value};
use pando_actors::{
    Actor, Birth, Capability, Class, Effect, Engine, EngineConfig, Event, Handled, Limits, Module, Verdict,
};

/// An engine without a cache whose guests are never stopped for their time.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        Engine::new(EngineConfig { cache_dir: None, on_epoch: Arc::new(|| Verdict::Continue) }).unwrap()
    })
}

/// A guest with every syscall imported, one page of memory, the inbox at 1024, and this handler.
///
/// Before the handler stand `$len`, `$n` and `$m` (i32), `$x` and `$y` (i64). There are functions `$byte(i)` and `$word(i)` of the
/// body, and `$answer(i64)`, which replies with 8 bytes. `fields` go into the module as they are.
pub fn guest_with(fields: &str, handler: &str) -> String {
    let mut imports = String::new();
    for call in Call::ALL {
        let word = |v: &Value| match v {
            Value::I32 => "i32",
            Value::I64 => "i64",
        };
        let params: Vec<_> = call.params().iter().map(|(_, v)| word(v)).collect();
        let result = call.result().map(|v| format!("(result {})", word(&v))).unwrap_or_default();
        let (name, params) = (call.name(), params.join(" "));
        imports += &format!("(import \"pando_1\" \"{name}\" (func ${name} (param {params}) {result}))\n");
    }
    let memory = if fields.contains("(memory (export") { "" } else { "(memory (export \"memory\") 1)" };
    let inbox = if fields.contains("pando_inbox") {
        ""
    } else {
        "(func $pando_inbox (export \"pando_inbox\") (param i32) (result i32) (i32.const 1024))"
    };
    format!(
        r#"(module
        {imports}
        {memory}
        {inbox}
        {fields}
        (func $body (result i32)
          (i32.and
            (i32.add (i32.const {round}) (i32.mul (i32.const 4) (i32.load16_u (i32.const 1028))))
            (i32.const -8)))
        (func $byte (param $i i32) (result i32) (i32.load8_u (i32.add (call $body) (local.get $i))))
        (func $word (param $i i32) (result i32) (i32.load (i32.add (call $body) (local.get $i))))
        (func $answer (param $v i64)
          (i64.store (i32.const 512) (local.get $v))
          (if (i32.ne (i32.load (i32.const 1056)) (i32.const -1)) (then
            (drop (call $reply (i32.load (i32.const 1056)) (i32.const 0) (i32.const 512) (i32.const 8) (i32.const 0) (i32.const 0))))))
        (func $receive (export "pando_receive") (param $len i32)
          (local $n i32) (local $m i32) (local $x i64) (local $y i64)
          {handler}))"#,
        round = 1024 + 48 + 7,
    )
}

/// The same without further fields.
pub fn guest(handler: &str) -> String {
    guest_with("", handler)
}

/// A module from its text.
pub fn load(wat: &str, class: Class) -> Arc<Module> {
    let wasm = wat::parse_str(wat).unwrap_or_else(|e| panic!("{e}\n{wat}"));
    engine().load(&wasm, class).unwrap()
}

pub const NODE: NodeId = NodeId(7);

/// A plain actor at node 7.
pub fn birth() -> Birth {
    let id = ActorId([1; 16]);
    Birth {
        id,
        home: Address::actor(NODE, id),
        parent: Capability::actor(Address::actor(NODE, ActorId([2; 16])), Rights::CHILD_TO_PARENT),
        realm: Some(Capability::actor(
            Address::service(pando_abi::id::service::REALM),
            Rights::SEND.or(Rights::SPAWN).or(Rights::SHARE),
        )),
        node: NODE,
        replicas: 0,
        undo: true,
    }
}

/// A replica of a group of three.
pub fn replica() -> Birth {
    Birth { home: Address::group(ActorId([1; 16])), node: NodeId::NONE, replicas: 3, ..birth() }
}

/// A plain actor with undo.
pub fn actor(wat: &str) -> Actor {
    Actor::new(&load(wat, Class::Plain), Limits::default(), birth()).unwrap()
}

/// Somebody else.
pub fn peer(n: u8) -> Capability {
    Capability::actor(Address::actor(NodeId(9), ActorId([n; 16])), Rights::PEER)
}

/// The right to answer a call.
pub fn reply_to(token: u64) -> Capability {
    Capability::reply(Address::actor(NodeId(9), ActorId([99; 16])), token)
}

/// A message with a body.
pub fn message(body: &[u8]) -> Event<'_> {
    Event { body, time_ns: 1_000, seed: 42, ..Event::new(EventKind::Message) }
}

/// Handles an event, with the effects by themselves.
pub fn handle(actor: &mut Actor, event: &Event<'_>) -> (Handled, Vec<Effect>) {
    let mut effects = Vec::new();
    let handled = actor.handle(event, &mut effects);
    (handled, effects)
}

/// Sends a body; it must be handled well.
pub fn send(actor: &mut Actor, body: &[u8]) -> Vec<Effect> {
    let (handled, effects) = handle(actor, &message(body));
    assert_eq!((handled.end, handled.refused), (None, None));
    effects
}

/// Calls with a body; the answer's eight bytes.
pub fn call(actor: &mut Actor, body: &[u8]) -> i64 {
    let event = Event { reply: Some(reply_to(5)), ..message(body) };
    let (handled, effects) = handle(actor, &event);
    assert_eq!((handled.end, handled.refused), (None, None));
    answer(&effects)
}

/// The eight bytes of the one answer among effects.
pub fn answer(effects: &[Effect]) -> i64 {
    let mut answers = effects.iter().filter_map(|e| match e {
        Effect::Reply { status: 0, message, .. } => Some(message.body.to_vec()),
        _ => None,
    });
    let body = answers.next().unwrap_or_else(|| panic!("no answer among {effects:?}"));
    assert!(answers.next().is_none(), "more than one answer");
    i64::from_le_bytes(body.try_into().unwrap())
}

/// The message of the fault that this handler makes.
pub fn fault(handler: &str) -> String {
    fault_of(&mut actor(&guest(handler)), &message(b""))
}

/// The message of the fault that this event makes.
pub fn fault_of(actor: &mut Actor, event: &Event<'_>) -> String {
    let (handled, effects) = handle(actor, event);
    let exit = handled.end.expect("no fault");
    assert_eq!(exit.kind, ExitKind::Fault, "{exit}");
    assert!(effects.iter().all(|e| matches!(e, Effect::Log { .. })), "a fault let effects out: {effects:?}");
    exit.message
}
