//! Has a move been made? Asked by whoever stands still until that is known.
//!
//! Owns: the answer. Does not know: what follows from it.
//!
//! 1. `true` is only said once the realm has written the move down, `false` only once it never will.
//! 2. Whose leader is gone, has been started anew, or is silent, asks by changing the row from which the move would start. Of that and the move the realm does one.

use std::{sync::Arc, time::Duration};

use pando_abi::{Address, NodeId};
use tokio::sync::mpsc;

use super::{Part, Word};
use crate::{
    node::Kernel,
    root::{MovedEntry, RootCommand},
    wire::MoveStep,
};

/// How often it is looked whether the leader is still there.
const LOOK: Duration = Duration::from_millis(500);
/// How long a leader may say nothing: longer than any that goes on needs before it asks the realm.
const SILENCE: Duration = Duration::from_secs(75);

/// How long a node may be behind the leader in what it knows of the realm.
const BEHIND: Duration = Duration::from_secs(5);

/// A move, as one of those sees it who stand still.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub part: Part,
    pub mark: u64,
    /// The mark of the move before.
    pub before: u64,
    pub address: Address,
    pub leader: NodeId,
    /// The boot of it that said so. Another one knows nothing of the move, however soon it is back.
    pub leader_life: Option<u64>,
    /// Where it lived.
    pub source: NodeId,
}

impl Kernel {
    /// Waits until the mark of the latest move that this node knows of is such a one. `false`: it did not become so in time.
    pub(super) async fn until_mark(&self, address: Address, is_such: impl Fn(u64) -> bool) -> bool {
        let deadline = tokio::time::Instant::now() + BEHIND;
        self.until_root(deadline, |root| is_such(root.moved(address).map_or(0, |row| row.mark))).await
    }

    /// Waits until it is known whether the move was made.
    pub(super) async fn verdict(self: &Arc<Self>, case: Case, words: &mut mpsc::Receiver<Word>) -> bool {
        let mut changes = self.root().changes();
        let began = tokio::time::Instant::now();
        loop {
            if let Some(made) = self.settled(&case) {
                return made;
            }
            tokio::select! {
                word = words.recv() => match word {
                    Some((from, MoveStep::Go)) if from == case.leader => return true,
                    Some((from, MoveStep::Undo)) if from == case.leader => return false,
                    Some(_) => {}
                    None => tokio::time::sleep(LOOK).await,
                },
                _ = changes.changed() => {}
                () = tokio::time::sleep(LOOK) => {
                    let there = case.leader_life.is_some() && self.life_of(case.leader) == case.leader_life;
                    if !there || began.elapsed() > SILENCE {
                        self.prevent(&case).await;
                    }
                }
            }
        }
    }

    fn settled(&self, case: &Case) -> Option<bool> {
        let row = self.moved(case.address);
        match row.map_or(0, |row| row.mark) {
            mark if mark == case.mark => Some(true),
            mark if mark == case.before => {
                // A leader that is no member any more decides nothing.
                let gone = self.root().read(|root| root.is_founded() && root.member(case.leader).is_none());
                gone.then_some(false)
            }
            // Something else came of it: it stayed, or was made and something came after it.
            _ => Some(case.part == Part::Source && row.is_none_or(|row| row.node != self.id())),
        }
    }

    /// Has the realm write down that the actor stays where it was, unless the move was made already.
    async fn prevent(&self, case: &Case) {
        let (node, life) = (case.source, if case.source == self.id() { self.incarnation().0 } else { 0 });
        let mark = self.door().seed() | 1;
        let stay = MovedEntry { address: case.address, node, life, via: node, via_life: life, mark };
        let command = RootCommand::MoveActor { to: stay, from: node, before: case.before };
        if let Err(why) = self.root_command(command).await {
            tracing::info!(address = %case.address, %why, "it is not known yet whether an actor has moved");
        }
    }
}
