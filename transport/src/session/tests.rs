use super::*;
use crate::hello::{Role, Versions};
use pando_abi::RealmId;

fn hello(node: u32, life: u64) -> Hello {
    Hello {
        versions: Versions::CURRENT,
        role: Role::Node,
        node: NodeId(node),
        incarnation: Incarnation(life),
        realm: RealmId([1; 32]),
    }
}

fn machine(me: u32, peer: u32) -> Session {
    Session::new(hello(me, 1), NodeId(peer), Timing::default(), 7, 0)
}

#[test]
fn the_lower_side_dials_and_chooses() {
    let mut s = machine(1, 2);
    let mut out = Vec::new();
    s.tick(0, 10, &mut out);
    s.dialled(10, &mut out);
    s.answered(1, 10, &hello(2, 5), &mut out);
    let up = |link, life| Output::Up { link, incarnation: Incarnation(life), version: 1 };
    let dial = [Output::Dial { link: 10 }, Output::Hello { link: 10 }, Output::Go { link: 10 }];
    assert_eq!(out, [&dial[..], &[up(10, 5)]].concat());
    assert_eq!(s.deadline_ms(), None);
    // A second connection of the same life is refused, one of another life takes over.
    out.clear();
    s.accepted(2, 11, &hello(2, 5), &mut out);
    assert!(matches!(&out[..], [Output::Close { link: 11, close }] if close.code == CloseCode::Duplicate));
    out.clear();
    s.accepted(3, 12, &hello(2, 6), &mut out);
    assert_eq!(out[0], Output::Hello { link: 12 });
    assert!(matches!(&out[1], Output::Down { link: 10, .. }));
    assert!(matches!(&out[2], Output::Close { link: 10, close } if close.code == CloseCode::Replaced));
    assert_eq!(out[3], up(12, 6));
}

#[test]
fn the_higher_side_waits_for_the_word() {
    let mut s = machine(2, 1);
    let mut out = Vec::new();
    s.accepted(0, 10, &hello(1, 5), &mut out);
    assert_eq!(out, [Output::Hello { link: 10 }]);
    assert_eq!(s.live(), None);
    s.go(1, 10, &mut out);
    assert_eq!(s.live(), Some((10, Incarnation(5))));
    // The chooser chose another connection.
    s.accepted(2, 11, &hello(1, 5), &mut out);
    s.go(3, 11, &mut out);
    assert_eq!(s.live(), Some((11, Incarnation(5))));
}

#[test]
fn a_link_that_is_not_opened_in_time_is_closed_and_dialled_again() {
    let mut s = machine(1, 2);
    let mut out = Vec::new();
    s.tick(0, 10, &mut out);
    let deadline = s.deadline_ms().unwrap();
    out.clear();
    s.tick(deadline, 11, &mut out);
    assert!(matches!(&out[..], [Output::Close { link: 10, close }] if close.code == CloseCode::Late));
    out.clear();
    s.tick(s.deadline_ms().unwrap(), 12, &mut out);
    assert_eq!(out, [Output::Dial { link: 12 }]);
}

#[test]
fn a_flood_of_connections_is_bounded() {
    let mut s = machine(2, 1);
    let mut out = Vec::new();
    for link in 0..100 {
        s.accepted(0, link, &hello(1, 5), &mut out);
    }
    let refused = |o: &&Output| matches!(o, Output::Close { close, .. } if close.code == CloseCode::Busy);
    assert_eq!(out.iter().filter(refused).count(), 100 - OPENING_MAX);
}

#[test]
fn a_wrong_version_is_refused_and_not_hurried() {
    let mut s = machine(1, 2);
    let mut out = Vec::new();
    let mut other = hello(2, 5);
    other.versions = Versions { oldest: 9, newest: 9 };
    s.tick(0, 10, &mut out);
    s.dialled(10, &mut out);
    s.answered(0, 10, &other, &mut out);
    let last = out.pop().unwrap();
    assert!(matches!(last, Output::Close { close, .. } if close.code == CloseCode::WrongVersion));
    assert!(s.deadline_ms().unwrap() >= Timing::default().retry_ms_max / 2);
}

#[test]
fn forgetting_a_peer_ends_everything() {
    let mut s = machine(2, 1);
    let mut out = Vec::new();
    s.accepted(0, 10, &hello(1, 5), &mut out);
    s.go(0, 10, &mut out);
    s.accepted(0, 11, &hello(1, 5), &mut out);
    out.clear();
    s.forget(5, &Close::new(CloseCode::Removed, ""), &mut out);
    assert!(matches!(&out[0], Output::Down { link: 10, .. }));
    assert_eq!(out.len(), 3);
    assert_eq!(s.live(), None);
}

/// Two machines, a network that loses links at any moment, and restarts. Whatever happens: one session at most on each side,
/// Ups and Downs take turns; and once the trouble ends, both sides are live on the same connection.
#[test]
fn two_sides_agree_whatever_the_network_does() {
    for seed in 1..400 {
        World::new(seed).run();
    }
}

/// What travels on a link, in order, to one side.
#[derive(Clone, Copy)]
enum Wire {
    /// The handshake is done (to the dialler).
    Connected,
    Hello(Hello),
    Go,
    Closed,
}

struct World {
    seed: u64,
    now: u64,
    sides: [Session; 2],
    lives: [u64; 2],
    ups: [Option<LinkId>; 2],
    next_link: LinkId,
    /// Per link: who dialled it, and what is on its way to each side. Gone when cut.
    links: BTreeMap<LinkId, (usize, [std::collections::VecDeque<Wire>; 2])>,
}

impl World {
    fn new(seed: u64) -> World {
        World {
            seed,
            now: 0,
            sides: [machine(1, 2), machine(2, 1)],
            lives: [1, 1],
            ups: [None, None],
            next_link: 1,
            links: BTreeMap::new(),
        }
    }

    fn draw(&mut self, n: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) % n
    }

    fn run(&mut self) {
        for _ in 0..300 {
            self.step(true);
        }
        for _ in 0..4000 {
            self.step(false);
        }
        let [a, b] = [self.sides[0].live(), self.sides[1].live()];
        assert!(a.is_some() && a.map(|l| l.0) == b.map(|l| l.0), "{a:?} {b:?}");
        assert_eq!(a.map(|l| l.1.0), Some(self.lives[1]));
        assert_eq!(b.map(|l| l.1.0), Some(self.lives[0]));
    }

    fn step(&mut self, trouble: bool) {
        match self.draw(if trouble { 12 } else { 8 }) {
            0 | 1 => {
                self.now += self.draw(40);
                for side in 0..2 {
                    let fresh = self.next_link;
                    self.next_link += 1;
                    self.input(side, |s, now, out| s.tick(now, fresh, out));
                }
            }
            8 => self.cut_one(),
            9 if self.draw(5) == 0 => self.restart(),
            _ => self.deliver(),
        }
    }

    fn deliver(&mut self) {
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let link = ids[self.draw(ids.len() as u64) as usize];
        let side = self.draw(2) as usize;
        let Some((dialler, queues)) = self.links.get_mut(&link) else { return };
        let dialler = *dialler;
        let Some(wire) = queues[side].pop_front() else { return };
        match wire {
            Wire::Connected => self.input(side, |s, _, out| s.dialled(link, out)),
            Wire::Hello(h) if dialler == side => {
                self.input(side, |s, now, out| s.answered(now, link, &h, out));
            }
            Wire::Hello(h) => self.input(side, |s, now, out| s.accepted(now, link, &h, out)),
            Wire::Go => self.input(side, |s, now, out| s.go(now, link, out)),
            Wire::Closed => {
                self.links.remove(&link);
                self.input(side, |s, now, out| s.ended(now, link, "closed", false, out));
            }
        }
    }

    fn cut_one(&mut self) {
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        if let Some(link) = ids.first().copied() {
            self.links.remove(&link);
            for side in 0..2 {
                self.input(side, |s, now, out| s.ended(now, link, "cut", false, out));
            }
        }
    }

    fn restart(&mut self) {
        let side = self.draw(2) as usize;
        self.lives[side] += 1;
        let me = side as u32 + 1;
        self.sides[side] =
            Session::new(hello(me, self.lives[side]), NodeId(3 - me), Timing::default(), self.seed, self.now);
        self.ups[side] = None;
        // Its connections are dead; the other side finds out link by link, at some time.
        for (_, queues) in self.links.values_mut() {
            queues[side].clear();
            queues[1 - side].clear();
            queues[1 - side].push_back(Wire::Closed);
        }
    }

    fn input(&mut self, side: usize, f: impl FnOnce(&mut Session, u64, &mut Vec<Output>)) {
        let mut out = Vec::new();
        f(&mut self.sides[side], self.now, &mut out);
        for output in out {
            self.carry_out(side, output);
        }
        assert_eq!(self.sides[side].live().map(|l| l.0), self.ups[side]);
    }

    fn carry_out(&mut self, side: usize, output: Output) {
        let ours = hello(side as u32 + 1, self.lives[side]);
        let say = |world: &mut World, link: LinkId, wire: Wire| {
            if let Some((_, queues)) = world.links.get_mut(&link) {
                queues[1 - side].push_back(wire);
            }
        };
        match output {
            Output::Dial { link } => {
                let mut queues: [std::collections::VecDeque<Wire>; 2] = Default::default();
                queues[side].push_back(Wire::Connected);
                self.links.insert(link, (side, queues));
            }
            Output::Hello { link } => say(self, link, Wire::Hello(ours)),
            Output::Go { link } => say(self, link, Wire::Go),
            Output::Close { link, .. } => say(self, link, Wire::Closed),
            Output::Up { link, .. } => {
                assert_eq!(self.ups[side].replace(link), None, "an Up without a Down");
            }
            Output::Down { link, .. } => assert_eq!(self.ups[side].take(), Some(link)),
        }
    }
}
