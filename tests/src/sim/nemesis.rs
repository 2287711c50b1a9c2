//! What goes wrong, and when: drawn from the seed before it begins, in the ranges that TigerBeetle's simulator draws from.
//!
//! Owns: the faults that are in force, and until when. Does not know: what the product makes of them.
//!
//! 1. While it rages anything may fail: every node may be down, cut off, slow, and wrong about the time.
//! 2. After [`Nemesis::heal`] nothing fails any more.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use pando_abi::NodeId;
use pando_transport::Channel;

use super::{
    disk::DiskFaults,
    world::{TICK, Tuning, World},
};
use crate::dice::Dice;

/// How bad it is. Rates are in a million, for each tick (and each pair of nodes, or each node).
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Raft frames lost.
    pub loss_ppm: u64,
    /// Raft and control frames that come twice.
    pub replay_ppm: u64,
    /// The longest usual way of a frame.
    pub delay_ms: u64,
    /// Ways that clog.
    pub clog_ppm: u64,
    /// For how long, on average.
    pub clog_ms: u64,
    /// Partitions that begin.
    pub partition_ppm: u64,
    /// For how long, on average.
    pub partition_ms: u64,
    /// Sessions that break and stand again.
    pub reset_ppm: u64,
    /// Crashes.
    pub crash_ppm: u64,
    /// For how long, on average.
    pub down_ms: u64,
    /// Pauses.
    pub pause_ppm: u64,
    /// For how long, on average.
    pub pause_ms: u64,
    /// Nodes stopped one by one and released in another order.
    pub swizzle_ppm: u64,
    /// Clocks that jump, and the longest jump in seconds.
    pub jump_ppm: u64,
    /// See there.
    pub jump_s: u64,
    /// How much faster or slower clocks go, in thousandths.
    pub drift: u64,
    /// What disks do.
    pub disk: DiskFaults,
    /// Disks that have no more room, or little.
    pub full_ppm: u64,
    /// For how long, on average.
    pub full_ms: u64,
    /// Another binary comes to the nodes, one after the other.
    pub rollout_ppm: u64,
    /// From one node to the next, on average.
    pub rollout_ms: u64,
    /// Nodes that are off and whose disks rot meanwhile, in a million boots.
    pub rot_ppm: u64,
}

impl Weather {
    /// Drawn. About one kind of fault in three is absent from a run, so that others show better.
    pub fn draw(dice: &mut Dice, own: &mut Dice) -> Weather {
        let mut rollout = |max: u64| if own.percent(35) { 0 } else { own.between(1, max) };
        let [rollout_ppm, rollout_ms] = [rollout(800), rollout(1_500)];
        let mut some = |max: u64| if dice.percent(35) { 0 } else { dice.between(1, max.max(1)) };
        Weather {
            loss_ppm: some(300_000),
            replay_ppm: some(500_000),
            delay_ms: some(40),
            clog_ppm: some(600),
            clog_ms: some(5_000),
            partition_ppm: some(1_200),
            partition_ms: some(4_000),
            reset_ppm: some(2_000),
            crash_ppm: some(900),
            down_ms: some(3_000),
            pause_ppm: some(400),
            pause_ms: some(3_000),
            swizzle_ppm: some(150),
            jump_ppm: some(200),
            jump_s: some(3_600),
            drift: some(100),
            disk: DiskFaults {
                write_ppm: some(60),
                sync_ppm: some(200),
                cut_ppm: some(1_500),
                damage_percent: 80 + some(20),
                delay_ms_max: some(150),
                read_ppm: some(4_000),
            },
            full_ppm: some(100),
            full_ms: some(2_000),
            rot_ppm: some(300_000),
            rollout_ppm,
            rollout_ms,
        }
    }

    /// Nothing goes wrong.
    pub fn calm() -> Weather {
        let disk = DiskFaults { damage_percent: 100, ..DiskFaults::default() };
        Weather {
            loss_ppm: 0,
            replay_ppm: 0,
            delay_ms: 0,
            clog_ppm: 0,
            clog_ms: 0,
            partition_ppm: 0,
            partition_ms: 0,
            reset_ppm: 0,
            crash_ppm: 0,
            down_ms: 0,
            pause_ppm: 0,
            pause_ms: 0,
            swizzle_ppm: 0,
            jump_ppm: 0,
            jump_s: 0,
            drift: 0,
            disk,
            full_ppm: 0,
            full_ms: 0,
            rot_ppm: 0,
            rollout_ppm: 0,
            rollout_ms: 0,
        }
    }
}

/// See the module.
pub struct Nemesis {
    weather: Weather,
    dice: Dice,
    /// For what came later: what is drawn from it leaves the rest of a seed as it was.
    own: Dice,
    /// Machines that have another binary to get, the next one first, and when.
    rollout: Option<(VecDeque<usize>, Tuning, Duration)>,
    /// Nodes that are off, and until when.
    off: BTreeMap<usize, Duration>,
    /// Cut pairs, and until when.
    cuts: BTreeMap<(NodeId, NodeId), Duration>,
    /// Clogged ways, and until when.
    clogs: BTreeMap<(NodeId, NodeId), Duration>,
    /// Full disks, and until when.
    full: BTreeMap<usize, Duration>,
    /// What happened, for people.
    pub deeds: Vec<(Duration, String)>,
}

impl Nemesis {
    /// Ready, and nothing done.
    pub fn new(dice: Dice, own: Dice, weather: Weather) -> Nemesis {
        Nemesis {
            weather,
            dice,
            own,
            rollout: None,
            off: BTreeMap::new(),
            cuts: BTreeMap::new(),
            clogs: BTreeMap::new(),
            full: BTreeMap::new(),
            deeds: Vec::new(),
        }
    }

    /// Disks and clocks get their faults.
    pub fn begin(&mut self, world: &mut World) {
        for at in 0..world.machines.len() {
            self.meet(world, at);
        }
    }

    /// A machine is new: its disk and clock get their faults.
    pub fn meet(&mut self, world: &mut World, at: usize) {
        let machine = &mut world.machines[at];
        machine.disk.faults(self.weather.disk);
        machine.rate = self.dice.between(1_000 - self.weather.drift, 1_000 + self.weather.drift);
    }

    fn for_ms(&mut self, mean: u64) -> Duration {
        Duration::from_millis(self.dice.below(2 * mean + 1))
    }

    /// Something was done, by whomever.
    pub fn did(&mut self, world: &World, what: String) {
        self.deeds.push((world.now(), what));
    }

    /// Does what is due in this tick.
    pub fn act(&mut self, world: &mut World) {
        let now = world.now();
        let due: Vec<usize> = self.off.iter().filter(|(_, until)| **until <= now).map(|(at, _)| *at).collect();
        for at in due {
            self.off.remove(&at);
            self.boot(world, at);
        }
        for pair in take_due(&mut self.cuts, now) {
            world.net.heal(pair.0, pair.1);
        }
        for (a, b) in take_due(&mut self.clogs, now) {
            world.net.delay(a, b, 0);
        }
        let nodes: Vec<NodeId> = world.machines.iter().map(|m| m.id()).collect();
        let w = self.weather;
        for a in &nodes {
            for b in nodes.iter().filter(|b| *b != a) {
                self.between(world, *a, *b);
            }
        }
        for at in take_due(&mut self.full, now) {
            world.machines[at].disk.room(None);
        }
        for (at, node) in nodes.iter().enumerate() {
            if !world.machines[at].is_on() {
                continue;
            }
            if self.dice.ppm(w.full_ppm) {
                let (more, until) = (self.dice.below(64 << 10), now + self.for_ms(w.full_ms));
                world.machines[at].disk.room(Some(more));
                self.full.insert(at, until);
                self.did(world, format!("the disk of {node} has room for {more} bytes until {until:?}"));
            }
            if self.dice.ppm(w.crash_ppm) {
                self.crash(world, at);
            } else if self.dice.ppm(w.pause_ppm) {
                let until = now + self.for_ms(w.pause_ms);
                world.machines[at].paused_until = until;
                self.did(world, format!("{node} is paused until {until:?}"));
            } else if self.dice.ppm(w.jump_ppm) {
                let by = Duration::from_secs(self.dice.below(w.jump_s + 1));
                world.machines[at].put_clock(by);
                self.did(world, format!("the clock of {node} jumps by {by:?}"));
            }
        }
        self.roll_out(world);
        if self.dice.ppm(w.partition_ppm) && nodes.len() > 1 {
            self.partition(world, &nodes);
        }
        if self.dice.ppm(w.swizzle_ppm) {
            let mut order: Vec<usize> = (0..nodes.len()).collect();
            self.dice.shuffle(&mut order);
            let mut release = order.clone();
            self.dice.shuffle(&mut release);
            let step = self.for_ms(400) + TICK;
            for (n, at) in order.into_iter().enumerate() {
                let back = release.iter().position(|r| *r == at).unwrap_or(0);
                // The stop of a later one is hidden in the length of its pause.
                world.machines[at].paused_until = now + step * (n + back + 1) as u32;
            }
            self.did(world, "all are stopped one by one and released in another order".into());
        }
    }

    /// Another binary comes, to one node after the other, while everything else goes on.
    fn roll_out(&mut self, world: &mut World) {
        let now = world.now();
        if self.rollout.is_none() && self.own.ppm(self.weather.rollout_ppm) {
            let mut order: Vec<usize> = (0..world.machines.len()).filter(|at| !world.machines[*at].gone).collect();
            self.own.shuffle(&mut order);
            let tuning = world.tuning.next(&mut self.own);
            world.tuning = tuning;
            self.did(world, format!("another binary comes: {tuning:?}"));
            self.rollout = Some((order.into(), tuning, now));
        }
        let Some((order, tuning, at)) = &mut self.rollout else { return };
        if *at > now {
            return;
        }
        let (next, tuning) = (order.pop_front(), *tuning);
        *at = now + Duration::from_millis(self.own.below(2 * self.weather.rollout_ms + 1)) + TICK;
        let Some(next) = next else {
            self.rollout = None;
            return;
        };
        world.machines[next].tuning = tuning;
        if world.machines[next].is_on() && !world.machines[next].gone && !world.machines[next].wiped {
            world.crash(next);
            self.off.insert(next, now + Duration::from_millis(self.own.below(300)));
            self.did(world, format!("{} is ended for another binary", world.machines[next].id()));
        }
    }

    fn between(&mut self, world: &mut World, a: NodeId, b: NodeId) {
        let w = self.weather;
        let now = world.now();
        // A frame a tick at most is drawn for, so the rates are of frames that are on their way.
        if self.dice.ppm(w.loss_ppm) {
            world.net.drop_next(a, b, Channel::Raft);
        }
        if self.dice.ppm(w.replay_ppm) {
            let channel = if self.dice.percent(80) { Channel::Raft } else { Channel::Control };
            world.net.duplicate_next(a, b, channel);
        }
        if self.dice.ppm(w.reset_ppm) {
            world.net.break_session(a, b);
        }
        if self.clogs.contains_key(&(a, b)) {
            return;
        }
        if self.dice.ppm(w.clog_ppm) {
            let until = now + self.for_ms(w.clog_ms);
            self.clogs.insert((a, b), until);
            world.net.delay(a, b, (until - now).as_nanos() as u64);
            self.did(world, format!("the way from {a} to {b} clogs until {until:?}"));
        } else if w.delay_ms > 0 && self.dice.percent(2) {
            world.net.delay(a, b, self.dice.below(w.delay_ms * 1_000_000));
        }
    }

    fn partition(&mut self, world: &mut World, nodes: &[NodeId]) {
        let until = world.now() + self.for_ms(self.weather.partition_ms);
        let mut side = nodes.to_vec();
        self.dice.shuffle(&mut side);
        let size = self.dice.between(1, nodes.len() as u64 - 1) as usize;
        let (left, right) = side.split_at(size);
        let one_way = self.dice.percent(30);
        for a in left {
            for b in right {
                if one_way {
                    // What is said does not arrive; what is heard does.
                    self.clogs.insert((*a, *b), until);
                    world.net.delay(*a, *b, (until - world.now()).as_nanos() as u64);
                } else {
                    self.cuts.insert((*a, *b), until);
                    world.net.partition(*a, *b);
                }
            }
        }
        let how = if one_way { "do not reach" } else { "and" };
        let many = |side: &[NodeId]| side.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let ends = if one_way { "" } else { " are apart" };
        self.did(world, format!("{} {how} {}{ends} until {until:?}", many(left), many(right)));
    }

    fn crash(&mut self, world: &mut World, at: usize) {
        world.crash(at);
        self.died(world, at, "crashes");
    }

    /// A node is gone; it comes back after a while.
    pub fn died(&mut self, world: &World, at: usize, how: &str) {
        let until = world.now() + self.for_ms(self.weather.down_ms);
        self.off.insert(at, until);
        self.did(world, format!("{} {how}, back at {until:?}", world.machines[at].id()));
    }

    fn boot(&mut self, world: &mut World, at: usize) {
        if world.machines[at].is_on() || world.machines[at].gone || world.machines[at].wiped {
            return;
        }
        if self.dice.ppm(self.weather.jump_ppm * 100) {
            world.machines[at].put_clock_back(Duration::from_secs(self.dice.below(self.weather.jump_s + 1)));
        }
        // What has stopped a boot is put right; then something else may rot.
        let disk = world.machines[at].disk.clone();
        disk.mend();
        if self.dice.ppm(self.weather.rot_ppm)
            && let Some(file) = disk.rot()
        {
            self.did(world, format!("a bit of {file} on {} has rotted", world.machines[at].id()));
        }
        world.boot(at);
        self.did(world, format!("{} boots", world.machines[at].id()));
    }

    /// Everything is mended, and everybody is up.
    pub fn heal(&mut self, world: &mut World) {
        self.weather = Weather::calm();
        self.off.clear();
        self.rollout = None;
        let nodes: Vec<NodeId> = world.machines.iter().map(|m| m.id()).collect();
        for a in &nodes {
            for b in nodes.iter().filter(|b| *b != a) {
                world.net.delay(*a, *b, 0);
                // What is still on a clogged way would hold up what comes after it.
                world.net.break_session(*a, *b);
            }
        }
        self.cuts.clear();
        self.clogs.clear();
        self.full.clear();
        world.net.heal_all();
        for at in 0..nodes.len() {
            if world.machines[at].is_on() && world.machines[at].disk.is_hurt() {
                // A replica that has found rot has stopped, and looks again when its node is started.
                world.crash(at);
            }
            let machine = &mut world.machines[at];
            machine.disk.faults(self.weather.disk);
            machine.disk.room(None);
            machine.disk.mend();
            machine.rate = 1_000;
            machine.paused_until = Duration::ZERO;
            self.boot(world, at);
        }
        self.did(world, "everything is mended".into());
    }
}

fn take_due<K: Copy + Ord>(map: &mut BTreeMap<K, Duration>, now: Duration) -> Vec<K> {
    let due: Vec<_> = map.iter().filter(|(_, until)| **until <= now).map(|(key, _)| *key).collect();
    map.retain(|_, until| *until > now);
    due
}
