//! What becomes of an entry that has killed a process twice.
//!
//! Each replica where it is deadly asks all voters. If a majority has applied it, the fault is here and the replica is rebuilt
//! from them. If it is deadly for a majority and nobody who can be reached has applied it, the leader writes into the log that it
//! is skipped; that is committed like any entry, and whoever waits goes on behind it.
//!
//! Why that is safe:
//!
//! 1. Whether an entry is applied stands in the log. A replica for which it is deadly does not apply it before that is committed,
//!    and looks for it before it applies it ([`crate::replica::danger`]); so after any restart it goes the same way.
//! 2. Machines are deterministic, so what is deadly for one is so for all that get that far: nobody has an answer to it that
//!    would be taken back. Who has applied it all the same (another host, a flipped bit) is asked first, and then it is not
//!    skipped.
//! 3. One that has applied it and could not be asked differs in its chain from the majority which has skipped it. A skip is an
//!    agreed index, so that is found at once, and it is rebuilt ([`super::rebuild`]).
//! 4. Voting, appending and committing need no machine: the log goes on while replicas wait.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use pando_abi::NodeId;

use super::node::Node;
use crate::codec::wire::{Answer, Ask};
use crate::replica::{GroupRaft, Replica};
use crate::types::Command;

/// How long a voter is waited for.
const ASK_MAX: Duration = Duration::from_millis(500);
/// The pause between two tries, at first and at most.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing yet.
    Wait,
    /// The replica here is rebuilt.
    Rebuild,
    /// It is skipped.
    Skip,
}

/// `configs`: who votes; two sets while they change.
fn judge(configs: &[BTreeSet<u64>], deadly: &BTreeSet<u64>, applied: &BTreeSet<u64>) -> Verdict {
    let majority = |of: &BTreeSet<u64>| configs.iter().all(|config| 2 * config.intersection(of).count() > config.len());
    match () {
        () if configs.is_empty() => Verdict::Wait,
        () if majority(applied) => Verdict::Rebuild,
        () if applied.is_empty() && majority(deadly) => Verdict::Skip,
        () => Verdict::Wait,
    }
}

impl Node {
    async fn verdict(&self, replica: &Replica, raft: &GroupRaft, index: u64) -> Verdict {
        let configs: Vec<BTreeSet<u64>> =
            raft.server_metrics().borrow_watched().membership_config.membership().get_joint_config().to_vec();
        let all: BTreeSet<u64> = configs.iter().flatten().copied().collect();
        let asked = all.iter().filter(|node| **node != self.id).map(|node| async move {
            let ask = Ask::Fate { index };
            (*node, self.link.ask(NodeId(*node as u32), replica.core.group, ask, false, ASK_MAX).await)
        });
        let (mut deadly, mut done) = (BTreeSet::from([self.id]), BTreeSet::new());
        for (node, answer) in futures::future::join_all(asked).await {
            if let Ok(Answer::Fate { deadly: dies, applied }) = answer {
                dies.then(|| deadly.insert(node));
                applied.then(|| done.insert(node));
            }
        }
        judge(&configs, &deadly, &done)
    }
}

/// Sees to it that it is decided what becomes of the deadly entry of a replica.
pub(super) async fn decide(node: Weak<Node>, replica: Arc<Replica>, index: u64) {
    let group = replica.core.group;
    tracing::error!(%group, index, "this process has died twice while it applied an entry; it waits for what the others say");
    let mut pause = PAUSE;
    loop {
        let Some(node) = node.upgrade().filter(|node| node.holds(&replica)) else { return };
        let Some(raft) = replica.running().filter(|_| replica.core.danger.deadly() == Some(index)) else { return };
        // It may have been found at a boot, with its group at rest.
        replica.wake();
        match node.verdict(&replica, raft, index).await {
            Verdict::Rebuild => {
                let why = format!("entry {index} has killed this process twice, and a majority has applied it");
                replica.core.mend(&why);
                replica.core.was_fenced(index, &why);
                node.fence(replica.clone(), index, why).await;
                return;
            }
            Verdict::Skip => {
                if replica.leads() && replica.core.log.skip_of(index).is_none() {
                    tracing::error!(%group, index, "an entry has killed the processes of a majority and is skipped");
                    _ = replica.write_own(raft, Command::Skip { index }, ASK_MAX).await;
                }
            }
            Verdict::Wait => {}
        }
        drop(node);
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_skipped_only_if_a_majority_dies_of_it_and_nobody_has_applied_it() {
        let set = |nodes: &[u64]| nodes.iter().copied().collect::<BTreeSet<u64>>();
        let check = |configs: &[&[u64]], deadly: &[u64], applied: &[u64], expected| {
            let configs: Vec<_> = configs.iter().map(|config| set(config)).collect();
            assert_eq!(judge(&configs, &set(deadly), &set(applied)), expected, "{configs:?} {deadly:?} {applied:?}");
        };
        check(&[&[1, 2, 3]], &[1], &[], Verdict::Wait);
        check(&[&[1, 2, 3]], &[1, 2], &[], Verdict::Skip);
        check(&[&[1, 2, 3]], &[1, 2], &[3], Verdict::Wait);
        check(&[&[1, 2, 3]], &[1], &[2, 3], Verdict::Rebuild);
        check(&[&[1]], &[1], &[], Verdict::Skip);
        check(&[&[1, 2]], &[1], &[2], Verdict::Wait);
        check(&[&[1, 2, 3], &[3, 4, 5]], &[1, 2], &[], Verdict::Wait);
        check(&[&[1, 2, 3], &[3, 4, 5]], &[1, 3, 4], &[], Verdict::Skip);
        check(&[], &[1], &[], Verdict::Wait);
        // Somebody who does not vote says nothing about it.
        check(&[&[1, 2, 3]], &[1, 8, 9], &[], Verdict::Wait);
    }
}
