//! Authority is a handle: held, shrinking, moved or copied as the contract says.

use pando_abi::{ActorId, Address, Errno, Rights, handle::HandleStat, limits};
use pando_actors::{CapKind, Capability, Effect, Event, ReplyTo};

use crate::support::*;

#[test]
fn a_handle_that_is_not_held_is_a_fault_that_names_it() {
    for (handler, named) in [
        ("(drop (call $kill (i32.const 3)))", "`kill` was given handle 3, which the actor does not hold"),
        (
            "(drop (call $kill (i32.const -1)))",
            "`kill` was given no handle (4294967295), which the actor does not hold",
        ),
        ("(drop (call $kill (i32.const 0x100001)))", "`kill` was given handle 1.1, which the actor does not hold"),
        (
            "(drop (call $handle_drop (i32.const 1))) (drop (call $handle_stat (i32.const 1) (i32.const 0)))",
            "`handle_stat` was given handle 1, which the actor does not hold",
        ),
        ("(drop (call $handle_drop (i32.const 0)))", "`handle_drop` was given handle 0, the actor itself"),
        (
            "(drop (call $handle_copy (i32.const 1) (i32.const -1) (i64.const 5)))",
            "`handle_copy` was given a badge for handle 1; only copies of handle 0 get one",
        ),
        (
            "(drop (call $reply (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))",
            "`reply` was given handle 1, which is not a reply handle",
        ),
    ] {
        let message = fault(handler);
        assert_eq!(message.lines().next(), Some(named));
    }
}

#[test]
fn reply_handles_work_once_and_there_is_only_one_of_each() {
    let reply = "(call $reply (i32.load (i32.const 1056)) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))";
    let two =
        "(i32.store (i32.const 64) (i32.load (i32.const 1056))) (i32.store (i32.const 68) (i32.load (i32.const 1056)))";
    for (handler, said) in [
        (format!("(drop {reply}) (drop {reply})"), "`reply` was given handle 3, which the actor does not hold"),
        (
            "(drop (call $handle_copy (i32.load (i32.const 1056)) (i32.const -1) (i64.const 0)))".into(),
            "`handle_copy` was given the reply handle 3; there is only one of it",
        ),
        (
            format!("{two} (drop (call $send (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 2)))"),
            "`send` was given the reply handle 3 twice",
        ),
        (
            format!("{two} (drop (call $reply (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 1)))"),
            "`reply` was given its own reply handle 3 to pass on",
        ),
        (
            "(drop (call $reply (i32.const 3) (i32.const 999) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))".into(),
            "`reply` was given status 999, which is neither 0 nor in the errno table",
        ),
    ] {
        let event = Event { reply: Some(reply_to(1)), ..message(b"") };
        let message = fault_of(&mut actor(&guest(&handler)), &event);
        assert_eq!(message.lines().next(), Some(said));
    }
}

#[test]
fn a_reply_handle_that_is_passed_on_moves_and_one_that_is_dropped_answers() {
    let pass = "(i32.store (i32.const 64) (i32.load (i32.const 1056)))
        (drop (call $send (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 1)))";
    let mut mover = actor(&guest(pass));
    let (_, effects) = handle(&mut mover, &Event { reply: Some(reply_to(4)), ..message(b"") });
    let [Effect::Send { delivery, .. }] = &effects[..] else { panic!("{effects:?}") };
    let sent = &delivery.message;
    assert_eq!(&sent.handles[..], &[reply_to(4)]);
    assert_eq!(mover.handles_len(), 3, "it is gone from the table");

    let mut dropper = actor(&guest("(drop (call $handle_drop (i32.load (i32.const 1056))))"));
    let (_, effects) = handle(&mut dropper, &Event { reply: Some(reply_to(4)), ..message(b"") });
    assert!(
        matches!(&effects[..], [Effect::Reply { to, status, .. }] if *to == ReplyTo::of(&reply_to(4)) && *status == Errno::NO_REPLY.code())
    );
}

#[test]
fn handles_that_come_with_a_message_are_held_with_their_rights_and_badge() {
    let handler = "(drop (call $handle_stat (i32.load (i32.const 1072)) (i32.const 64)))
        (drop (call $send (i32.load (i32.const 1072)) (i32.const 64) (i32.const 24) (i32.const 1072) (i32.const 2)))";
    let guest = guest(handler);
    let badged = Capability { badge: 0xbad9e, grant: 5, ..peer(3).masked(Rights::SEND.or(Rights::SHARE)) };
    let handles = [badged, peer(4)];
    let (handled, effects) = handle(&mut actor(&guest), &Event { handles: &handles, ..message(b"") });
    assert_eq!(handled.end, None);
    let [Effect::Send { to, delivery }] = &effects[..] else { panic!("{effects:?}") };
    let sent = &delivery.message;
    assert_eq!((*to, delivery.grant, delivery.badge), (badged.address, badged.grant, badged.badge));
    assert_eq!(&sent.handles[..], &handles[..]);
    let stat = HandleStat { kind: 0, rights: 17, badge: 0xbad9e, node: 9, reserved: 0 };
    assert_eq!(&sent.body[..], &stat.to_bytes());
}

#[test]
fn one_handle_reaches_another_actor_only_with_the_right_for_it() {
    let denied = i64::from(Errno::DENIED.as_return());
    for (what, right) in [
        (
            "(i64.extend_i32_s (call $send (i32.load (i32.const 1072)) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))",
            Rights::SEND,
        ),
        (
            "(call $call (i32.load (i32.const 1072)) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0))",
            Rights::SEND,
        ),
        ("(i64.extend_i32_s (call $kill (i32.load (i32.const 1072))))", Rights::KILL),
        ("(i64.extend_i32_s (call $link (i32.load (i32.const 1072))))", Rights::LINK),
        ("(i64.extend_i32_s (call $unlink (i32.load (i32.const 1072))))", Rights::LINK),
        ("(call $monitor (i32.load (i32.const 1072)))", Rights::MONITOR),
        ("(call $handle_copy (i32.load (i32.const 1072)) (i32.const -1) (i64.const 0))", Rights::SHARE),
        (
            "(i64.extend_i32_s (call $send (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 1072) (i32.const 1)))",
            Rights::SHARE,
        ),
        (
            "(i64.extend_i32_s (call $send (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1072) (i32.const 1)))",
            Rights::SHARE,
        ),
    ] {
        for has in [true, false] {
            let rights = if has { right } else { Rights(Rights::PEER.0 & !right.0) };
            let handles = [Capability { rights, ..peer(3) }];
            let mut actor = actor(&guest(&format!("(call $answer {what})")));
            let event = Event { handles: &handles, reply: Some(reply_to(1)), ..message(b"") };
            let (handled, effects) = handle(&mut actor, &event);
            assert_eq!(handled.end, None);
            assert_eq!(answer(&effects) >= 0, has, "{what} with {rights}");
            if !has {
                assert_eq!((answer(&effects), effects.len()), (denied, 1), "{what}");
            }
        }
    }
}

#[test]
fn a_copy_has_fewer_rights_and_one_of_oneself_a_grant_and_a_badge() {
    let handler = "
        (i32.store (i32.const 64) (i32.wrap_i64 (call $handle_copy (i32.const 0) (i32.const 0x7fffffff) (i64.const 123))))
        (i32.store (i32.const 68) (i32.wrap_i64 (call $handle_copy (i32.load (i32.const 64)) (i32.const 0x11) (i64.const 0))))
        (i32.store (i32.const 72) (i32.const 0))
        (drop (call $send (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 3)))
        (drop (call $handle_revoke (i32.load (i32.const 68))))
        (drop (call $handle_revoke (i32.load (i32.const 64))))";
    let effects = send(&mut actor(&guest(handler)), b"");
    let [Effect::Grant { grant, rights, badge }, Effect::Send { delivery, .. }, Effect::Revoke { grant: revoked }] =
        &effects[..]
    else {
        panic!("{effects:?}")
    };
    let message = &delivery.message;
    assert_eq!((*rights, *badge, revoked), (Rights::PEER, 123, grant), "revoking twice asks once");
    let home = birth().home;
    let minted =
        Capability { kind: CapKind::Actor, address: home, rights: Rights::PEER, grant: *grant, badge: 123, token: 0 };
    assert_eq!(message.handles[0], minted);
    assert_eq!(message.handles[1], Capability { rights: Rights::SEND.or(Rights::SHARE), ..minted });
    assert_eq!(message.handles[2], Capability::actor(home, Rights::PEER), "oneself leaves without spawn and grant");
}

#[test]
fn grants_of_different_lives_differ() {
    let wat = guest("(drop (call $handle_copy (i32.const 0) (i32.const -1) (i64.const 1)))");
    let module = load(&wat, pando_actors::Class::Plain);
    let grant = |life: u8| {
        let birth = pando_actors::Birth { id: ActorId([life; 16]), ..birth() };
        let mut actor = pando_actors::Actor::new(&module, Default::default(), birth).unwrap();
        match &send(&mut actor, b"")[..] {
            [Effect::Grant { grant, .. }] => *grant,
            other => panic!("{other:?}"),
        }
    };
    assert_ne!(grant(1), grant(2));
    assert_eq!(grant(1), grant(1));
}

#[test]
fn only_the_minter_may_revoke() {
    let denied = i64::from(Errno::DENIED.as_return());
    let wat = guest("(call $answer (i64.extend_i32_s (call $handle_revoke (i32.load (i32.const 1072)))))");
    let foreign = Capability { grant: 9, ..peer(3) };
    let bare = Capability::actor(birth().home, Rights::PEER);
    for capability in [foreign, bare] {
        let event = Event { handles: &[capability], reply: Some(reply_to(1)), ..message(b"") };
        assert_eq!(answer(&handle(&mut actor(&wat), &event).1), denied, "{capability:?}");
    }
    // One's own, but of a grant that this life never minted: nothing to take back.
    let old = Capability { grant: 9, ..bare };
    let event = Event { handles: &[old], reply: Some(reply_to(1)), ..message(b"") };
    let (_, effects) = handle(&mut actor(&wat), &event);
    assert_eq!((answer(&effects), effects.len()), (0, 1));
}

#[test]
fn two_handles_to_one_actor_are_the_same_whatever_their_rights() {
    let same = |a: Capability, b: Capability| {
        let wat = guest(
            "(call $answer (i64.extend_i32_s (call $handle_same (i32.load (i32.const 1072)) (i32.load (i32.const 1076)))))",
        );
        let handles = [a, b];
        let event = Event { handles: &handles, reply: Some(reply_to(1)), ..message(b"") };
        answer(&handle(&mut actor(&wat), &event).1)
    };
    assert_eq!(same(peer(3), peer(3).masked(Rights::NONE)), 1);
    assert_eq!(same(peer(3), peer(4)), 0);
    assert_eq!(same(reply_to(1), reply_to(1)), 0);
    assert_eq!(same(Capability::reply(peer(3).address, 1), peer(3)), 0);
}

#[test]
fn a_handle_of_each_kind_says_what_it_is_and_a_replica_says_no_node() {
    let wat = guest(
        "(drop (call $handle_stat (i32.load (i32.const 1072)) (i32.const 64))) (drop (call $send (i32.const 1) (i32.const 64) (i32.const 24) (i32.const 0) (i32.const 0)))",
    );
    for (class, node) in [(pando_actors::Class::Plain, 9), (pando_actors::Class::Replicated, 0)] {
        let module = load(&wat, class);
        let cases = [
            (peer(3), 0, node),
            (Capability::actor(Address::group(ActorId([5; 16])), Rights::PEER), 1, 0),
            (Capability::actor(Address::service(1), Rights::SEND), 2, 0),
            (reply_to(9), 3, 0),
        ];
        for (capability, kind, node) in cases {
            let mut actor = pando_actors::Actor::new(&module, Default::default(), birth()).unwrap();
            let (_, effects) = handle(&mut actor, &Event { handles: &[capability], ..message(b"") });
            let [Effect::Send { delivery, .. }] = &effects[..] else { panic!("{effects:?}") };
            let message = &delivery.message;
            let stat = HandleStat { kind, rights: capability.rights.0, badge: 0, node, reserved: 0 };
            assert_eq!(&message.body[..], &stat.to_bytes(), "{capability:?}");
        }
    }
}

#[test]
fn a_message_that_brings_more_handles_than_fit_is_refused_untouched() {
    let handler =
        "(loop $l (br_if $l (i64.ge_s (call $handle_copy (i32.const 1) (i32.const -1) (i64.const 0)) (i64.const 0))))";
    let mut actor = actor(&guest(handler));
    send(&mut actor, b"");
    assert_eq!(actor.handles_len(), limits::HANDLES_MAX);
    let root = actor.root();
    let (handled, effects) = handle(&mut actor, &Event { handles: &[peer(3)], ..message(b"") });
    assert_eq!((handled.refused, handled.end, effects), (Some(Errno::FULL), None, vec![]));
    assert_eq!(handle(&mut actor, &Event { reply: Some(reply_to(1)), ..message(b"") }).0.refused, Some(Errno::FULL));
    assert_eq!(actor.root(), root);
    send(&mut actor, b"");
}
