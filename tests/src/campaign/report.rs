//! What a person reads: a line for each episode, a summary, and how to have a failure again.
//!
//! Owns: the tally and the columns. Does not know: how anything came about.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    Campaign,
    field::Field,
    history::{Outcome, What},
    oracle::{Kind, Wrong},
    workload::{GROUPS, Workload},
};
use crate::proxy::Counts;

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Processes killed.
    pub kills: u64,
    /// Processes stopped in order.
    pub stops: u64,
    /// Processes frozen and thawed.
    pub freezes: u64,
    /// Partitions both ways.
    pub cuts: u64,
    /// Partitions one way.
    pub one_way: u64,
    /// Times of loss, repetition and jitter.
    pub rough: u64,
    /// Power cuts of everything.
    pub blackouts: u64,
    /// Nodes down one after the other.
    pub swizzles: u64,
    /// Disks that were put back as they once were.
    pub old_copies: u64,
}

/// One episode.
pub struct Line {
    /// Its number.
    pub number: u32,
    /// The faults, with their victims.
    pub what: String,
    /// How long they lasted.
    pub lasted: Duration,
    /// From the healing until every group acknowledged again.
    pub after: Duration,
    /// Milliseconds from a leader's loss to the next acknowledgement, for each group that had it.
    pub failovers: Vec<u64>,
}

/// See the module.
pub struct Report {
    campaign: Campaign,
    began: Instant,
    /// What was done.
    pub tally: Tally,
    /// What is wrong.
    pub wrong: Vec<Wrong>,
    /// Milliseconds without a leader, by how it was lost.
    pub failovers: BTreeMap<&'static str, Vec<u64>>,
    /// What became of packets.
    pub packets: Counts,
    /// How long the last questions took.
    pub settled: Duration,
    episodes: u32,
    after: Vec<u64>,
    counts: [u64; 4],
    changes: usize,
    longest: (Duration, &'static str, f64),
    failed: [BTreeMap<&'static str, u64>; 2],
}

impl Report {
    /// An empty one.
    pub fn new(campaign: &Campaign) -> Report {
        Report {
            campaign: campaign.clone(),
            began: Instant::now(),
            tally: Tally::default(),
            wrong: Vec::new(),
            failovers: BTreeMap::new(),
            packets: Counts::default(),
            settled: Duration::ZERO,
            episodes: 0,
            after: Vec::new(),
            counts: [0; 4],
            changes: 0,
            longest: (Duration::ZERO, "", 0.0),
            failed: Default::default(),
        }
    }

    /// The command that has this day again.
    pub fn command(&self) -> String {
        let Campaign { seed, length, nodes, .. } = self.campaign;
        let minutes = length.as_secs_f64() / 60.0;
        format!(
            "cargo run --release -p pando-tests --bin campaign -- --seed {seed} --minutes {minutes:.1} --nodes {nodes}"
        )
    }

    /// Is there no use in going on?
    pub fn is_hopeless(&self) -> bool {
        self.wrong.iter().any(|wrong| wrong.kind == Kind::Stuck)
    }

    /// The columns.
    pub fn head(&self) {
        println!("{}", self.command());
        println!(
            "{:>7} {:>4} {:>9} {:>7} {:>7} {:>6}  {:<14} what",
            "time", "no", "acked", "unknown", "lasted", "after", "failover"
        );
    }

    /// A line of the log.
    pub fn line(&mut self, workload: &Workload, line: &Line) {
        self.episodes = line.number;
        self.after.push(line.after.as_millis() as u64);
        let [acked, _, unknown, _] = workload.counts();
        let failovers = line.failovers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
        println!(
            "{:>6.1}s {:>4} {:>9} {:>7} {:>6.1}s {:>5.1}s  {:<14} {}",
            self.began.elapsed().as_secs_f64(),
            line.number,
            acked,
            unknown,
            line.lasted.as_secs_f64(),
            line.after.as_secs_f64(),
            failovers,
            line.what
        );
        for wrong in &self.wrong {
            println!("        WRONG {wrong}");
        }
    }

    /// Looks through everything once more, and sums up.
    pub fn sum_up(&mut self, workload: &Workload) {
        self.counts = workload.counts();
        self.failed = workload.failed();
        for (group, name) in GROUPS.iter().enumerate() {
            let tracks = workload.tracks.iter().filter(|track| track.group == group);
            let mut acks: Vec<(u64, u32)> = tracks
                .flat_map(|track| track.history.all())
                .filter(|op| op.what == What::Add && matches!(op.outcome, Outcome::Value(_)))
                .map(|op| (op.told, op.node))
                .collect();
            acks.sort_unstable();
            for pair in acks.windows(2) {
                let gap = Duration::from_nanos(pair[1].0 - pair[0].0);
                if gap > self.longest.0 {
                    self.longest = (gap, name, pair[0].0 as f64 / 1e9);
                }
                self.changes += usize::from(pair[0].1 != pair[1].1 && pair[1].1 != 0);
            }
        }
    }

    /// The end of the log.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let [acked, refused, unknown, reads] = self.counts;
        let Tally { kills, stops, freezes, cuts, one_way, rough, blackouts, swizzles, old_copies } = self.tally;
        let (gap, group, at) = self.longest;
        let _ = writeln!(
            text,
            "seed {} · {} nodes · {:.1} min · {} episodes\n\
             calls     {acked} acknowledged, {refused} refused, {unknown} unknown, {reads} reads\n\
             in vain   attempts at groups {:?}, at plain actors {:?}\n\
             faults    {kills} kills, {stops} stops, {freezes} freezes, {cuts} partitions, {one_way} one-way, {rough} rough, {blackouts} blackouts, {swizzles} swizzles, {old_copies} old disks\n\
             packets   {:?}\n\
             leaders   {} changes; longest without an answer {:.1} s ({group}, at {at:.1} s); answers after healing {}",
            self.campaign.seed,
            self.campaign.nodes,
            self.began.elapsed().as_secs_f64() / 60.0,
            self.episodes,
            self.failed[0],
            self.failed[1],
            self.packets,
            self.changes,
            gap.as_secs_f64(),
            quantiles(&self.after),
        );
        for (how, waits) in &self.failovers {
            let _ = writeln!(text, "failover  {how}: {}", quantiles(waits));
        }
        let _ = writeln!(
            text,
            "settled   in {:.1} s: every value, every letter, every replica",
            self.settled.as_secs_f64()
        );
        if self.wrong.is_empty() {
            let _ = write!(text, "RIGHT     nothing lost, nothing doubled, nothing stale, nothing out of order");
        } else {
            for wrong in &self.wrong {
                let _ = writeln!(text, "WRONG     {wrong}");
            }
            let _ = write!(text, "again     {}", self.command());
        }
        text
    }

    /// Keeps histories and logs, which else go with the realm's own folder.
    pub fn keep(&self, field: &Field, workload: &Workload) {
        let own = || std::env::temp_dir().join(format!("pando-campaign-{}", self.campaign.seed));
        let folder = self.campaign.keep.clone().unwrap_or_else(own);
        match self.write(&folder, field, workload) {
            Ok(()) => println!("kept      {}", folder.display()),
            Err(why) => println!("kept      nothing: {why}"),
        }
    }

    fn write(&self, folder: &Path, field: &Field, workload: &Workload) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        for (name, ops) in workload.histories() {
            let mut text = String::new();
            for op in ops {
                let _ = writeln!(text, "{op:?}");
            }
            std::fs::write(folder.join(format!("{}.history", name.replace(' ', "-"))), text)?;
        }
        for node in 1..=field.nodes() {
            let log = field.realm().data().join(format!("n{node}")).join("node.log");
            std::fs::copy(log, folder.join(format!("n{node}.log")))?;
        }
        Ok(())
    }
}

/// `12 times, p50 .. ms, p99 .. ms, longest .. ms`
fn quantiles(times_ms: &[u64]) -> String {
    if times_ms.is_empty() {
        return "never".to_owned();
    }
    let mut sorted = times_ms.to_vec();
    sorted.sort_unstable();
    let at = |per_cent: usize| sorted[(sorted.len() * per_cent).div_ceil(100).max(1) - 1];
    format!("{} times, p50 {} ms, p99 {} ms, longest {} ms", sorted.len(), at(50), at(99), at(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_came_about() {
        assert_eq!(quantiles(&[]), "never");
        assert_eq!(quantiles(&[5]), "1 times, p50 5 ms, p99 5 ms, longest 5 ms");
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(quantiles(&hundred), "100 times, p50 50 ms, p99 99 ms, longest 100 ms");
    }
}
