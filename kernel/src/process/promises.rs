//! What a process promises, with a guest that does as it is told.

use std::collections::VecDeque;

use pando_abi::{ActorId, Address, Errno, EventKind, ExitKind, NodeId, Rights, event::flags};
use pando_actors::{Body, CapKind, Capability, Effect, Event, Exit, Handled, Message, Spawn};

use super::*;
use crate::input::{Action, Alarm, Delivery, Input, Key, Moved, ReplyTo, exit};

/// Does what its script says for each event, and notes the events.
#[derive(Default)]
struct Script {
    turns: VecDeque<(Vec<Effect>, Option<Exit>)>,
    seen: Vec<(EventKind, u64, u16, u16, Vec<u8>)>,
    tallies: Vec<Tally>,
    open: Vec<Capability>,
}

impl Script {
    fn then(mut self, effects: Vec<Effect>) -> Script {
        self.turns.push_back((effects, None));
        self
    }
    fn then_ends(mut self, effects: Vec<Effect>, end: Exit) -> Script {
        self.turns.push_back((effects, Some(end)));
        self
    }
}

impl Guest for Script {
    fn handle(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
        self.seen.push((event.kind, event.token, event.status, event.flags, event.body.to_vec()));
        self.tallies.push(event.tally);
        let (todo, end) = self.turns.pop_front().unwrap_or_default();
        effects.extend(todo);
        Handled { fuel: 1, end: end.map(Box::new), refused: None }
    }
    fn query(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
        self.handle(event, effects)
    }
    fn open_replies(&self) -> Vec<Capability> {
        self.open.clone()
    }
}

const NOW: u64 = 1_000;

fn at(n: u8) -> Address {
    Address::actor(NodeId(u32::from(n)), ActorId([n; 16]))
}

fn cap(address: Address) -> Capability {
    Capability { kind: CapKind::Actor, address, rights: Rights::PEER, grant: 0, badge: 0, token: 0 }
}

fn process(resumes: bool) -> Process {
    Process::new(Identity { me: at(1), node: NodeId(1), generation: 0, replicated: false, resumes })
}

fn step(process: &mut Process, guest: &mut Script, input: Input) -> (Stepped, Vec<Action>) {
    let (mut effects, mut actions) = (Vec::new(), Vec::new());
    let moment = Moment { now_ns: NOW, seed: 7, standing: Standing::default() };
    let stepped = process.step(guest, input, moment, &mut effects, &mut actions);
    assert!(effects.is_empty(), "the scratch list comes back empty");
    (stepped, actions)
}

fn message(reply: Option<u64>, key: Option<u64>, grant: u64) -> Input {
    Input::Message(Box::new(Delivery {
        from: at(9),
        grant,
        badge: 0,
        flags: 0,
        reply: reply.map(|token| ReplyTo { address: at(9), token }),
        key: key.map(|seq| Box::new(Key { origin: ActorId([9; 16]), incarnation: 1, seq })),
        message: Message::bytes(b"hello"),
    }))
}

fn call(target: Capability, token: u64, deadline_ns: u64) -> Effect {
    Effect::call(at(1), &target, (token, deadline_ns, 0), Message::default())
}

fn reply_to(token: u64, text: &[u8]) -> Effect {
    let to = Capability { kind: CapKind::Reply, token, ..cap(at(9)) };
    Effect::reply(&to, 0, Message::bytes(text))
}

/// (receiver, token, status, body) of every answer.
fn answers(actions: &[Action]) -> Vec<(Address, u64, u16, Body)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Deliver { to, input: Input::Reply { token, status, message, .. } } => {
                Some((*to, *token, *status, message.body.clone()))
            }
            _ => None,
        })
        .collect()
}

fn downs(actions: &[Action]) -> Vec<(Address, ExitKind)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Deliver { to, input: Input::Down { exit, .. } } => Some((*to, exit.kind)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_call_is_answered_once_and_its_deadline_is_moot_then() {
    let mut p = process(false);
    let call = call(cap(at(2)), 5, 50);
    let mut g = Script::default().then(vec![call]);
    let (_, actions) = step(&mut p, &mut g, message(None, None, 0));
    assert!(matches!(actions[0], Action::Alarm { at_ns: 1_050, alarm: Alarm::Deadline(5) }));
    let Action::Deliver { input: Input::Message(delivery), .. } = &actions[1] else { panic!("{actions:?}") };
    let token = delivery.reply.unwrap().token;
    let answer =
        || Input::Reply { token, status: 0, message: Box::new(Message::bytes(b"yes")), standing: Standing::default() };
    step(&mut p, &mut g, answer());
    step(&mut p, &mut g, answer());
    step(&mut p, &mut g, Input::Deadline { token: 5 });
    let replies: Vec<_> = g.seen.iter().filter(|s| s.0 == EventKind::Reply).collect();
    assert_eq!(replies.len(), 1);
    assert_eq!((replies[0].1, replies[0].2), (5, 0));
}

#[test]
fn a_call_that_nobody_answers_times_out_once() {
    let mut p = process(false);
    let call = call(cap(at(2)), 5, 50);
    let mut g = Script::default().then(vec![call]);
    step(&mut p, &mut g, message(None, None, 0));
    step(&mut p, &mut g, Input::Deadline { token: 5 });
    step(&mut p, &mut g, Input::Deadline { token: 5 });
    let replies: Vec<_> = g.seen.iter().filter(|s| s.0 == EventKind::Reply).map(|s| s.2).collect();
    assert_eq!(replies, [Errno::TIMEOUT.code()]);
}

#[test]
fn an_answer_to_an_earlier_life_is_not_taken_for_one_to_this() {
    let mut old = process(false);
    let call = || call(cap(at(2)), 1, 0);
    let mut g = Script::default().then(vec![call()]).then(vec![call()]);
    let (_, actions) = step(&mut old, &mut g, message(None, None, 0));
    let Action::Deliver { input: Input::Message(asked), .. } = &actions[0] else { panic!("{actions:?}") };
    let mut new = Process::new(Identity { generation: 1, ..*old.identity() });
    step(&mut new, &mut g, message(None, None, 0));
    let late = Input::Reply {
        token: asked.reply.unwrap().token,
        status: 0,
        message: Box::default(),
        standing: Standing::default(),
    };
    let (stepped, _) = step(&mut new, &mut g, late);
    assert!(!stepped.ran);
}

#[test]
fn a_monitor_tells_of_the_end_once_and_not_at_all_when_it_was_taken_back() {
    let mut p = process(false);
    let mut g = Script::default()
        .then(vec![Effect::Monitor { id: 1, target: cap(at(2)) }, Effect::Monitor { id: 2, target: cap(at(3)) }])
        .then(vec![Effect::Demonitor { id: 2 }]);
    step(&mut p, &mut g, message(None, None, 0));
    step(&mut p, &mut g, message(None, None, 0));
    for target in [at(2), at(2), at(3)] {
        step(&mut p, &mut g, Input::Down { target, exit: exit(ExitKind::Fault, "boom") });
    }
    let seen: Vec<_> = g.seen.iter().filter(|s| s.0 == EventKind::Down).map(|s| s.1).collect();
    assert_eq!(seen, [1]);
    let record = pando_abi::exit::ExitRecord::from_bytes(&g.seen[2].4).unwrap();
    assert_eq!((record.kind, &g.seen[2].4[8..]), (ExitKind::Fault as u16, &b"boom"[..]));
}

#[test]
fn a_link_takes_along_unless_the_end_was_normal() {
    for (kind, dies) in [(ExitKind::Normal, false), (ExitKind::Fault, true), (ExitKind::Killed, true)] {
        let mut p = process(false);
        let mut g = Script::default();
        step(&mut p, &mut g, Input::Link { peer: at(2), grant: 0 });
        step(&mut p, &mut g, Input::Watch { watcher: at(3), id: 4, grant: 0 });
        let (stepped, actions) = step(&mut p, &mut g, Input::Down { target: at(2), exit: exit(kind, "") });
        assert_eq!(stepped.end.is_some(), dies, "{kind:?}");
        if dies {
            assert_eq!(downs(&actions), [(at(3), ExitKind::Linked)]);
        } else {
            assert_eq!((g.seen[0].0, g.seen[0].3 & flags::LINK), (EventKind::Down, flags::LINK));
        }
    }
}

#[test]
fn the_loss_of_a_node_ends_what_was_on_it_and_nothing_else() {
    let mut p = process(false);
    let call = |token, n| call(cap(at(n)), token, 0);
    let mut g = Script::default().then(vec![
        Effect::Monitor { id: 1, target: cap(at(2)) },
        Effect::Monitor { id: 2, target: cap(at(3)) },
        call(8, 2),
        call(9, 3),
    ]);
    step(&mut p, &mut g, message(None, None, 0));
    step(&mut p, &mut g, Input::NodeDown { node: 2 });
    let news: Vec<_> = g.seen[1..].iter().map(|s| (s.0, s.1, s.2)).collect();
    assert_eq!(news, [(EventKind::Reply, 8, Errno::UNREACHABLE.code()), (EventKind::Down, 1, 0)]);
    let concern = |n| p.concern(NodeId(n), &Moved::default());
    assert_eq!((concern(2), concern(3)), (None, Some(Moved::default())));
}

#[test]
fn the_loss_of_a_birthplace_ends_nobody_who_lives_elsewhere_and_is_asked_for_again() {
    let moved = || std::sync::Arc::new(Moved { away: vec![at(2)], here: vec![at(3)] });
    let call = |token, n| call(cap(at(n)), token, 0);
    let mut p = process(false);
    let mut g = Script::default().then(vec![
        Effect::Monitor { id: 1, target: cap(at(2)) },
        Effect::Link { target: cap(at(2)) },
        Effect::Monitor { id: 2, target: cap(at(3)) },
        call(8, 2),
        call(9, 4),
        spawn(at(2)),
    ]);
    step(&mut p, &mut g, message(None, None, 0));
    assert_eq!(p.concern(NodeId(2), &moved()).as_ref(), Some(&*moved()));
    assert_eq!(p.concern(NodeId(5), &Moved { away: vec![at(6)], here: vec![at(7)] }), None);
    let (stepped, actions) = step(&mut p, &mut g, Input::NodeDownBut { node: 2, moved: moved() });
    assert!(stepped.end.is_none(), "a link to somebody who lives on takes nobody along");
    // Whether its call to that one was on its way nobody knows; who lived on the node is gone.
    let news: Vec<_> = g.seen[1..].iter().map(|s| (s.0, s.1, s.2)).collect();
    assert_eq!(news, [(EventKind::Reply, 8, Errno::UNREACHABLE.code()), (EventKind::Down, 2, 0)]);
    let asked: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Deliver { to, input: Input::Watch { id, .. } } => Some((*to, Some(*id))),
            Action::Deliver { to, input: Input::Link { .. } } => Some((*to, None)),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [(at(2), Some(1)), (at(2), None)]);
    assert_eq!(g.tallies.last().unwrap().children, 1, "a child that lives on counts");
    // It lives elsewhere itself, and its birthplace goes: its answers came by there.
    let own = std::sync::Arc::new(Moved { away: vec![at(1)], here: vec![] });
    let (stepped, actions) = step(&mut p, &mut g, Input::NodeDownBut { node: 1, moved: own });
    assert!(stepped.end.is_none());
    assert_eq!(g.seen.last().map(|s| (s.0, s.1, s.2)), Some((EventKind::Reply, 9, Errno::UNREACHABLE.code())));
    let again = |a: &&Action| matches!(a, Action::Deliver { input: Input::Watch { .. } | Input::Link { .. }, .. });
    assert_eq!(actions.iter().filter(again).count(), 2);
}

#[test]
fn a_fault_lets_no_effect_out_and_tells_the_caller() {
    let boom = || exit(ExitKind::Fault, "unreachable executed");
    let send = || Effect::send(at(1), &cap(at(2)), Message::default());
    let mut p = process(false);
    let mut g = Script::default().then_ends(vec![send()], boom());
    let (stepped, actions) = step(&mut p, &mut g, message(Some(3), None, 0));
    assert_eq!(stepped.end.unwrap().kind, ExitKind::Fault);
    assert_eq!(answers(&actions), [(at(9), 3, Errno::TRAPPED.code(), Body::new())]);
    assert!(!actions.iter().any(|a| matches!(a, Action::Deliver { input: Input::Message(_), .. })));

    let mut p = process(true);
    let line = Effect::Log { level: 3, text: "here I was".into() };
    let mut g = Script::default().then_ends(vec![send(), line], boom());
    let (stepped, actions) = step(&mut p, &mut g, message(Some(3), None, 0));
    assert!(stepped.end.is_none() && stepped.undone.is_some());
    assert!(matches!(&actions[0], Action::Log { text, .. } if text == "here I was"), "what it wrote is kept");
    assert_eq!(answers(&actions), [(at(9), 3, Errno::TRAPPED.code(), Body::new())]);
}

#[test]
fn an_exit_keeps_the_effects_before_it_and_leaves_nothing_behind() {
    let mut p = process(false);
    let mut g = Script::default()
        .then(vec![
            Effect::Timer { id: 1, delay_ns: 10 },
            Effect::Monitor { id: 2, target: cap(at(2)) },
            Effect::Grant { grant: 3, rights: Rights::SEND, badge: 4 },
        ])
        .then_ends(vec![Effect::send(at(1), &cap(at(4)), Message::bytes(b"bye"))], exit(ExitKind::Normal, ""));
    step(&mut p, &mut g, message(None, None, 0));
    step(&mut p, &mut g, Input::Watch { watcher: at(3), id: 1, grant: 0 });
    g.open.push(Capability { kind: CapKind::Reply, token: 77, ..cap(at(9)) });
    let (stepped, actions) = step(&mut p, &mut g, message(None, None, 0));
    assert_eq!(stepped.end.unwrap().kind, ExitKind::Normal);
    assert!(matches!(&actions[0], Action::Deliver { to, input: Input::Message(_) } if *to == at(4)));
    assert_eq!(answers(&actions), [(at(9), 77, Errno::DEAD.code(), Body::new())]);
    assert_eq!(downs(&actions), [(at(3), ExitKind::Normal)]);
    assert!(actions.iter().any(|a| matches!(a, Action::Disarm { alarm: Alarm::Timer(1), .. })));
    assert!(actions.iter().any(|a| matches!(a, Action::Deliver { input: Input::Unwatch { .. }, .. })));
    assert!(p.counts().iter().all(|(_, n)| *n == 0), "{:?}", p.counts());
}

#[test]
fn a_message_through_a_revoked_grant_is_never_handled() {
    let mut p = process(false);
    let grant = Effect::Grant { grant: 3, rights: Rights::SEND, badge: 4 };
    let mut g = Script::default().then(vec![grant]).then(vec![]).then(vec![Effect::Revoke { grant: 3 }]);
    step(&mut p, &mut g, message(None, None, 0));
    assert!(step(&mut p, &mut g, message(Some(1), None, 3)).0.ran);
    step(&mut p, &mut g, message(None, None, 0));
    let (stepped, actions) = step(&mut p, &mut g, message(Some(2), None, 3));
    assert!(!stepped.ran);
    assert_eq!(answers(&actions), [(at(9), 2, Errno::REVOKED.code(), Body::new())]);
    let (_, actions) = step(&mut p, &mut g, message(None, None, 3));
    assert!(matches!(&actions[..], [Action::Deliver { to, input: Input::Bounce { .. } }] if *to == at(9)));
}

#[test]
fn a_keyed_call_that_is_tried_again_is_handled_once_and_answered_alike() {
    let mut p = process(false);
    let mut g = Script::default().then(vec![reply_to(1, b"six")]);
    let (_, first) = step(&mut p, &mut g, message(Some(1), Some(42), 0));
    let (stepped, again) = step(&mut p, &mut g, message(Some(2), Some(42), 0));
    assert!(!stepped.ran);
    assert_eq!(answers(&first), [(at(9), 1, 0, Body::from_slice(b"six"))]);
    assert_eq!(answers(&again), [(at(9), 2, 0, Body::from_slice(b"six"))]);
}

#[test]
fn a_timer_fires_once_and_not_when_it_was_taken_back() {
    let mut p = process(false);
    let mut g = Script::default()
        .then(vec![Effect::Timer { id: 1, delay_ns: 10 }, Effect::Timer { id: 2, delay_ns: 10 }])
        .then(vec![Effect::Cancel { id: 2 }]);
    step(&mut p, &mut g, message(None, None, 0));
    step(&mut p, &mut g, message(None, None, 0));
    for id in [1, 1, 2] {
        step(&mut p, &mut g, Input::Timer { id });
    }
    let fired: Vec<_> = g.seen.iter().filter(|s| s.0 == EventKind::Timer).map(|s| s.1).collect();
    assert_eq!(fired, [1]);
}

#[test]
fn an_alarm_of_an_earlier_life_does_not_ring_in_this_one() {
    let asks = || {
        let call = call(cap(at(2)), 1, 50);
        vec![Effect::Timer { id: 1, delay_ns: 10 }, call]
    };
    let mut g = Script::default().then(asks()).then(asks());
    let mut old = process(false);
    step(&mut old, &mut g, message(None, None, 0));
    // They have rung already, and wait in the mailbox that the next life inherits.
    let late: Vec<Input> = old.alarms().map(|(_, alarm)| alarm.input()).collect();
    for generation in [1, 1 << 20, u32::MAX] {
        let mut new = Process::new(Identity { generation, ..*old.identity() });
        step(&mut new, &mut g, message(None, None, 0));
        let own: Vec<Input> = new.alarms().map(|(_, alarm)| alarm.input()).collect();
        if generation == 1 {
            for input in &late {
                assert!(!step(&mut new, &mut g, input.clone()).0.ran, "{input:?} is not of this life");
            }
        }
        assert!(own.into_iter().all(|input| step(&mut new, &mut g, input).0.ran));
        g = g.then(asks());
    }
}

#[test]
fn a_call_whose_answer_does_not_fit_the_table_is_answered_with_the_reason() {
    struct Full(Script);
    impl Guest for Full {
        fn handle(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
            if !event.handles.is_empty() {
                return Handled { refused: Some(Errno::FULL), ..Handled::default() };
            }
            self.0.handle(event, effects)
        }
        fn query(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
            self.0.query(event, effects)
        }
        fn open_replies(&self) -> Vec<Capability> {
            Vec::new()
        }
    }
    let call = call(cap(at(2)), 5, 0);
    let mut g = Full(Script::default().then(vec![call]));
    let (mut p, mut effects, mut actions) = (process(false), Vec::new(), Vec::new());
    let moment = Moment { now_ns: NOW, seed: 7, standing: Standing::default() };
    p.step(&mut g, message(None, None, 0), moment, &mut effects, &mut actions);
    let message = Message { handles: vec![cap(at(3))].into(), ..Message::bytes(b"here it is") };
    let answer = Input::Reply { token: 5, status: 0, message: Box::new(message), standing: Standing::default() };
    assert!(p.step(&mut g, answer, moment, &mut effects, &mut actions).ran);
    let (kind, token, status, _, body) = g.0.seen.pop().unwrap();
    assert_eq!((kind, token, status, body), (EventKind::Reply, 5, Errno::FULL.code(), Vec::new()));
}

#[test]
fn a_revoked_handle_neither_kills_nor_links_nor_watches() {
    let mut p = process(false);
    let grant = Effect::Grant { grant: 3, rights: Rights::PEER, badge: 4 };
    let mut g = Script::default().then(vec![grant]).then(vec![Effect::Revoke { grant: 3 }]);
    step(&mut p, &mut g, message(None, None, 0));
    step(&mut p, &mut g, message(None, None, 0));
    let (stepped, actions) = step(&mut p, &mut g, Input::Kill { by: at(9), grant: 3 });
    assert!(stepped.end.is_none());
    let revoked = Errno::REVOKED.code();
    assert!(matches!(&actions[..], [Action::Deliver { to, input: Input::Bounce { status, .. } }]
        if *to == at(9) && *status == revoked));
    for input in [Input::Link { peer: at(9), grant: 3 }, Input::Watch { watcher: at(9), id: 1, grant: 3 }] {
        let (_, actions) = step(&mut p, &mut g, input);
        assert_eq!(downs(&actions), [(at(9), ExitKind::NoActor)]);
    }
    assert!(p.counts().iter().all(|(_, n)| *n == 0), "{:?}", p.counts());
}

#[test]
fn an_actor_has_only_so_many_links() {
    let (mut p, mut g) = (process(false), Script::default());
    let peer = |n: usize| Address::actor(NodeId(1), ActorId((n as u128).to_le_bytes()));
    for n in 0..limits::LINKS_MAX {
        assert!(step(&mut p, &mut g, Input::Link { peer: peer(n), grant: 0 }).1.is_empty());
    }
    let (_, actions) = step(&mut p, &mut g, Input::Link { peer: at(9), grant: 0 });
    assert_eq!(downs(&actions), [(at(9), ExitKind::NoActor)]);
    assert!(step(&mut p, &mut g, Input::Link { peer: peer(0), grant: 0 }).1.is_empty(), "who is linked already is");
}

fn spawn(child: Address) -> Effect {
    let spec = pando_abi::SpawnSpec::new();
    let (args, handles) = (Body::default(), Default::default());
    Effect::Spawn(Box::new(Spawn { child, spec, args, handles, parent: cap(at(1)), realm: None }))
}

#[test]
fn an_actor_is_told_how_many_children_and_links_it_has() {
    let mut p = process(false);
    let link = Effect::Link { target: cap(at(3)) };
    let mut g = Script::default().then(vec![spawn(at(2)), spawn(at(4)), spawn(Address::group(ActorId([5; 16]))), link]);
    let tally = |p: &mut Process, g: &mut Script| {
        step(p, g, message(None, None, 0));
        let Tally { children, links } = *g.tallies.last().unwrap();
        (children, links)
    };
    assert_eq!(tally(&mut p, &mut g), (0, 0));
    assert_eq!(tally(&mut p, &mut g), (3, 1));
    let ended = |child| Input::ChildEnded { child };
    for child in [at(2), at(2), at(9)] {
        step(&mut p, &mut g, ended(child));
    }
    assert_eq!(tally(&mut p, &mut g), (2, 1), "an end counts once, and a stranger's not at all");
    assert!(p.concern(NodeId(4), &Moved::default()).is_some());
    let mut copy = Process::from_rows(crate::wire::decode(&crate::wire::encode(&p.rows()), 1 << 20).unwrap()).unwrap();
    assert_eq!(tally(&mut copy, &mut g), (2, 1));
    step(&mut p, &mut g, Input::NodeDown { node: 4 });
    assert_eq!(tally(&mut p, &mut g), (1, 1), "who was on a node that is gone is");
    let life = Identity { generation: 1, ..*p.identity() };
    let mut next = Process::again(life, &p);
    assert_eq!(tally(&mut next, &mut g), (1, 0), "children outlive a life of their parent, links do not");
    step(&mut next, &mut g, ended(Address::group(ActorId([5; 16]))));
    assert_eq!(tally(&mut next, &mut g), (0, 0));
}

#[test]
fn a_query_that_does_not_answer_is_answered_for_and_changes_nothing() {
    let mut p = process(false);
    let query = |token| {
        let Input::Message(mut delivery) = message(Some(token), None, 0) else { unreachable!() };
        delivery.flags = pando_abi::call::call_flags::QUERY;
        Input::Message(delivery)
    };
    let send = Effect::send(at(1), &cap(at(2)), Message::default());
    let mut g =
        Script::default().then(vec![send]).then_ends(vec![], exit(ExitKind::Fault, "")).then(vec![reply_to(3, b"5")]);
    let said = |actions: &[Action]| answers(actions).into_iter().map(|(_, t, s, _)| (t, s)).collect::<Vec<_>>();
    let (_, actions) = step(&mut p, &mut g, query(1));
    assert_eq!((actions.len(), said(&actions)), (1, vec![(1, Errno::NO_REPLY.code())]));
    let (stepped, actions) = step(&mut p, &mut g, query(2));
    assert!(stepped.end.is_none());
    assert_eq!(said(&actions), [(2, Errno::TRAPPED.code())]);
    let (_, actions) = step(&mut p, &mut g, query(3));
    assert_eq!(said(&actions), [(3, 0)]);
}

#[test]
fn a_process_at_rest_comes_back_as_it_was() {
    let mut p = process(true);
    let call = call(cap(at(2)), 5, 50);
    let mut g = Script::default().then(vec![
        call,
        Effect::Timer { id: 1, delay_ns: 10 },
        Effect::Monitor { id: 2, target: cap(at(2)) },
        Effect::Link { target: cap(at(3)) },
    ]);
    step(&mut p, &mut g, message(Some(1), Some(42), 0));
    step(&mut p, &mut g, Input::Watch { watcher: at(4), id: 1, grant: 0 });
    let bytes = crate::wire::encode(&p.rows());
    let mut copy = Process::from_rows(crate::wire::decode(&bytes, 1 << 20).unwrap()).unwrap();
    assert_eq!((copy.identity(), copy.counts()), (p.identity(), p.counts()));
    assert_eq!(copy.alarms().collect::<Vec<_>>(), p.alarms().collect::<Vec<_>>());
    assert!(!step(&mut copy, &mut g, message(Some(2), Some(42), 0)).0.ran, "the copy knows what was served");
}
