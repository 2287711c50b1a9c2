//! What replicas say to each other about what they have, and what follows.
//!
//! 1. Who finds itself in the minority applies nothing from that moment on.
//! 2. A finding is told once, until it is over.

use std::sync::atomic::Ordering;

use pando_abi::NodeId;

use crate::attest::{Finding, Word};
use crate::codec::wire::Packet;
use crate::entry::GroupId;

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
        let silent = |node: &u64| heard.words.word(agreed, *node).is_none() && !self.link.is_down(NodeId(*node as u32));
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
        self.tell(index, word);
        self.hear(self.node, index, word);
    }

    /// Says to the others what this replica has.
    pub(crate) fn tell(&self, index: u64, word: Word) {
        let (others, _) = self.others();
        for to in others {
            // Lost words are no harm: a leader that misses some has the replicas compared again.
            self.link.send(to, &attested(self.group, index, word), false);
        }
    }

    /// What this replica has said that it has there.
    pub(crate) fn word_at(&self, index: u64) -> Option<Word> {
        self.heard.lock().words.word(index, self.node)
    }

    /// Tells this member what is right if it is known to be wrong, for it may not have heard of it. Was it?
    pub(crate) fn correct(&self, from: NodeId) -> bool {
        let node = u64::from(from.0);
        let dispute = {
            let heard = self.heard.lock();
            if !heard.minority.contains_key(&node) {
                return false;
            }
            heard.words.dispute(node, self.node)
        };
        if let Some((index, own)) = dispute {
            self.link.send(from, &attested(self.group, index, own), false);
        }
        true
    }

    /// It has not been seen to agree since it was fenced, or knows of others that do not.
    pub(crate) fn is_uneasy(&self) -> bool {
        let heard = self.heard.lock();
        self.mending().is_some() || heard.split || !heard.minority.is_empty()
    }

    /// Do members have different things there?
    pub(crate) fn is_disputed(&self, index: u64) -> bool {
        self.heard.lock().words.is_disputed(index)
    }

    /// Says what this replica has there, though no entry asks for it: at the end of a log of which all is applied. `None`: it stands
    /// elsewhere. Blocks as long as the root takes.
    pub(crate) fn say_at(&self, index: u64) -> Option<Word> {
        let mut slot = self.slot.lock();
        if self.halted().is_some() || slot.last.is_none_or(|last| last.index != index) {
            return None;
        }
        if self.agreed.load(Ordering::Relaxed) == index {
            // It was said there when it was applied, and with another chain than this would be.
            return self.word_at(index);
        }
        let root = slot.machine.batch_end();
        let mut chain = slot.links.now();
        chain.root(index, root);
        self.agreed.store(index, Ordering::Relaxed);
        drop(slot);
        let word = Word { chain: chain.hash, root };
        self.hear(self.node, index, word);
        Some(word)
    }

    /// Hears what another member has. Who is fenced says so, for that may not have been heard; and who has something else says it, so
    /// that the other hears of it whoever is wrong.
    pub(crate) fn listen(&self, from: NodeId, index: u64, word: Word) {
        let node = u64::from(from.0);
        if !self.is_member(node) {
            return;
        }
        if self.is_fenced() {
            self.link.send(from, &self.fence_packet(self.mending().is_some()), false);
        } else if self.halted().is_none() {
            let (before, own) = {
                let heard = self.heard.lock();
                (heard.words.word(index, node), heard.words.word(index, self.node))
            };
            self.hear(node, index, word);
            if let Some(own) = own.filter(|own| *own != word && before != Some(word)) {
                self.link.send(from, &attested(self.group, index, own), false);
            }
        }
    }

    /// Hears what a replica has at an agreed index.
    fn hear(&self, from: u64, index: u64, word: Word) {
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

    /// What a member had before it left, or forgot, is asked of it no more.
    pub(crate) fn forgive(&self, from: NodeId) {
        self.acked.lock().remove(&from);
        let mut heard = self.heard.lock();
        heard.minority.remove(&u64::from(from.0));
        heard.aware.remove(&u64::from(from.0));
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

fn attested(group: GroupId, index: u64, word: Word) -> Packet {
    Packet::Attest { group: group.0, index, chain: word.chain, root: word.root }
}
