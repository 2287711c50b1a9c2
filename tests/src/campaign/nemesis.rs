//! Does to the nodes and the network what the plan says, and heals it.
//!
//! Owns: who a victim is at the moment, what was done, how long groups needed after it. Does not know: what clients are told.
//!
//! 1. After an episode everything is healed, every node answers for the realm and every group acknowledges, in bounded
//!    time; what does not is noted as stuck.

use crate::dice::Dice;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    field::Field,
    oracle::{Kind, Wrong},
    plan::{Episode, Fault, Victim},
    report::{Line, Report},
    workload::{GROUPS, Workload},
};
use crate::proxy::{PERSON, Way};

/// Until every group acknowledges again, once every node answers.
const GO_ON: Duration = Duration::from_secs(45);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Every node has told the others by then how far its disk has come.
const TOLD: Duration = Duration::from_millis(2_500);

/// See the module.
pub struct Nemesis {
    nodes: u32,
}

/// Groups that lost their leader at a moment of the workload's clock, by what.
struct Beheaded {
    how: &'static str,
    at: u64,
    groups: Vec<usize>,
}

impl Nemesis {
    /// One for so many nodes.
    pub fn new(nodes: u32) -> Nemesis {
        Nemesis { nodes }
    }

    /// Plays one episode.
    pub async fn play(&mut self, field: &mut Field, workload: &Workload, report: &mut Report, episode: &Episode) {
        let mut dice = Dice::of(u64::from(episode.number), 5);
        let mut names = Vec::new();
        let mut beheaded = None;
        let mut order: Vec<u32> = (1..=self.nodes).collect();
        for fault in &episode.faults {
            let victim = self.victim(fault, workload);
            names.push(match victim {
                Some(node) => format!("{fault}=n{node}"),
                None => fault.to_string(),
            });
            // Measured is what one fault alone does: with another one, nobody knows what waited for what.
            let alone = episode.faults.len() == 1;
            let led = victim.map(|node| led_by(workload, node)).unwrap_or_default();
            self.strike(field, report, fault, victim, &mut order, &mut dice).await;
            let how = match fault {
                Fault::Kill(_) => "kill",
                Fault::Freeze(_) => "freeze",
                Fault::Isolate(_) => "isolate",
                _ => continue,
            };
            if alone && !led.is_empty() {
                beheaded = Some(Beheaded { how, at: workload.now(), groups: led });
            }
        }
        let lasts = Duration::from_millis(episode.lasts_ms);
        let began = Instant::now();
        sleep(lasts).await;
        for node in field.fallen() {
            report.wrong.push(Wrong::new(Kind::Stuck, &format!("n{node}"), "its process has ended by itself"));
            field.kill(node);
        }
        field.launch(&order);
        let healing = Instant::now();
        for node in field.heal().await {
            let text = format!(
                "it does not answer for the realm {} s after everything was healed",
                healing.elapsed().as_secs()
            );
            report.wrong.push(Wrong::new(Kind::Stuck, &format!("n{node}"), text));
        }
        let healed = workload.now();
        let silent = go_on(workload, healed).await;
        for group in silent {
            let text = format!("it acknowledges nothing {} s after everything was healed", healing.elapsed().as_secs());
            report.wrong.push(Wrong::new(Kind::Stuck, GROUPS[group], text));
        }
        let after = healing.elapsed();
        let failovers = beheaded.map(|b| measure(workload, report, &b)).unwrap_or_default();
        report.line(
            workload,
            &Line { number: episode.number, what: names.join(", "), lasted: healing - began, after, failovers },
        );
        sleep(Duration::from_millis(episode.rest_ms)).await;
    }

    fn victim(&self, fault: &Fault, workload: &Workload) -> Option<u32> {
        let victim = match fault {
            Fault::Kill(v) | Fault::Stop(v) | Fault::Freeze(v) | Fault::Isolate(v) => v,
            Fault::Deafen(v) | Fault::Mute(v) | Fault::Sever(v) => v,
            Fault::Split(_) | Fault::Rough { .. } | Fault::Blackout | Fault::OldCopy(_) | Fault::Swizzle(_) => {
                return None;
            }
        };
        Some(match *victim {
            Victim::Node(node) => node,
            Victim::Leader(group) => workload.leader(group).filter(|n| *n > 0).unwrap_or(1 + group as u32 % self.nodes),
        })
    }

    async fn strike(
        &self,
        field: &mut Field,
        report: &mut Report,
        fault: &Fault,
        victim: Option<u32>,
        order: &mut [u32],
        dice: &mut Dice,
    ) {
        let victim = victim.unwrap_or(0);
        let others = || (1..=self.nodes).filter(move |node| *node != victim);
        let awake = field.is_awake(victim);
        let tally = &mut report.tally;
        match fault {
            // Another fault of this episode was quicker.
            Fault::Kill(_) | Fault::Stop(_) | Fault::Freeze(_) if !awake => {}
            Fault::Kill(_) => {
                field.kill(victim);
                tally.kills += 1;
            }
            Fault::Stop(_) => {
                tally.stops += 1;
                if !field.stop(victim).await {
                    let text = "it was told to stop and has not ended";
                    report.wrong.push(Wrong::new(Kind::Stuck, &format!("n{victim}"), text));
                }
            }
            Fault::Freeze(_) => {
                field.freeze(victim);
                tally.freezes += 1;
            }
            Fault::Isolate(_) => {
                others().for_each(|node| field.proxy().set_both(victim, node, Way::CUT));
                tally.cuts += 1;
            }
            Fault::Deafen(_) => {
                others().for_each(|node| field.proxy().set(node, victim, Way::CUT));
                tally.one_way += 1;
            }
            Fault::Mute(_) => {
                others().for_each(|node| field.proxy().set(victim, node, Way::CUT));
                tally.one_way += 1;
            }
            Fault::Sever(_) => {
                let others: Vec<u32> = others().collect();
                field.proxy().set_both(victim, dice.pick(&others), Way::CUT);
                tally.cuts += 1;
            }
            Fault::Split(side) => {
                for a in side {
                    for b in (1..=self.nodes).filter(|b| !side.contains(b)) {
                        field.proxy().set_both(*a, b, Way::CUT);
                    }
                }
                tally.cuts += 1;
            }
            Fault::Rough { loss, twice, jitter_ms, persons } => {
                let way = Way { loss: *loss, twice: *twice, jitter_ms: *jitter_ms, ..Way::default() };
                let first = if *persons { PERSON } else { 1 };
                for a in first..=self.nodes {
                    (a + 1..=self.nodes).for_each(|b| field.proxy().set_both(a, b, way));
                }
                tally.rough += 1;
            }
            Fault::Blackout => {
                for node in field.realm().running() {
                    field.kill(node);
                    tally.kills += 1;
                }
                tally.blackouts += 1;
            }
            Fault::OldCopy(node) => {
                sleep(TOLD).await;
                field.kill(*node);
                tally.kills += 1;
                tally.old_copies += u64::from(field.keep_or_put_back(*node));
            }
            Fault::Swizzle(nodes) => {
                for node in nodes {
                    if field.is_awake(*node) {
                        field.kill(*node);
                        tally.kills += 1;
                        sleep(Duration::from_millis(dice.below(400))).await;
                    }
                }
                // Back in another order than they went.
                order.rotate_left(dice.below(u64::from(self.nodes)) as usize);
                tally.swizzles += 1;
            }
        }
    }
}

fn led_by(workload: &Workload, node: u32) -> Vec<usize> {
    (0..GROUPS.len()).filter(|group| workload.leader(*group) == Some(node)).collect()
}

/// Waits until every group acknowledges what was asked for after `then`; gives those that do not.
async fn go_on(workload: &Workload, then: u64) -> Vec<usize> {
    let began = Instant::now();
    loop {
        let silent = workload.silent_since(then);
        if silent.is_empty() || began.elapsed() > GO_ON {
            return silent;
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn measure(workload: &Workload, report: &mut Report, beheaded: &Beheaded) -> Vec<u64> {
    let waits: Vec<u64> = beheaded
        .groups
        .iter()
        .filter_map(|group| workload.failover(*group, beheaded.at))
        .map(|wait| wait.as_millis() as u64)
        .collect();
    report.failovers.entry(beheaded.how).or_default().extend(&waits);
    waits
}
