//! Random lives of a process against a ledger of what it owes and what it is owed.
//!
//! The guest is the ledger: it asks at random, writes down what it asked for, and every event that reaches it must pay exactly
//! one entry of its own life. What happens around it (answers, alarms, ends, losses of nodes, doubled and late inputs of
//! earlier lives) is drawn too. A failure shrinks to the few steps that make it.
//!
//! Holds invariants 2 to 5 of [`super`]: a call is answered once, a monitor, link or timer pays once and never for another
//! life, no message comes through a grant that was taken back, and at an end everything is settled.

mod ghost;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ghost::{ASKER, Ask, Cause, Finish, Ghost, Ledger, ME, Plan, at, cap, nth};
use pando_abi::{ActorId, Address, ExitKind, NodeId};
use pando_actors::{Exit, Message};
use proptest::prelude::*;

use super::{Identity, Moment, Process, Standing};
use crate::input::{Action, Alarm, Delivery, Input, Key, ReplyTo, exit};

#[derive(Clone, Debug)]
enum Step {
    Message {
        call: bool,
        key: Option<u8>,
        grant: Option<usize>,
        handles: bool,
    },
    /// An alarm that is set rings: its input waits in the mailbox from now on.
    Ring(usize),
    /// Somebody answers a call.
    Answer {
        which: usize,
        handles: bool,
    },
    /// One of the inputs that wait is handled, perhaps not for the last time.
    Handle {
        which: usize,
        again: bool,
    },
    Down {
        target: u8,
        kind: u8,
    },
    NodeDown(u8),
    Watch {
        by: u8,
        id: u64,
    },
    Unwatch {
        by: u8,
        id: u64,
    },
    Link(u8),
    Unlink(u8),
    Kill,
    /// It goes to rest and comes back.
    Rest,
}

/// A call to the process, as its asker knows it.
#[derive(Default, Debug)]
struct Asked {
    answers: usize,
    life: u32,
    /// A later try with the same key took its place.
    replaced: bool,
    key: Option<u8>,
}

struct World {
    process: Process,
    ghost: Ghost,
    resumes: bool,
    watchers: BTreeSet<(Address, u64)>,
    /// Alarms that are set, and what they are for.
    armed: BTreeMap<Alarm, Cause>,
    /// Calls by what their answer must carry.
    outside: Vec<(u64, Cause)>,
    mailbox: Vec<(Input, Cause)>,
    asked: BTreeMap<u64, Asked>,
    /// Grants of all lives.
    minted: Vec<u64>,
    /// Keys handled in this life.
    keys: BTreeSet<u8>,
}

impl World {
    fn new(life: u32, resumes: bool) -> World {
        let ghost = Ghost {
            life,
            open: Ledger::default(),
            cause: Cause::Other,
            plans: VecDeque::new(),
            events: 0,
            unlinked: false,
            said: Vec::new(),
        };
        World {
            process: World::born(life, resumes),
            ghost,
            resumes,
            watchers: BTreeSet::new(),
            armed: BTreeMap::new(),
            outside: Vec::new(),
            mailbox: Vec::new(),
            asked: BTreeMap::new(),
            minted: Vec::new(),
            keys: BTreeSet::new(),
        }
    }

    fn born(life: u32, resumes: bool) -> Process {
        Process::new(Identity { me: at(ME), node: at(ME).node, generation: life, replicated: false, resumes })
    }

    fn step(&mut self, step: &Step, plans: &[Plan]) {
        self.ghost.plans = plans.iter().cloned().collect();
        match *step {
            Step::Message { call, key, grant, handles } => self.message(call, key, grant, handles),
            Step::Ring(which) => {
                if let Some(alarm) = nth(self.armed.keys().copied(), which) {
                    let cause = self.armed.remove(&alarm).expect("it was found");
                    self.mailbox.push((alarm.input(), cause));
                }
            }
            Step::Answer { which, handles } => {
                if let Some((sealed, cause)) = nth(self.outside.iter().copied(), which) {
                    let handles = if handles { vec![cap(at(3))] } else { Vec::new() };
                    let message = Message { handles: handles.into(), ..Message::default() };
                    let message = Box::new(message);
                    let input = Input::Reply { token: sealed, status: 0, message, standing: Standing::default() };
                    self.mailbox.push((input, cause));
                }
            }
            Step::Handle { which, again } => {
                if self.mailbox.is_empty() {
                    return;
                }
                let place = which % self.mailbox.len();
                let (input, cause) = if again { self.mailbox[place].clone() } else { self.mailbox.swap_remove(place) };
                self.handle(input, cause);
            }
            Step::Down { target, kind } => {
                let kinds = [ExitKind::Normal, ExitKind::Fault, ExitKind::Killed];
                let why = exit(kinds[usize::from(kind) % 3], "over");
                let takes = why.kind.takes_links();
                self.ghost.unlinked = false;
                let before = self.ghost.open.clone();
                let target = at(target);
                let ended = self.handle(Input::Down { target, exit: why }, Cause::Down { target });
                if !ended {
                    for (id, _) in before.monitors.iter().filter(|(_, a)| **a == target) {
                        assert!(!self.ghost.open.monitors.contains_key(id), "monitor {id} was not told");
                    }
                    let survived = before.links.contains(&target) && takes && !self.ghost.unlinked;
                    assert!(!survived, "a link that should have taken it along did not");
                }
            }
            Step::NodeDown(node) => {
                let node = NodeId(u32::from(node) / 2 + 1);
                let before = self.ghost.open.clone();
                self.ghost.unlinked = false;
                self.watchers.retain(|(by, _)| by.node != node);
                if !self.handle(Input::NodeDown { node: node.0 }, Cause::NodeDown { node }) {
                    let lost = |a: &Address| a.node == node;
                    assert!(before.calls.iter().all(|(t, a)| !lost(a) || !self.ghost.open.calls.contains_key(t)));
                    assert!(before.monitors.iter().all(|(t, a)| !lost(a) || !self.ghost.open.monitors.contains_key(t)));
                    assert!(
                        !before.links.iter().any(lost) || self.ghost.unlinked,
                        "the loss of a node takes links along"
                    );
                }
            }
            Step::Watch { by, id } => {
                self.watchers.insert((at(by), id));
                self.handle(Input::Watch { watcher: at(by), id, grant: 0 }, Cause::Other);
            }
            Step::Unwatch { by, id } => {
                self.watchers.remove(&(at(by), id));
                self.handle(Input::Unwatch { watcher: at(by), id }, Cause::Other);
            }
            Step::Link(peer) => {
                self.ghost.open.links.insert(at(peer));
                self.handle(Input::Link { peer: at(peer), grant: 0 }, Cause::Other);
            }
            Step::Unlink(peer) => {
                self.ghost.open.links.remove(&at(peer));
                self.handle(Input::Unlink { peer: at(peer) }, Cause::Other);
            }
            Step::Kill => {
                let ended = self.handle(Input::Kill { by: at(3), grant: 0 }, Cause::Other);
                assert!(ended, "a kill ends it");
            }
            Step::Rest => {
                let bytes = crate::wire::encode(&self.process.rows());
                self.process = Process::from_rows(crate::wire::decode(&bytes, 1 << 20).unwrap()).unwrap();
                let alarms: BTreeSet<Alarm> = self.process.alarms().map(|(_, alarm)| alarm).collect();
                assert!(self.armed.keys().all(|alarm| alarms.contains(alarm)), "an alarm that is set is not known");
            }
        }
    }

    fn message(&mut self, call: bool, key: Option<u8>, grant: Option<usize>, handles: bool) {
        let token = self.asked.len() as u64 + 1;
        let grant = grant.and_then(|which| nth(self.minted.iter().copied(), which)).unwrap_or(0);
        let life = self.ghost.life;
        if call {
            for (_, asked) in self.asked.iter_mut().filter(|(_, a)| key.is_some() && a.key == key && a.life == life) {
                asked.replaced = true;
            }
            self.asked.insert(token, Asked { life, key, ..Asked::default() });
        }
        let delivery = Delivery {
            from: at(ASKER),
            grant,
            badge: 0,
            flags: 0,
            reply: call.then_some(ReplyTo { address: at(ASKER), token }),
            key: key.map(|seq| Box::new(Key { origin: ActorId([9; 16]), incarnation: 1, seq: u64::from(seq) })),
            message: Message {
                handles: if handles { vec![cap(at(4))] } else { Vec::new() }.into(),
                ..Message::default()
            },
        };
        let good = grant == 0 || self.ghost.open.grants.contains(&grant);
        let fresh = key.is_none_or(|key| !self.keys.contains(&key));
        let refused = self.ghost.plans.front().is_some_and(|p| p.finish == Finish::Refuse) && handles;
        if let (Some(key), true) = (key, good) {
            self.keys.insert(key);
        }
        self.handle(Input::Message(Box::new(delivery)), Cause::Message);
        assert_eq!(self.ghost.events, usize::from(good && fresh && !refused), "handled, or not, against the rules");
    }

    /// One input. True: the life has ended, and the next has begun.
    fn handle(&mut self, input: Input, cause: Cause) -> bool {
        let owed = match cause {
            Cause::Reply { life, token, .. } | Cause::Deadline { life, token } => {
                Some(life == self.ghost.life && self.ghost.open.calls.contains_key(&token))
            }
            Cause::Timer { life, id } => Some(life == self.ghost.life && self.ghost.open.timers.contains(&id)),
            _ => None,
        };
        (self.ghost.cause, self.ghost.events) = (cause, 0);
        self.ghost.said.clear();
        let (mut effects, mut actions) = (Vec::new(), Vec::new());
        let moment = Moment { now_ns: 1_000, seed: 7, standing: Standing::default() };
        let stepped = self.process.step(&mut self.ghost, input, moment, &mut effects, &mut actions);
        if let Some(owed) = owed {
            // A timer brings those with it that were due before.
            let most = if matches!(cause, Cause::Timer { .. }) { usize::MAX } else { 1 };
            let paid = self.ghost.events;
            assert!((paid > 0) == owed && paid <= most, "{cause:?} pays what is open, once");
        }
        self.take(actions, stepped.end.as_deref());
        if stepped.end.is_some() {
            self.next_life();
        }
        stepped.end.is_some()
    }

    /// Carries the actions out, and at an end holds them against what was open.
    fn take(&mut self, actions: Vec<Action>, end: Option<&Exit>) {
        let life = self.ghost.life;
        let mut said = Vec::new();
        let (mut downs, mut unwatched) = (Vec::new(), BTreeSet::new());
        for action in actions {
            match action {
                Action::Deliver { to, input: Input::Message(delivery) } => {
                    assert_eq!(delivery.from, at(ME));
                    said.push(to);
                    if let Some(reply) = delivery.reply {
                        // The newest call to this address that has no number outside yet; calls go in order.
                        let token = reply.token & ((1 << super::TOKEN_BITS) - 1);
                        assert!(!self.outside.iter().any(|(sealed, _)| *sealed == reply.token), "two calls alike");
                        self.outside.push((reply.token, Cause::Reply { life, token, status: 0 }));
                    }
                }
                Action::Deliver { to, input: Input::Reply { token, .. } } => {
                    assert_eq!(to, at(ASKER));
                    self.asked.get_mut(&token).expect("an answer to somebody who asked").answers += 1;
                }
                Action::Deliver { to, input: Input::Down { .. } } => downs.push(to),
                Action::Deliver { input: Input::Unwatch { id, .. }, .. } => {
                    unwatched.insert(id);
                }
                Action::Alarm { alarm, .. } => {
                    let cause = match alarm {
                        Alarm::Timer(id) => Cause::Timer { life, id: self.process.unseal(id).expect("of this life") },
                        Alarm::Deadline(token) => {
                            Cause::Deadline { life, token: self.process.unseal(token).expect("of this life") }
                        }
                    };
                    assert!(self.armed.insert(alarm, cause).is_none(), "an alarm is set twice");
                }
                Action::Disarm { alarm, .. } => drop(self.armed.remove(&alarm)),
                Action::Deliver { .. } | Action::Spawn(_) | Action::Log { .. } => {}
            }
        }
        assert_eq!(said, self.ghost.said, "what it said went out in order, and nothing else");
        for (token, asked) in &self.asked {
            assert!(asked.answers <= 1, "ask {token} was answered {} times", asked.answers);
        }
        if end.is_some() {
            let mut told: BTreeSet<Address> = self.watchers.iter().map(|(by, _)| *by).collect();
            told.extend(&self.ghost.open.links);
            let once = downs.len() == downs.iter().collect::<BTreeSet<_>>().len();
            // A link that took it along is used up.
            if let Cause::Down { target } = self.ghost.cause {
                told.remove(&target);
                downs.retain(|to| *to != target);
            }
            if let Cause::NodeDown { node } = self.ghost.cause {
                told.retain(|a| a.node != node);
                downs.retain(|a| a.node != node);
            }
            assert!(once && told == downs.into_iter().collect(), "who watches or is linked is told once");
            for id in self.ghost.open.monitors.keys() {
                assert!(unwatched.contains(&self.process.seal(*id)), "monitor {id} outlives its owner");
            }
            assert!(self.armed.is_empty(), "alarms outlive their life: {:?}", self.armed);
            assert!(self.process.counts().iter().all(|(_, n)| *n == 0), "{:?}", self.process.counts());
            for (token, asked) in self.asked.iter().filter(|(_, a)| a.life == life && !a.replaced) {
                assert_eq!(asked.answers, 1, "ask {token} of a life that is over");
            }
        }
        let [(_, monitors), (_, watchers), (_, links), (_, timers), (_, calls), (_, grants), _] = self.process.counts();
        if end.is_none() {
            let open = &self.ghost.open;
            let owed =
                [open.monitors.len(), self.watchers.len(), open.links.len(), open.timers.len(), open.calls.len()];
            assert_eq!(
                [monitors, watchers, links, timers, calls, grants],
                [&owed[..], &[open.grants.len()]].concat()[..]
            );
        }
        self.minted
            .extend(self.ghost.open.grants.iter().filter(|g| !self.minted.contains(g)).copied().collect::<Vec<_>>());
    }

    fn next_life(&mut self) {
        self.ghost.life = self.ghost.life.wrapping_add(1);
        self.ghost.open = Ledger::default();
        self.watchers.clear();
        self.keys.clear();
        self.process = World::born(self.ghost.life, self.resumes);
    }
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        2 => (2..8u8).prop_map(Ask::Send),
        4 => (2..8u8, any::<bool>()).prop_map(|(to, deadline)| Ask::Call { to, deadline }),
        4 => Just(Ask::Timer),
        1 => any::<usize>().prop_map(Ask::Cancel),
        4 => (2..8u8).prop_map(Ask::Monitor),
        1 => any::<usize>().prop_map(Ask::Demonitor),
        2 => (1..8u8).prop_map(Ask::Link),
        1 => (2..8u8).prop_map(Ask::Unlink),
        2 => Just(Ask::Grant),
        1 => any::<usize>().prop_map(Ask::Revoke),
        2 => any::<usize>().prop_map(Ask::Reply),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let finish = prop_oneof![
        16 => Just(Finish::Return),
        2 => Just(Finish::Fault),
        1 => Just(Finish::Exit),
        2 => Just(Finish::Refuse),
    ];
    (prop::collection::vec(ask(), 0..4), finish).prop_map(|(asks, finish)| Plan { asks, finish })
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop_oneof![3 => Just(None), 1 => (1..6u8).prop_map(Some)];
    let grant = prop_oneof![3 => Just(None), 1 => any::<usize>().prop_map(Some)];
    prop_oneof![
        8 => (any::<bool>(), key, grant, any::<bool>())
            .prop_map(|(call, key, grant, handles)| Step::Message { call, key, grant, handles }),
        3 => any::<usize>().prop_map(Step::Ring),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, handles)| Step::Answer { which, handles }),
        6 => (any::<usize>(), prop::bool::weighted(0.3)).prop_map(|(which, again)| Step::Handle { which, again }),
        2 => (2..8u8, 0..3u8).prop_map(|(target, kind)| Step::Down { target, kind }),
        1 => (2..8u8).prop_map(Step::NodeDown),
        1 => (2..8u8, 0..3u64).prop_map(|(by, id)| Step::Watch { by, id }),
        1 => (2..8u8, 0..3u64).prop_map(|(by, id)| Step::Unwatch { by, id }),
        1 => (2..8u8).prop_map(Step::Link),
        1 => (2..8u8).prop_map(Step::Unlink),
        1 => Just(Step::Kill),
        1 => Just(Step::Rest),
    ]
}

proptest! {
    #![proptest_config(crate::testing::cases(2_000))]

    #[test]
    fn every_obligation_is_paid_once_in_the_life_that_made_it(
        // The first life, one before generations have more bits than a token has room for, and the last of all.
        life in prop_oneof![4 => Just(0), 1 => Just((1u32 << 20) - 1), 1 => Just(u32::MAX - 50)],
        resumes in any::<bool>(),
        steps in prop::collection::vec((step(), prop::collection::vec(plan(), 0..3)), 1..40),
    ) {
        let mut world = World::new(life, resumes);
        for (step, plans) in &steps {
            world.step(step, plans);
        }
    }
}
