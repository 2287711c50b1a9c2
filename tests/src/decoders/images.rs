//! Images go further than their bytes: what is taken as one lives on as an actor.

use std::sync::{Arc, OnceLock};

use pando_abi::{ActorId, Address, EventKind, NodeId, Rights};
use pando_actors::{
    Actor, Birth, Capability, Class, Engine, EngineConfig, Event, Image, Limits, Module, Tally, Verdict,
};

use crate::guests::{self, order, verb};

/// So much that an order is carried out, and no more.
const LIMITS: Limits = Limits { memory_bytes: 1 << 20, handler_ms: 1_000, fuel: 200_000 };

fn module() -> &'static Arc<Module> {
    static MODULE: OnceLock<(Engine, Arc<Module>)> = OnceLock::new();
    let (_, module) = MODULE.get_or_init(|| {
        let config = EngineConfig { cache_dir: None, on_epoch: Arc::new(|| Verdict::Continue) };
        let engine = Engine::new(config).expect("an engine");
        let module = engine.load(&guests::wasm("sentinel"), Class::Replicated).expect("a module");
        (engine, module)
    });
    module
}

fn birth() -> Birth {
    let peer = |n: u8| Capability::actor(Address::actor(NodeId(2), ActorId([n; 16])), Rights::PEER);
    Birth {
        id: ActorId([1; 16]),
        home: Address::group(ActorId([1; 16])),
        parent: peer(2),
        realm: Some(peer(3)),
        node: NodeId::NONE,
        replicas: 3,
        undo: true,
    }
}

fn tell(actor: &mut Actor, body: &[u8], handles: &[Capability]) -> bool {
    let tally = Tally { children: 3, links: 2 };
    let reply = Some(Capability::reply(Address::service(pando_abi::id::service::CONSOLE), 1));
    let event = Event { body, handles, reply, time_ns: 5, seed: 6, tally, ..Event::new(EventKind::Message) };
    actor.handle(&event, &mut Vec::new()).end.is_none()
}

/// Images of actors that have seen something.
pub(super) fn samples() -> Vec<Vec<u8>> {
    let handles = [birth().parent];
    let mut actor = Actor::new(module(), LIMITS, birth()).expect("an actor");
    assert!(tell(&mut actor, &order(verb::REPORT, 0, 0, &[]), &[]), "a guest that cannot even report");
    let mut images = vec![actor.image().expect("an image").to_bytes()];
    for (verb, a) in [(verb::MONITOR, 0), (verb::LINK, 0), (verb::TIMER, 50), (verb::BEAR, 0)] {
        tell(&mut actor, &order(verb, a, 0, &[]), &handles);
        images.push(actor.image().expect("an image").to_bytes());
    }
    images
}

/// Reads an image, and lets whoever comes out of it live for two events and rest again.
pub(super) fn read(bytes: &[u8]) -> bool {
    // Of this module's actors, whatever the bytes say: the module is looked up by that, and another would not be found.
    let mut bytes = bytes.to_vec();
    if let Some(hash) = bytes.get_mut(16..48) {
        hash.copy_from_slice(&module().hash().0);
    }
    let Ok(image) = Image::from_bytes(&bytes) else { return false };
    let Ok(mut actor) = Actor::from_image(module(), &image, LIMITS) else { return false };
    tell(&mut actor, &order(verb::BEAR, 0, 7, &[]), &[birth().parent]);
    tell(&mut actor, &order(verb::REPORT, 0, 0, &[]), &[]);
    let root = actor.root();
    if let Ok(image) = actor.image() {
        let mut again = Actor::from_image(module(), &image, LIMITS).expect("what rests wakes again");
        assert_eq!(again.root(), root);
    }
    true
}
