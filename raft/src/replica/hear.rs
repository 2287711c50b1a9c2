//! What replicas say to each other about what they have, and what follows.
//!
//! 1. Who finds itself in the minority applies nothing from that moment on.
//! 2. A finding is told once, until it is over.

use std::sync::atomic::Ordering;

use pando_abi::NodeId;

use crate::attest::{Finding, Word};
use crate::codec::wire::Packet;

use super::{Core, Notice};

/// How often replicas are compared without news, because words were lost.
const AGAIN_MAX: u32 = 5;

impl Core {
    /// Entries of the machine stand behind the last agreed index; or not all voters who can be reached have spoken there, or one
    /// was found wrong and has not said that it knows: in a group in which nothing happens there is no other time.
    pub(crate) fn wants_checkpoint(&self) -> bool {
        let (worked, agreed) = (self.worked.load(Ordering::Relaxed), self.agreed.load(Ordering::Relaxed));
        worked > agreed || worked > 0 && *self.again.lock() != (worked, AGAIN_MAX) && self.lacks_words(agreed)
    }

    fn lacks_words(&self, agreed: u64) -> bool {
        let (_, voters) = self.others();
        let heard = self.heard.lock();
        let silent = |node: &u64| !heard.words.has_spoken(agreed, *node) && !self.link.is_down(NodeId(*node as u32));
        let knows = |node: &u64| heard.aware.contains_key(node);
        voters.iter().any(|node| silent(node) && !knows(node)) || heard.minority.keys().any(|node| !knows(node))
    }

    /// A leader is about to have the replicas compared.
    pub(crate) fn count_comparison(&self) {
        let (worked, agreed) = (self.worked.load(Ordering::Relaxed), self.agreed.load(Ordering::Relaxed));
        let mut again = self.again.lock();
        match worked > agreed || again.0 != worked {
            true => *again = (worked, u32::from(worked <= agreed)),
            false => again.1 += 1,
        }
    }

    /// Says to the others what this replica has, and compares.
    pub(super) fn attest(&self, index: u64, word: Word) {
        let (others, _) = self.others();
        let packet = Packet::Attest { group: self.group.0, index, chain: word.chain, root: word.root };
        for to in others {
            // Lost words are no harm: a leader that misses some has the replicas compared again.
            self.link.send(to, &packet, false);
        }
        self.hear(self.node, index, word);
    }

    /// Hears what a replica has at an agreed index.
    pub(crate) fn hear(&self, from: u64, index: u64, word: Word) {
        let (_, voters) = self.others();
        let mut heard = self.heard.lock();
        for finding in heard.words.hear(index, from, word, &voters) {
            let notice = match finding {
                Finding::Agrees { node, index } => {
                    let mended = if node == self.node {
                        heard.attested = heard.attested.max(index);
                        self.mending.lock().take().is_some()
                    } else {
                        heard.aware.remove(&node);
                        heard.minority.remove(&node).is_some()
                    };
                    if !mended {
                        continue;
                    }
                    // What it said before counts no more, whoever is late with a word about it.
                    heard.words.mended(node, index);
                    Notice::Mended { group: self.group, node }
                }
                Finding::Minority { node, index, why } if node == self.node => {
                    if self.is_fenced() {
                        continue;
                    }
                    // At once, so that not one more entry is applied; the node does the rest.
                    self.mend(&why);
                    self.was_fenced(index, &why);
                    Notice::Fence { group: self.group, index, why }
                }
                Finding::Minority { node, why, .. } => {
                    if heard.minority.insert(node, why.clone()).is_some() {
                        continue;
                    }
                    Notice::Minority { group: self.group, node, why }
                }
                Finding::Split { index } => {
                    if std::mem::replace(&mut heard.split, true) {
                        continue;
                    }
                    Notice::Split { group: self.group, index }
                }
            };
            // The node is closing if nobody listens.
            let _ = self.notices.send(notice);
        }
    }

    /// Notes that another replica is fenced since an index, and whether it is being rebuilt. Is that news?
    pub(crate) fn note_fenced(&self, node: u64, index: u64, why: &str, rebuilding: bool) -> bool {
        let mut heard = self.heard.lock();
        if heard.words.is_old(node, index) {
            return false;
        }
        let changed = (heard.aware.insert(node, rebuilding) == Some(true)) != rebuilding;
        heard.minority.insert(node, why.to_string()).is_none_or(|before| before != why) || changed
    }
}
