//! What of this crate reads bytes of members, people and disks, each with valid bytes to start from, for tests that damage them.
//!
//! A row is a name, valid bytes, and a function that reads bytes and says whether they were taken. It panics if a promise is broken:
//! what is taken is written and read again as it was, and a command that a member forged leaves the root group's rules whole.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "for tests, which it tells by a panic that a promise is broken"
)]

use std::sync::{Arc, OnceLock};

use pando_abi::{ActorId, Address, ExitKind, ModuleHash, NodeId, RealmId, SpawnSpec, id::service};
use pando_actors::{Body, Capability, Effect, Event, Exit, Handled, Handles, Message};
use pando_raft::Machine;

use crate::{
    input::{Delivery, Input, Key, Moved, ReplyTo, SpawnOrder, Standing, exit},
    moving::Package,
    outbox::{Outbox, Saying},
    process::{Guest, Identity, Moment, Process},
    replica::{
        Leading, NoModule, Output, Port, Replica,
        entry::{Batch, BatchItem, Birth, ItemOutcome, Outcome, Stamp},
        state::ReplicaRows,
    },
    root::{self, Root, RootCommand, RootOutcome},
    supervise::Supervisor,
    wire::{self, ControlMessage, Envelope, ITEM_BYTES_MAX, MoveStep, WireInput, WireSpawn},
};

/// A name, valid bytes, a reader.
pub type Row = (&'static str, Vec<Vec<u8>>, fn(&[u8]) -> bool);

/// All of them.
pub fn rows() -> Vec<Row> {
    let inputs = inputs();
    let (commands, outcomes, root) = root::samples();
    vec![
        ("envelope", envelopes(&inputs), read_envelope),
        ("control message", controls(), read_control),
        ("a group's birth", vec![wire::encode(&birth())], read_birth),
        ("a group's batch", vec![wire::encode(&batch(&inputs))], read_batch),
        ("outcome of a batch", outcomes_of_batches(), read_outcome),
        ("a replica's snapshot", replicas(&inputs), read_replica),
        ("a moving actor", packages(&inputs), read_package),
        ("root command", commands, read_command),
        ("root outcome", outcomes, read_root_outcome),
        ("root image", vec![root.snapshot()], read_root_image),
    ]
}

fn at(n: u8) -> Address {
    Address::actor(NodeId(u32::from(n)), ActorId([n; 16]))
}

fn peer(n: u8) -> Capability {
    Capability::actor(at(n), pando_abi::Rights::PEER)
}

fn message() -> Message {
    Message { body: Body::from_slice(b"a body of some bytes"), handles: Handles::from_slice(&[peer(3), peer(4)]) }
}

fn standing() -> Standing {
    Standing { index: 7, linear: true, node: 2 }
}

fn inputs() -> Vec<Input> {
    let delivery = Delivery {
        from: at(1),
        grant: 2,
        badge: 3,
        flags: 1,
        reply: Some(ReplyTo { address: at(1), token: 4 }),
        key: Some(Box::new(Key { origin: ActorId([5; 16]), incarnation: 6, seq: 7 })),
        message: message(),
    };
    vec![
        Input::Start { args: Body::from_slice(b"args"), handles: Handles::from_slice(&[peer(3)]), restarted: true },
        Input::Message(Box::new(delivery)),
        Input::Reply { token: 1, status: 2, message: Box::new(message()), standing: standing() },
        Input::Timer { id: 5 },
        Input::Watch { watcher: at(2), id: 3, grant: 0 },
        Input::Link { peer: at(3), grant: 1 },
        Input::Down { target: at(4), exit: exit(ExitKind::Fault, "a reason") },
        Input::Kill { by: at(5), grant: 0 },
        Input::NodeDown { node: 3 },
        Input::NodeDownBut { node: 3, moved: Arc::new(Moved { away: vec![at(3)], here: vec![at(4), at(5)] }) },
        Input::Bounce { status: 1, count: 2 },
        Input::ChildEnded { child: Address::group(ActorId([6; 16])) },
    ]
}

fn order() -> SpawnOrder {
    SpawnOrder {
        child: at(9),
        spec: SpawnSpec { module: [1; 32], ..SpawnSpec::new() },
        args: Body::from_slice(b"args"),
        handles: Handles::from_slice(&[peer(3)]),
        parent: peer(1),
        realm: Some(Capability::actor(Address::service(service::REALM), pando_abi::Rights::SEND)),
    }
}

/// What is taken is written and read again as it was.
macro_rules! again {
    ($ty:ty, $value:expr, $max:expr) => {{
        let bytes = wire::encode($value);
        let read: $ty = wire::decode(&bytes, $max).expect("what was written is read");
        assert_eq!(wire::encode(&read), bytes);
    }};
}

fn opens(input: WireInput) -> bool {
    input.open().is_ok_and(|input| {
        again!(WireInput, &WireInput::from(&input), usize::MAX);
        true
    })
}

fn spawns(order: WireSpawn) -> bool {
    order.open().is_ok_and(|order| {
        again!(WireSpawn, &WireSpawn::from(&order), usize::MAX);
        true
    })
}

fn envelopes(inputs: &[Input]) -> Vec<Vec<u8>> {
    let (from, to) = (at(1).into(), at(2).into());
    let deliver = inputs.iter().map(|input| Envelope::Deliver { from, to, input: input.into() });
    let stamped = Envelope::Stamped { group: [8; 16], seq: 3, index: 9, to, input: (&inputs[1]).into() };
    let spawn = Envelope::Spawn((&order()).into());
    let passed = Envelope::Passed { from, to, input: (&inputs[1]).into() };
    let said = Envelope::PassedStamped { speaker: 1, group: [8; 16], seq: 3, index: 9, to, input: (&inputs[1]).into() };
    let pack = Envelope::Pack { mark: 1, before: 2, address: to, target: 3 };
    let born = Envelope::StampedSpawn { group: [8; 16], seq: 1, index: 9, order: (&order()).into() };
    deliver.chain([stamped, spawn, born, passed, said, pack]).map(|envelope| wire::encode(&envelope)).collect()
}

fn read_envelope(bytes: &[u8]) -> bool {
    let Ok(envelope) = wire::decode::<Envelope>(bytes, ITEM_BYTES_MAX) else { return false };
    match envelope {
        Envelope::Pack { address, .. } => address.open().is_ok(),
        Envelope::Deliver { from, to, input } | Envelope::Passed { from, to, input } => {
            from.open().is_ok() & to.open().is_ok() & opens(input)
        }
        Envelope::Stamped { to, input, .. } | Envelope::PassedStamped { to, input, .. } => {
            to.open().is_ok() & opens(input)
        }
        Envelope::Spawn(order) | Envelope::StampedSpawn { order, .. } => spawns(order),
    }
}

fn controls() -> Vec<Vec<u8>> {
    let hash = [3; 32];
    let all = [
        ControlMessage::Ack { group: [1; 16], to: at(2).into(), seq: 3 },
        ControlMessage::Admin { id: 1, request: pando_admin::Request::Names.encode() },
        ControlMessage::AdminReply { id: 1, reply: pando_admin::Reply::Done.encode() },
        ControlMessage::FetchModule { hash, offset: 4 },
        ControlMessage::ModulePiece { hash, offset: 4, total: 90, bytes: vec![5; 30] },
        ControlMessage::Move {
            mark: 1,
            step: MoveStep::Offer { address: at(2).into(), source: 1, total: 9, before: 0 },
        },
        ControlMessage::Move { mark: 1, step: MoveStep::Piece { offset: 4, bytes: vec![5; 30] } },
        ControlMessage::Move { mark: 1, step: MoveStep::Refused { errno: 3, text: "no".into(), mend: "do".into() } },
        ControlMessage::Ended { address: at(2).into(), exit: (&exit(ExitKind::Fault, "a reason")).into() },
    ];
    all.iter().map(wire::encode).collect()
}

fn read_control(bytes: &[u8]) -> bool {
    let Ok(message) = wire::decode::<ControlMessage>(bytes, usize::MAX) else { return false };
    again!(ControlMessage, &message, usize::MAX);
    true
}

fn birth() -> Birth {
    Birth {
        epoch: 1,
        engine: crate::launch::ENGINE.into(),
        abi: "pando_1".into(),
        order: (&order()).into(),
        module: [1; 32],
    }
}

fn read_birth(bytes: &[u8]) -> bool {
    wire::decode::<Birth>(bytes, usize::MAX).is_ok_and(|birth| spawns(birth.order))
}

fn batch(inputs: &[Input]) -> Batch {
    let item =
        |input: &Input| BatchItem { stamp: Some(Stamp { group: [2; 16], seq: 5, begins: true }), input: input.into() };
    Batch { acks: vec![(at(1).into(), 2), (at(2).into(), 9)], items: inputs.iter().map(item).collect() }
}

fn read_batch(bytes: &[u8]) -> bool {
    let Ok(batch) = wire::decode::<Batch>(bytes, usize::MAX) else { return false };
    let heard = batch.acks.into_iter().all(|(to, _)| to.open().is_ok());
    batch.items.into_iter().fold(heard, |good, item| opens(item.input) && good)
}

fn outcomes_of_batches() -> Vec<Vec<u8>> {
    let dead = Exit::new(ExitKind::Killed, "by hand");
    let items = vec![
        ItemOutcome::Done,
        ItemOutcome::Answered { status: 0, message: (&message()).into(), index: 4 },
        ItemOutcome::Gap { expected: 8 },
        ItemOutcome::Dead((&dead).into()),
    ];
    [Outcome::Items(items), Outcome::Malformed("why".into())].iter().map(wire::encode).collect()
}

fn read_outcome(bytes: &[u8]) -> bool {
    let Ok(outcome) = wire::decode::<Outcome>(bytes, usize::MAX) else { return false };
    again!(Outcome, &outcome, usize::MAX);
    let Outcome::Items(items) = outcome else { return true };
    items.into_iter().all(|item| match item {
        ItemOutcome::Answered { message, .. } => message.open().is_ok(),
        ItemOutcome::Dead(exit) => exit.open().is_ok(),
        _ => true,
    })
}

/// A guest that asks for these effects once.
struct Asks(Vec<Effect>);

impl Guest for Asks {
    fn handle(&mut self, _: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
        effects.append(&mut self.0);
        Handled::default()
    }
    fn query(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
        self.handle(event, effects)
    }
    fn open_replies(&self) -> Vec<Capability> {
        Vec::new()
    }
}

fn replicas(inputs: &[Input]) -> Vec<Vec<u8>> {
    let me = Address::group(ActorId([7; 16]));
    let identity = Identity { me, node: NodeId::NONE, generation: 1, replicated: true, resumes: false };
    let mut process = Process::new(identity);
    let asked = vec![
        Effect::call(at(1), &peer(2), (5, 50, 0), message()),
        Effect::Timer { id: 1, delay_ns: 10 },
        Effect::Monitor { id: 2, target: peer(2) },
        Effect::Link { target: peer(3) },
        Effect::Grant { grant: 9, rights: pando_abi::Rights::PEER, badge: 1 },
    ];
    let moment = Moment { now_ns: 1_000, seed: 7, standing: standing() };
    let (mut guest, mut effects, mut actions) = (Asks(asked), Vec::new(), Vec::new());
    for input in [&inputs[1], &inputs[4]] {
        process.step(&mut guest, input.clone(), moment, &mut effects, &mut actions);
    }
    let mut outbox = Outbox::default();
    outbox.push(at(2), 3, Saying::Deliver(inputs[1].clone()));
    outbox.push(at(9), 4, Saying::Spawn(Box::new(order())));
    let living = ReplicaRows {
        time_ns: 9,
        events: 3,
        proposers: vec![([1; 16], 2, 3, 4, vec![5; 20])],
        heard: vec![([2; 16], 6)],
        outbox: outbox.rows(),
        birth: Some(birth()),
        process: Some(process.rows()),
        supervisor: Some(Supervisor::new(&SpawnSpec::new())),
        generation: 1,
        image: Some(vec![6; 40]),
        ended: None,
    };
    let dead = Exit::new(ExitKind::Killed, "by hand");
    let ended = ReplicaRows { process: None, image: None, ended: Some((&dead).into()), ..living.clone() };
    [living, ended].iter().map(wire::encode).collect()
}

fn packages(inputs: &[Input]) -> Vec<Vec<u8>> {
    let image = pando_actors::decoders::rows(Vec::new()).into_iter().find(|row| row.0 == "image");
    let image =
        image.and_then(|row| row.1.into_iter().last()).and_then(|bytes| pando_actors::Image::from_bytes(&bytes).ok());
    let mut order = order();
    order.spec.module = [0; 32];
    let identity = Identity { me: order.child, node: NodeId(9), generation: 0, replicated: false, resumes: false };
    let mut process = Process::new(identity);
    let asked = vec![
        Effect::Timer { id: 1, delay_ns: 10 },
        Effect::Link { target: peer(3) },
        Effect::call(at(1), &peer(2), (5, 50, 0), message()),
    ];
    let moment = Moment { now_ns: 1_000, seed: 7, standing: standing() };
    let (mut guest, mut effects, mut actions) = (Asks(asked), Vec::new(), Vec::new());
    process.step(&mut guest, inputs[0].clone(), moment, &mut effects, &mut actions);
    let package = Package {
        supervisor: Supervisor::new(&order.spec),
        order,
        process,
        image: image.expect("an image to start from"),
        mailbox: inputs.to_vec(),
        events: 7,
        time_ns: 8,
        heard: vec![(ActorId([2; 16]), 6)],
    };
    vec![package.to_bytes()]
}

fn read_package(bytes: &[u8]) -> bool {
    let Ok(package) = Package::from_bytes(bytes) else { return false };
    let written = package.to_bytes();
    let again = Package::from_bytes(&written).expect("what was written is read");
    assert_eq!(again.to_bytes(), written);
    true
}

/// Nobody has a module.
struct Bare;

impl Port for Bare {
    fn module(&self, _: ModuleHash) -> Result<Arc<pando_actors::Module>, NoModule> {
        Err(NoModule::Unfit("there is none here".into()))
    }
    fn leads(&self, _: ActorId, _: u64, _: Leading) {}
    fn follows(&self, _: ActorId) {}
    fn effects(&self, _: ActorId, _: Output) {}
    fn ended(&self, _: ActorId, _: &Exit) {}
}

fn read_replica(bytes: &[u8]) -> bool {
    let fresh = || Replica::new(ActorId([7; 16]), NodeId(1), Arc::new(Bare));
    let mut replica = fresh();
    match replica.restore(bytes) {
        Ok(()) => {
            let written = replica.snapshot();
            let mut other = fresh();
            other.restore(&written).expect("what was written is read");
            assert_eq!(other.snapshot(), written);
            true
        }
        // One that lives goes on to its module, which nobody has here: everything before that was read.
        Err(why) => why.contains("there is none here"),
    }
}

fn realm() -> &'static Root {
    static REALM: OnceLock<Root> = OnceLock::new();
    REALM.get_or_init(|| root::samples().2)
}

fn read_command(bytes: &[u8]) -> bool {
    let Ok(command) = RootCommand::decode(bytes) else { return false };
    assert_eq!(RootCommand::decode(&command.encode()).as_ref(), Ok(&command));
    let mut root = realm().clone();
    let outcome = root.command(100, command);
    root.check().expect("a command keeps the rules");
    assert!(RootOutcome::decode(&outcome.encode()).is_ok_and(|read| read == outcome));
    true
}

fn read_root_outcome(bytes: &[u8]) -> bool {
    let Ok(outcome) = RootOutcome::decode(bytes) else { return false };
    assert_eq!(RootOutcome::decode(&outcome.encode()).as_ref(), Ok(&outcome));
    true
}

fn read_root_image(bytes: &[u8]) -> bool {
    let realm: RealmId = realm().realm();
    // Bytes between the rows may be anything; the state is the one that its hash says.
    Root::from_snapshot(realm, bytes).is_ok_and(|root| {
        assert!(bytes[16..48] == root.hash());
        assert!(Root::from_snapshot(realm, &root.snapshot()).is_ok_and(|again| again == root));
        true
    })
}
