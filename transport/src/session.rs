//! The session with one peer, as a state machine: who dials, which connection counts, when to try again.
//!
//! Pure: time is an argument, jitter comes from a seed, connections are numbers ([`LinkId`]). The driver feeds what happens and
//! carries out what comes out, in order.
//!
//! Both sides dial, for either may be the one that can reach the other. So that both agree on one connection, **the side with
//! the lower number chooses** and the other follows:
//!
//! ```text
//!   the lower dials:   lower --- hello --> higher,  lower <-- hello --- higher,  lower chooses,  lower --- go --> higher
//!   the higher dials:  lower <-- hello --- higher,  lower chooses,  lower --- hello --> higher (which also means go)
//! ```
//!
//! 1. At most one link is live. Every `Up` is followed by exactly one `Down` before the next `Up`.
//! 2. A second connection of the same incarnation is refused by the chooser, who has one; one of another incarnation takes the
//!    place of the old one at once, for a process that has restarted has forgotten the old one.
//! 3. The follower replaces its link whenever the chooser has chosen another.
//! 4. Links that are being opened are few and have a deadline. While there is one, no other is dialled.

use std::collections::BTreeMap;

use pando_abi::{Incarnation, NodeId};

use crate::close::{Close, CloseCode};
use crate::hello::Hello;

mod backoff;
mod liveness;

pub use backoff::Backoff;
pub use liveness::Liveness;

/// A connection, numbered by the driver. Never used twice.
pub type LinkId = u64;

/// The times of the machine, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// How long opening a link may take, from dialling to go.
    pub open_ms_max: u64,
    /// The first pause between two attempts.
    pub retry_ms_min: u64,
    /// The longest pause between two attempts.
    pub retry_ms_max: u64,
    /// A session that has lived so long has proved itself: the next pause is short again.
    pub stable_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Timing { open_ms_max: 3000, retry_ms_min: 50, retry_ms_max: 2000, stable_ms: 2000 }
    }
}

/// Links of one peer that are being opened at once. One more is refused.
const OPENING_MAX: usize = 4;

/// What the driver is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Connect to the peer; the connection is `link`.
    Dial {
        /// The number of the connection to make.
        link: LinkId,
    },
    /// Say hello on this link.
    Hello {
        /// Where.
        link: LinkId,
    },
    /// Say on this link that it is the session.
    Go {
        /// Where.
        link: LinkId,
    },
    /// This link is the session now.
    Up {
        /// Which.
        link: LinkId,
        /// The life of the peer.
        incarnation: Incarnation,
        /// The version that both speak.
        version: u16,
    },
    /// The session is over.
    Down {
        /// Which link it was.
        link: LinkId,
        /// Why.
        reason: String,
    },
    /// Close this link, which the machine has forgotten.
    Close {
        /// Which.
        link: LinkId,
        /// Why.
        close: Close,
    },
}

/// Where a link that is being opened stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Dialled, and no handshake yet.
    Dialling,
    /// Dialled; our hello is said, theirs is awaited.
    HelloAwaited,
    /// Accepted; our hello is said, the chooser's word is awaited.
    GoAwaited { incarnation: Incarnation, version: u16 },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Opening {
    stage: Stage,
    deadline_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Live {
    link: LinkId,
    incarnation: Incarnation,
    since_ms: u64,
}

/// The machine for one peer.
#[derive(Debug)]
pub struct Session {
    ours: Hello,
    peer: NodeId,
    timing: Timing,
    backoff: Backoff,
    opening: BTreeMap<LinkId, Opening>,
    live: Option<Live>,
    /// When to dial next, unless something is live or being opened.
    dial_ms: u64,
}

impl Session {
    /// A machine for `peer` that will dial at once. `seed` is for the jitter.
    pub fn new(ours: Hello, peer: NodeId, timing: Timing, seed: u64, now_ms: u64) -> Session {
        assert!(ours.node != peer, "no session with oneself");
        Session {
            ours,
            peer,
            timing,
            backoff: Backoff::new(timing.retry_ms_min, timing.retry_ms_max, seed),
            opening: BTreeMap::new(),
            live: None,
            dial_ms: now_ms,
        }
    }

    /// Whether this side decides which connection counts.
    pub fn chooses(&self) -> bool {
        self.ours.node < self.peer
    }

    /// The live link and the life of the peer.
    pub fn live(&self) -> Option<(LinkId, Incarnation)> {
        self.live.map(|l| (l.link, l.incarnation))
    }

    /// When [`Session::tick`] wants to be called next.
    pub fn deadline_ms(&self) -> Option<u64> {
        let opening = self.opening.values().map(|o| o.deadline_ms).min();
        match (opening, self.live) {
            (Some(ms), _) => Some(ms),
            (None, Some(_)) => None,
            (None, None) => Some(self.dial_ms),
        }
    }

    /// Time has passed. `fresh` is the number for a link that may be dialled.
    pub fn tick(&mut self, now_ms: u64, fresh: LinkId, out: &mut Vec<Output>) {
        let late =
            self.opening.iter().filter(|(_, o)| o.deadline_ms <= now_ms).map(|(link, _)| *link).collect::<Vec<_>>();
        for link in late {
            let close = Close::new(CloseCode::Late, "the connection was not opened in time");
            self.refuse(now_ms, link, close, out);
        }
        if self.live.is_none() && self.opening.is_empty() && self.dial_ms <= now_ms {
            self.open(now_ms, fresh, Stage::Dialling);
            out.push(Output::Dial { link: fresh });
        }
    }

    /// A dialled link has its handshake, and the peer has proved the expected key.
    pub fn dialled(&mut self, link: LinkId, out: &mut Vec<Output>) {
        if let Some(opening) = self.opening.get_mut(&link)
            && opening.stage == Stage::Dialling
        {
            opening.stage = Stage::HelloAwaited;
            out.push(Output::Hello { link });
        }
    }

    /// The peer's hello came on a link that the peer has dialled. The driver has checked key, realm and number.
    pub fn accepted(&mut self, now_ms: u64, link: LinkId, hello: &Hello, out: &mut Vec<Output>) {
        let version = match self.ours.version_with(hello) {
            Ok(version) => version,
            Err(close) => return out.push(Output::Close { link, close }),
        };
        if self.chooses() {
            if let Some(close) = self.duplicate(hello.incarnation) {
                return out.push(Output::Close { link, close });
            }
            out.push(Output::Hello { link });
            return self.choose(now_ms, link, hello.incarnation, version, out);
        }
        if self.opening.len() >= OPENING_MAX {
            let close = Close::new(CloseCode::Busy, "too many connections being opened");
            return out.push(Output::Close { link, close });
        }
        let incarnation = hello.incarnation;
        self.open(now_ms, link, Stage::GoAwaited { incarnation, version });
        out.push(Output::Hello { link });
    }

    /// The peer's hello came on a link that this side has dialled.
    pub fn answered(&mut self, now_ms: u64, link: LinkId, hello: &Hello, out: &mut Vec<Output>) {
        if self.opening.get(&link).map(|o| o.stage) != Some(Stage::HelloAwaited) {
            return;
        }
        let version = match self.ours.version_with(hello) {
            Ok(version) => version,
            Err(close) => return self.refuse(now_ms, link, close, out),
        };
        if self.chooses() {
            if let Some(close) = self.duplicate(hello.incarnation) {
                return self.refuse(now_ms, link, close, out);
            }
            out.push(Output::Go { link });
        }
        self.opening.remove(&link);
        self.choose(now_ms, link, hello.incarnation, version, out);
    }

    /// The chooser's word came on a link that the chooser has dialled.
    pub fn go(&mut self, now_ms: u64, link: LinkId, out: &mut Vec<Output>) {
        let Some(opening) = self.opening.get(&link) else {
            return;
        };
        let Stage::GoAwaited { incarnation, version } = opening.stage else {
            let close = Close::new(CloseCode::Malformed, "go without a hello before it");
            return self.refuse(now_ms, link, close, out);
        };
        self.opening.remove(&link);
        self.choose(now_ms, link, incarnation, version, out);
    }

    /// A link has ended by itself: it could not be made, was closed by the peer, or fell silent. `stubborn`: the reason will
    /// not go away by itself, so there is no hurry to try again.
    pub fn ended(&mut self, now_ms: u64, link: LinkId, reason: &str, stubborn: bool, out: &mut Vec<Output>) {
        if self.opening.remove(&link).is_some() {
            return self.pause(now_ms, stubborn);
        }
        if self.live.is_some_and(|l| l.link == link) {
            self.down(now_ms, reason, out);
            self.pause(now_ms, stubborn);
        }
    }

    /// The peer is no peer any more: ends everything. The machine is of no more use.
    pub fn forget(&mut self, now_ms: u64, close: &Close, out: &mut Vec<Output>) {
        let mut links = self.opening.keys().copied().collect::<Vec<_>>();
        links.extend(self.live.map(|l| l.link));
        self.down(now_ms, &close.to_string(), out);
        self.opening.clear();
        for link in links {
            let close = close.clone();
            out.push(Output::Close { link, close });
        }
    }

    fn open(&mut self, now_ms: u64, link: LinkId, stage: Stage) {
        let deadline_ms = now_ms + self.timing.open_ms_max;
        let before = self.opening.insert(link, Opening { stage, deadline_ms });
        assert!(before.is_none(), "a link is opened once");
    }

    /// Whether the chooser has a session with this life of the peer already.
    fn duplicate(&self, incarnation: Incarnation) -> Option<Close> {
        let live = self.live.filter(|l| l.incarnation == incarnation)?;
        let text = format!("connection {} is the session", live.link);
        Some(Close::new(CloseCode::Duplicate, text))
    }

    fn choose(&mut self, now_ms: u64, link: LinkId, incarnation: Incarnation, version: u16, out: &mut Vec<Output>) {
        if let Some(old) = self.live {
            let text =
                if old.incarnation == incarnation { "the peer has connected anew" } else { "the peer has restarted" };
            self.down(now_ms, text, out);
            out.push(Output::Close { link: old.link, close: Close::new(CloseCode::Replaced, text) });
        }
        self.live = Some(Live { link, incarnation, since_ms: now_ms });
        out.push(Output::Up { link, incarnation, version });
    }

    fn down(&mut self, now_ms: u64, reason: &str, out: &mut Vec<Output>) {
        if let Some(live) = self.live.take() {
            if now_ms.saturating_sub(live.since_ms) >= self.timing.stable_ms {
                self.backoff.reset();
            }
            out.push(Output::Down { link: live.link, reason: reason.to_owned() });
        }
    }

    fn refuse(&mut self, now_ms: u64, link: LinkId, close: Close, out: &mut Vec<Output>) {
        let stubborn = matches!(close.code, CloseCode::WrongVersion);
        self.opening.remove(&link);
        self.pause(now_ms, stubborn);
        out.push(Output::Close { link, close });
    }

    fn pause(&mut self, now_ms: u64, stubborn: bool) {
        if stubborn {
            self.backoff.exhaust();
        }
        self.dial_ms = now_ms + self.backoff.next_ms();
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
