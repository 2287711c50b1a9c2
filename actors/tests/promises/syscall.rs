//! Each call asks for what it says, and says no as the contract has it.

use pando_abi::{ActorId, Address, Errno, EventKind, Home, NodeId, Rights, SpawnSpec, limits, policy::spawn_flags};
use pando_actors::{Actor, Birth, Capability, Class, Effect, Event, Limits, Spawn, Tally};

use crate::support::*;

#[test]
fn effects_leave_in_the_order_in_which_they_were_asked_for() {
    let wat = guest_with(
        r#"(data (i32.const 100) "body")"#,
        "(drop (call $send (i32.const 1) (i32.const 100) (i32.const 4) (i32.const 0) (i32.const 0)))
         (drop (call $call (i32.const 1) (i32.const 100) (i32.const 2) (i32.const 0) (i32.const 0) (i64.const 77) (i32.const 3)))
         (drop (call $kill (i32.const 0)))
         (drop (call $link (i32.const 0)))
         (drop (call $unlink (i32.const 0)))
         (drop (call $monitor (i32.const 1)))
         (drop (call $demonitor (i64.const 1)))
         (drop (call $demonitor (i64.const 1)))
         (drop (call $timer (i64.const 5)))
         (drop (call $timer (i64.const 0)))
         (drop (call $cancel (i64.const 2)))
         (call $log (i32.const 3) (i32.const 100) (i32.const 4))",
    );
    let effects = send(&mut actor(&wat), b"");
    let (parent, own) = (birth().parent, Capability::actor(birth().home, Rights::ALL));
    let text = |t: &str| pando_actors::Message::bytes(t.as_bytes());
    let expected = vec![
        Effect::send(own.address, &parent, text("body")),
        Effect::call(own.address, &parent, (1, 77, 3), text("bo")),
        Effect::Kill { target: own },
        Effect::Link { target: own },
        Effect::Unlink { target: own },
        Effect::Monitor { id: 1, target: parent },
        Effect::Demonitor { id: 1 },
        Effect::Timer { id: 1, delay_ns: 5 },
        Effect::Timer { id: 2, delay_ns: 0 },
        Effect::Cancel { id: 2 },
        Effect::Log { level: 3, text: "body".into() },
    ];
    assert_eq!(effects, expected);
}

#[test]
fn misuse_of_numbers_and_pointers_is_a_fault_that_says_what_was_wrong() {
    for (handler, said) in [
        (
            "(drop (call $send (i32.const 1) (i32.const 65530) (i32.const 100) (i32.const 0) (i32.const 0)))",
            "`send` was given a body of 100 bytes at 0xfffa, which leaves the memory of 0x10000 bytes",
        ),
        (
            "(drop (call $send (i32.const 1) (i32.const 0) (i32.const 1048577) (i32.const 0) (i32.const 0)))",
            "`send` was given a body of 1048577 bytes; the limit is 1048576",
        ),
        (
            "(drop (call $send (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 17)))",
            "`send` was given 17 handles; the limit is 16",
        ),
        (
            "(drop (call $send (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 65533) (i32.const 1)))",
            "`send` was given handles of 4 bytes at 0xfffd, which leaves the memory of 0x10000 bytes",
        ),
        (
            "(drop (call $call (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 0)))",
            "`call` was given -1 nanoseconds; it takes 0 to 315360000000000000",
        ),
        (
            "(drop (call $call (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 2)))",
            "`call` was given flags 0x2, which are none that it knows",
        ),
        (
            "(drop (call $call (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 4)))",
            "`call` was given flags 0x4, which are none that it knows",
        ),
        ("(drop (call $timer (i64.const -5)))", "`timer` was given -5 nanoseconds; it takes 0 to 315360000000000000"),
        ("(drop (call $cancel (i64.const 1)))", "`cancel` was given the id 1, which this actor was never given"),
        ("(drop (call $demonitor (i64.const 0)))", "`demonitor` was given the id 0, which this actor was never given"),
        (
            "(call $log (i32.const 6) (i32.const 0) (i32.const 0))",
            "`log` was given level 6; levels are 1 (error) to 5 (trace)",
        ),
        (
            "(call $log (i32.const 0) (i32.const 0) (i32.const 0))",
            "`log` was given level 0; levels are 1 (error) to 5 (trace)",
        ),
        (
            "(drop (call $handle_stat (i32.const 0) (i32.const 65513)))",
            "`handle_stat` was given 24 bytes at 0xffe9 to write to, which leaves the memory of 0x10000 bytes",
        ),
        (
            "(drop (call $spawn (i32.const 0) (i32.const 0) (i32.const 71) (i32.const 0) (i32.const 0)))",
            "`spawn` was given a spec of 71 bytes; it has at least 72",
        ),
        (
            "(i32.store8 (i32.const 50) (i32.const 9)) (drop (call $spawn (i32.const 0) (i32.const 0) (i32.const 72) (i32.const 0) (i32.const 0)))",
            "`spawn` was given a spec with a value that the contract does not know",
        ),
    ] {
        let message = fault(handler);
        assert_eq!(message.lines().next(), Some(said));
    }
}

#[test]
fn pointers_are_looked_at_before_handles_and_handles_before_rights() {
    let bad_pointer_and_handle =
        "(drop (call $send (i32.const 50) (i32.const -1) (i32.const 1) (i32.const 0) (i32.const 0)))";
    assert!(fault(bad_pointer_and_handle).contains("leaves the memory"));
    let no_bytes_anywhere =
        "(drop (call $send (i32.const 1) (i32.const -1) (i32.const 0) (i32.const -1) (i32.const 0)))";
    assert_eq!(send(&mut actor(&guest(no_bytes_anywhere)), b"").len(), 1);
}

#[test]
fn time_stands_still_in_a_handler_and_randomness_follows_from_the_seed() {
    let wat = guest("(drop (call $random)) (call $answer (i64.xor (call $random) (call $now)))");
    let event = Event { time_ns: 123, seed: 0, reply: Some(reply_to(1)), ..message(b"") };
    // The second number of SplitMix64 from 0, as its author publishes it.
    let expected = (0x6e78_9e6a_a1b9_65f4_u64 ^ 123) as i64;
    assert_eq!(answer(&handle(&mut actor(&wat), &event).1), expected);
}

#[test]
fn lines_are_cut_and_counted_and_repaired() {
    let wat = guest_with(
        r#"(memory (export "memory") 1) (data (i32.const 100) "a\ffb")"#,
        "(call $log (i32.const 1) (i32.const 100) (i32.const 3))
         (call $log (i32.const 5) (i32.const 4096) (i32.const 60000))
         (loop $l
           (call $log (i32.const 3) (i32.const 0) (i32.const 0))
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $l (i32.lt_u (local.get $n) (i32.const 100))))",
    );
    let effects = send(&mut actor(&wat), b"");
    let lines: Vec<&str> = effects
        .iter()
        .map(|e| match e {
            Effect::Log { text, .. } => text.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lines.len(), limits::LOG_LINES_PER_EVENT_MAX + 1);
    assert_eq!(
        (lines[0], lines[1].len(), lines[64]),
        ("a\u{fffd}b", limits::LOG_LINE_BYTES_MAX, "... and 38 more lines")
    );
}

fn spec(change: impl FnOnce(&mut SpawnSpec)) -> Vec<u8> {
    let mut spec = SpawnSpec::new();
    change(&mut spec);
    [&spec.to_bytes()[..], b"args"].concat()
}

/// Spawns what the body says under handle `authority`, and answers with what `spawn` returned.
fn spawner(authority: u32) -> String {
    guest(&format!(
        "(call $answer (call $spawn (i32.const {authority}) (call $body) (i32.load (i32.const 1060)) (i32.const 0) (i32.const 0)))"
    ))
}

fn spawned(actor: &mut Actor, spec: &[u8]) -> Result<(Effect, i64), i64> {
    let (handled, effects) = handle(actor, &Event { reply: Some(reply_to(1)), ..message(spec) });
    assert_eq!(handled.end, None);
    match answer(&effects) {
        code if code < 0 => {
            assert_eq!(effects.len(), 1, "no effect but the answer");
            Err(code)
        }
        handle => Ok((effects[0].clone(), handle)),
    }
}

#[test]
fn a_child_has_the_authors_module_a_derived_address_and_a_handle_at_once() {
    let module = load(&spawner(0), Class::Plain);
    let mut actor = Actor::new(&module, Limits::default(), birth()).unwrap();
    let (first, handle) = spawned(&mut actor, &spec(|_| {})).unwrap();
    let Effect::Spawn(first) = first else { panic!("{first:?}") };
    let Spawn { child, spec: asked, args, handles, parent, realm } = *first;
    assert_eq!((child.home, child.node), (Home::Node, NODE));
    assert_eq!((asked.module, &args[..], handles.len()), (module.hash().0, &b"args"[..], 0));
    assert_eq!((parent, realm), (Capability::actor(birth().home, Rights::CHILD_TO_PARENT), None));
    assert!(actor.live_capabilities().any(|c| c == Capability::actor(child, Rights::PEER)));
    assert!(handle > 0);

    let mut expected = blake3::Hasher::new();
    expected.update(&birth().id.0).update(&0u64.to_le_bytes()).update(&0u32.to_le_bytes());
    assert_eq!(child.id.0, expected.finalize().as_bytes()[..16]);
    let (second, _) = spawned(&mut actor, &spec(|s| s.node = 3)).unwrap();
    let Effect::Spawn(second) = second else { panic!() };
    let second = second.child;
    assert_eq!((second.home, second.node, second.id == child.id), (Home::Node, NodeId(3), false));
    let (third, _) = spawned(&mut actor, &spec(|s| s.replicas = 5)).unwrap();
    assert!(matches!(third, Effect::Spawn(s) if s.child.home == Home::Group));
}

#[test]
fn a_child_that_names_no_node_is_born_where_its_parent_lives_by_then() {
    let module = load(&spawner(0), Class::Plain);
    for hot in [false, true] {
        let mut actor = Actor::new(&module, Limits::default(), birth()).unwrap();
        if hot {
            spawned(&mut actor, &spec(|_| {})).unwrap();
        }
        actor.settle(NodeId(7)).unwrap();
        let image = actor.image().unwrap();
        for mut actor in [actor, Actor::from_image(&module, &image, Limits::default()).unwrap()] {
            let (effect, _) = spawned(&mut actor, &spec(|_| {})).unwrap();
            let Effect::Spawn(spawn) = effect else { panic!("{effect:?}") };
            let Spawn { child, parent, .. } = *spawn;
            assert_eq!((child.node, parent.address), (NodeId(7), birth().home), "its own address stays");
        }
    }
}

#[test]
fn a_group_that_names_no_node_gets_a_child_like_itself() {
    let module = load(&spawner(0), Class::Replicated);
    let mut actor = Actor::new(&module, Limits::default(), replica()).unwrap();
    let (effect, _) = spawned(&mut actor, &spec(|_| {})).unwrap();
    assert!(matches!(effect, Effect::Spawn(s) if s.child.home == Home::Group && s.spec.replicas == 3), "a group");
    let (effect, _) = spawned(&mut actor, &spec(|s| s.node = 4)).unwrap();
    assert!(
        matches!(effect, Effect::Spawn(s) if s.child.home == Home::Node && s.child.node == NodeId(4) && s.spec.replicas == 0)
    );
}

#[test]
fn spawning_needs_authority() {
    let denied = i64::from(Errno::DENIED.as_return());
    let foreign = spec(|s| s.module = [8; 32]);
    assert_eq!(spawned(&mut actor(&spawner(0)), &foreign), Err(denied), "one's own handle is for one's own module");
    assert!(spawned(&mut actor(&spawner(2)), &foreign).is_ok(), "the realm's is for any");
    assert_eq!(spawned(&mut actor(&spawner(1)), &foreign), Err(denied), "the parent's is for none");
    let module = load(&spawner(2), Class::Plain);
    let mut poor = Actor::new(&module, Limits::default(), Birth { realm: None, ..birth() }).unwrap();
    assert_eq!(spawned(&mut poor, &foreign), Err(denied), "a realm handle that was not granted has no rights");
}

#[test]
fn a_spawner_passes_its_realm_handle_on_if_it_says_so_and_has_it() {
    let grant = spec(|s| s.flags = spawn_flags::GRANT_REALM);
    let (effect, _) = spawned(&mut actor(&spawner(0)), &grant).unwrap();
    assert!(matches!(effect, Effect::Spawn(s) if s.realm == birth().realm && s.realm.is_some()));
    let module = load(&spawner(0), Class::Plain);
    let mut poor = Actor::new(&module, Limits::default(), Birth { realm: None, ..birth() }).unwrap();
    let (effect, _) = spawned(&mut poor, &grant).unwrap();
    assert!(matches!(effect, Effect::Spawn(s) if s.realm.is_none()));
}

#[test]
fn a_spec_over_a_maximum_is_a_limit() {
    let limit = i64::from(Errno::LIMIT.as_return());
    for (n, bad) in [
        spec(|s| s.memory_bytes = limits::MEMORY_BYTES_MAX + 1),
        spec(|s| s.handler_ms = limits::HANDLER_MS_MAX as u16 + 1),
        spec(|s| s.fuel_millions = (limits::HANDLER_FUEL_MAX / 1_000_000) as u32 + 1),
        spec(|s| s.replicas = limits::REPLICAS_MAX as u8 + 1),
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(spawned(&mut actor(&spawner(0)), bad), Err(limit), "case {n}");
    }
}

#[test]
fn an_event_reaches_the_guest_as_the_contract_draws_it() {
    // Sends the whole event as it stands in memory.
    let wat = guest("(drop (call $send (i32.const 1) (i32.const 1024) (local.get $len) (i32.const 0) (i32.const 0)))");
    let module = load(&wat, Class::Replicated);
    let mut actor = Actor::new(&module, Limits::default(), replica()).unwrap();
    let handles = [peer(1), peer(2), peer(3)];
    let event = Event {
        kind: EventKind::Message,
        flags: 0,
        status: 7,
        time_ns: 0x0102,
        token: 0x0304,
        badge: 0x0506,
        seed: 0x0708,
        reply: Some(reply_to(1)),
        tally: Tally::default(),
        handles: &handles,
        body: b"hello",
    };
    let (_, effects) = handle(&mut actor, &event);
    let [Effect::Send { delivery, .. }] = &effects[..] else { panic!("{effects:?}") };
    let message = &delivery.message;
    let header = pando_abi::EventHeader::from_bytes(&message.body).unwrap();
    assert_eq!((header.kind, header.flags, header.handle_count, header.status), (1, 8, 3, 7));
    assert_eq!((header.time_ns, header.token, header.badge, header.seed), (0x0102, 0x0304, 0x0506, 0x0708));
    assert_eq!((header.reply, header.body_len), (3, 5));
    assert_eq!(message.body[48..64], [4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(&message.body[64..], b"hello");
    assert_eq!(Address::group(ActorId([1; 16])), replica().home);
}
