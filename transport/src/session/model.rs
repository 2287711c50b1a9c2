//! Two sides and a network that does what it likes, step by step, so that a failure shrinks to the few that make it.
//!
//! Holds the invariants of [`super`] at every step: one live link at most, Ups and Downs in turns, few links being opened and
//! no dial beside one, pauses between dials that are neither too short nor too long; and once the trouble ends both sides
//! are live on the same link, in each other's present life. Restarts, cuts that one side sees later than the other, hellos of
//! a version that nobody speaks, and Gos that nobody asked for are all drawn. (`tests.rs` has the same network from a seed.)

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pando_abi::{Incarnation, NodeId, RealmId};
use proptest::prelude::*;

use super::{LinkId, Liveness, OPENING_MAX, Output, Session, Timing};
use crate::close::{Close, CloseCode};
use crate::hello::{Hello, Role, Versions};

#[derive(Clone, Debug)]
enum Step {
    /// Time passes, and both sides look at it.
    Tick(u64),
    /// The next thing on a link arrives at one side.
    Arrive {
        link: usize,
        side: usize,
    },
    /// A link is gone; each side hears of it at once or later.
    Cut {
        link: usize,
        later: [bool; 2],
        stubborn: bool,
    },
    Restart {
        side: usize,
    },
    /// Somebody with the peer's key says what makes no sense.
    Nonsense {
        side: usize,
        link: usize,
    },
    /// The peer is taken out of the realm, and taken in again.
    Forget {
        side: usize,
    },
    /// The peer is upgraded past this side's versions, or back.
    Versions {
        side: usize,
        far: bool,
    },
}

#[derive(Clone, Copy)]
enum Wire {
    Connected,
    Hello(Hello),
    Go,
    Closed,
}

struct Side {
    session: Session,
    life: u64,
    far: bool,
    up: Option<LinkId>,
    /// Links that it has been told of and not been told the end of.
    dialling: BTreeSet<LinkId>,
    /// Not before this may it dial.
    quiet_until: u64,
}

struct World {
    now: u64,
    next_link: LinkId,
    seed: u64,
    sides: [Side; 2],
    links: BTreeMap<LinkId, Link>,
}

#[derive(Default)]
struct Link {
    dialler: usize,
    /// On its way to each side.
    queues: [VecDeque<Wire>; 2],
    /// Nothing more arrives there: it has closed the link, or heard of its end.
    over: [bool; 2],
    /// Nothing more is sent.
    cut: bool,
}

fn hello(side: usize, life: u64, far: bool) -> Hello {
    Hello {
        versions: if far { Versions { oldest: 9, newest: 9 } } else { Versions::CURRENT },
        role: Role::Node,
        node: NodeId(side as u32 + 1),
        incarnation: Incarnation(life),
        realm: RealmId([1; 32]),
    }
}

impl Side {
    fn new(side: usize, life: u64, far: bool, seed: u64, now: u64) -> Side {
        let peer = NodeId(2 - side as u32);
        let session = Session::new(hello(side, life, far), peer, Timing::default(), seed, now);
        Side { session, life, far, up: None, dialling: BTreeSet::new(), quiet_until: now }
    }
}

impl World {
    fn new(seed: u64) -> World {
        World {
            now: 0,
            next_link: 1,
            seed,
            sides: [Side::new(0, 1, false, seed, 0), Side::new(1, 1, false, seed ^ 5, 0)],
            links: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Tick(ms) => self.tick(ms),
            Step::Arrive { link, side } => {
                if let Some(link) = self.nth(link) {
                    self.arrive(link, side);
                }
            }
            Step::Cut { link, later, stubborn } => {
                let Some(id) = self.nth(link) else { return };
                for (side, later) in later.into_iter().enumerate() {
                    let link = self.links.get_mut(&id).expect("it was found");
                    link.cut = true;
                    link.queues[side].clear();
                    if later {
                        link.queues[side].push_back(Wire::Closed);
                    } else if !std::mem::replace(&mut link.over[side], true) {
                        self.ended(side, id, stubborn);
                    }
                }
            }
            Step::Restart { side } => self.restart(side, self.sides[side].far),
            Step::Nonsense { side, link } => {
                let Some(link) = self.nth(link) else { return };
                if self.links[&link].over[side] {
                    return;
                }
                if self.links[&link].dialler == side {
                    // A Go where the hello says it all, or from who has none to say.
                    self.input(side, |s, now, out| s.go(now, link, out));
                } else {
                    // An answer on a link that was never dialled.
                    let other = &self.sides[1 - side];
                    let said = hello(1 - side, other.life, other.far);
                    self.input(side, |s, now, out| s.answered(now, link, &said, out));
                }
            }
            Step::Forget { side } => {
                let close = Close::new(CloseCode::Removed, "");
                self.input(side, |s, now, out| s.forget(now, &close, out));
                assert_eq!(self.sides[side].up, None);
                assert!(self.sides[side].dialling.is_empty(), "a link is left of a peer that was forgotten");
                let Side { life, far, .. } = self.sides[side];
                self.sides[side] = Side::new(side, life, far, self.seed, self.now);
            }
            Step::Versions { side, far } => self.restart(side, far),
        }
    }

    fn nth(&self, which: usize) -> Option<LinkId> {
        self.links.keys().nth(which % self.links.len().max(1)).copied()
    }

    fn tick(&mut self, ms: u64) {
        self.now += ms;
        for side in 0..2 {
            let fresh = self.next_link;
            self.next_link += 1;
            let deadline = self.sides[side].session.deadline_ms();
            let due = deadline.is_some_and(|at| at <= self.now);
            let did = self.input(side, |s, now, out| s.tick(now, fresh, out));
            assert!(due || did == 0, "it did something before the time that it asked for");
            let next = self.sides[side].session.deadline_ms();
            let most = Timing::default().retry_ms_max.max(Timing::default().open_ms_max);
            assert!(next.is_none_or(|at| at <= self.now + most), "it wants to sleep for too long");
            assert_eq!(next.is_none(), self.sides[side].up.is_some() && self.sides[side].dialling.is_empty());
        }
    }

    fn arrive(&mut self, link: LinkId, side: usize) {
        let Some(it) = self.links.get_mut(&link).filter(|it| !it.over[side]) else { return };
        let dialler = it.dialler;
        match it.queues[side].pop_front() {
            None => {}
            Some(Wire::Connected) => drop(self.input(side, |s, _, out| s.dialled(link, out))),
            Some(Wire::Hello(said)) if dialler == side => {
                self.input(side, |s, now, out| s.answered(now, link, &said, out));
            }
            Some(Wire::Hello(said)) => {
                self.sides[side].dialling.insert(link);
                self.input(side, |s, now, out| s.accepted(now, link, &said, out));
            }
            Some(Wire::Go) => drop(self.input(side, |s, now, out| s.go(now, link, out))),
            Some(Wire::Closed) => {
                it.over[side] = true;
                self.ended(side, link, false);
            }
        }
        self.links.retain(|_, link| link.over != [true; 2]);
    }

    fn ended(&mut self, side: usize, link: LinkId, stubborn: bool) {
        let known = self.sides[side].dialling.remove(&link) || self.sides[side].up == Some(link);
        self.input(side, |s, now, out| s.ended(now, link, "cut", stubborn, out));
        if known {
            // At least half of the shortest pause, or of the longest if there is no hurry.
            let Timing { retry_ms_min, retry_ms_max, .. } = Timing::default();
            self.sides[side].quiet_until = self.now + if stubborn { retry_ms_max / 2 } else { retry_ms_min / 2 };
        }
    }

    fn restart(&mut self, side: usize, far: bool) {
        let life = self.sides[side].life + 1;
        self.sides[side] = Side::new(side, life, far, self.seed ^ life, self.now);
        // Its links are dead; the other side finds out some time.
        for link in self.links.values_mut() {
            (link.over[side], link.cut) = (true, true);
            link.queues[1 - side].clear();
            link.queues[1 - side].push_back(Wire::Closed);
        }
    }

    /// How many outputs there were.
    fn input(&mut self, side: usize, f: impl FnOnce(&mut Session, u64, &mut Vec<Output>)) -> usize {
        let mut out = Vec::new();
        f(&mut self.sides[side].session, self.now, &mut out);
        let count = out.len();
        for output in out {
            self.carry_out(side, output);
        }
        let it = &self.sides[side];
        assert_eq!(it.session.live().map(|(link, _)| link), it.up, "what is live is what it said is up");
        assert_eq!(it.session.opening.keys().copied().collect::<BTreeSet<_>>(), it.dialling, "links being opened");
        assert!(it.dialling.len() <= OPENING_MAX, "more links being opened than there may be");
        count
    }

    fn carry_out(&mut self, side: usize, output: Output) {
        let now = self.now;
        let it = &mut self.sides[side];
        let said = match output {
            Output::Dial { link } => {
                assert!(it.up.is_none() && it.dialling.is_empty(), "it dials beside another link");
                assert!(now >= it.quiet_until, "it dials {} ms too early", it.quiet_until - now);
                it.dialling.insert(link);
                let mut new = Link { dialler: side, ..Link::default() };
                new.queues[side].push_back(Wire::Connected);
                assert!(self.links.insert(link, new).is_none(), "a link is dialled twice");
                return;
            }
            Output::Hello { link } => (link, Wire::Hello(hello(side, it.life, it.far))),
            Output::Go { link } => {
                assert!(it.session.chooses(), "only who chooses says Go");
                (link, Wire::Go)
            }
            Output::Close { link, .. } => {
                it.dialling.remove(&link);
                (link, Wire::Closed)
            }
            Output::Up { link, .. } => {
                it.dialling.remove(&link);
                assert_eq!(it.up.replace(link), None, "an Up without a Down");
                return;
            }
            Output::Down { link, .. } => {
                assert_eq!(it.up.take(), Some(link), "a Down of what was not up");
                return;
            }
        };
        if let Some(link) = self.links.get_mut(&said.0) {
            link.over[side] |= matches!(said.1, Wire::Closed);
            if !link.cut {
                link.queues[1 - side].push_back(said.1);
            }
        }
    }

    /// From now on everything arrives, and time passes.
    fn heal(&mut self) {
        for side in 0..2 {
            if self.sides[side].far {
                self.restart(side, false);
            }
        }
        for _ in 0..2_000 {
            self.tick(20);
            for link in self.links.keys().copied().collect::<Vec<_>>() {
                for side in 0..2 {
                    self.arrive(link, side);
                }
            }
            let [a, b] = [self.sides[0].session.live(), self.sides[1].session.live()];
            if let (Some(a), Some(b)) = (a, b)
                && a.0 == b.0
                && (a.1.0, b.1.0) == (self.sides[1].life, self.sides[0].life)
            {
                return;
            }
        }
        let [a, b] = [self.sides[0].session.live(), self.sides[1].session.live()];
        panic!("forty seconds after the trouble they do not agree: {a:?} and {b:?}");
    }
}

fn step() -> impl Strategy<Value = Step> {
    let side = || 0..2usize;
    prop_oneof![
        8 => prop_oneof![6 => 0..60u64, 1 => 0..4_000u64].prop_map(Step::Tick),
        16 => (any::<usize>(), side()).prop_map(|(link, side)| Step::Arrive { link, side }),
        2 => (any::<usize>(), any::<[bool; 2]>(), any::<bool>())
            .prop_map(|(link, later, stubborn)| Step::Cut { link, later, stubborn }),
        1 => side().prop_map(|side| Step::Restart { side }),
        1 => (side(), any::<usize>()).prop_map(|(side, link)| Step::Nonsense { side, link }),
        1 => side().prop_map(|side| Step::Forget { side }),
        1 => (side(), any::<bool>()).prop_map(|(side, far)| Step::Versions { side, far }),
    ]
}

/// So many random cases, or as many as `PANDO_CASES` says.
fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PANDO_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn two_sides_keep_the_rules_in_trouble_and_agree_after_it(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(seed);
        steps.iter().for_each(|step| world.step(step));
        world.heal();
    }

    /// Alive until so many looks in a row found nothing new, whatever the count of what was heard does.
    #[test]
    fn a_peer_is_dead_after_so_many_silent_looks_and_not_before(
        most in 0..5u32,
        looks in prop::collection::vec(0..3u64, 1..60),
    ) {
        let mut liveness = Liveness::new(most);
        let mut said = vec![0];
        for heard in looks {
            said.push(heard);
            let silent = said.iter().rev().take_while(|at| **at == heard).count() - 1;
            prop_assert_eq!(liveness.look(heard), (silent as u32) < most.max(1));
        }
    }
}
