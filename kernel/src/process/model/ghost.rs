//! The guest of the model: it asks at random, and is the ledger of what is open in its life.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pando_abi::{ActorId, Address, Errno, EventKind, ExitKind, NodeId, Rights, event::flags};
use pando_actors::{CapKind, Capability, Effect, Event, Handled, Message};

use super::super::Guest;
use crate::input::exit;

/// What the guest asks for. Numbers choose among what there is.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Send(u8),
    Call { to: u8, deadline: bool },
    Timer,
    Cancel(usize),
    Monitor(u8),
    Demonitor(usize),
    Link(u8),
    Unlink(u8),
    Grant,
    Revoke(usize),
    Reply(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Finish {
    Return,
    Fault,
    Exit,
    /// The event's handles do not fit the guest's table.
    Refuse,
}

/// How the guest handles one event.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) asks: Vec<Ask>,
    pub(super) finish: Finish,
}

/// Why an input came, in the ledger's words: the life that it belongs to, and what it may pay there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cause {
    Message,
    Reply { life: u32, token: u64, status: u16 },
    Deadline { life: u32, token: u64 },
    Timer { life: u32, id: u64 },
    Down { target: Address },
    NodeDown { node: NodeId },
    Other,
}

/// What is open in this life.
#[derive(Clone, Default, Debug)]
pub(super) struct Ledger {
    pub(super) last: u64,
    pub(super) calls: BTreeMap<u64, Address>,
    pub(super) timers: BTreeSet<u64>,
    pub(super) monitors: BTreeMap<u64, Address>,
    pub(super) links: BTreeSet<Address>,
    pub(super) grants: BTreeSet<u64>,
    /// Reply handles that it holds, by the asker's token.
    pub(super) held: BTreeSet<u64>,
}

pub(super) struct Ghost {
    pub(super) life: u32,
    pub(super) open: Ledger,
    pub(super) cause: Cause,
    pub(super) plans: VecDeque<Plan>,
    /// Of this step.
    pub(super) events: usize,
    pub(super) unlinked: bool,
    pub(super) said: Vec<Address>,
}

pub(super) const ME: u8 = 1;
pub(super) const ASKER: u8 = 9;

pub(super) fn at(n: u8) -> Address {
    // Two actors on each node.
    Address::actor(NodeId(u32::from(n) / 2 + 1), ActorId([n; 16]))
}

pub(super) fn cap(address: Address) -> Capability {
    Capability { kind: CapKind::Actor, address, rights: Rights::PEER, grant: 0, badge: 0, token: 0 }
}

pub(super) fn nth<T: Copy>(of: impl ExactSizeIterator<Item = T>, which: usize) -> Option<T> {
    let all: Vec<T> = of.collect();
    (!all.is_empty()).then(|| all[which % all.len()])
}

impl Ghost {
    /// An event pays one open entry, or there is something wrong with it.
    fn pay(&mut self, event: &Event<'_>) {
        let token = event.token;
        match (event.kind, self.cause) {
            (EventKind::Message, Cause::Message) => {}
            (EventKind::Reply, Cause::Reply { life, token: asked, .. } | Cause::Deadline { life, token: asked }) => {
                assert_eq!((life, asked), (self.life, token), "an answer for another call or life");
                assert!(self.open.calls.remove(&token).is_some(), "call {token} was answered before");
                match self.cause {
                    Cause::Reply { status, .. } => {
                        assert!(event.status == status || event.status == Errno::FULL.code())
                    }
                    _ => assert_eq!(event.status, Errno::TIMEOUT.code()),
                }
            }
            (EventKind::Reply, Cause::NodeDown { node }) => {
                let target = self.open.calls.remove(&token).expect("a call that is open");
                assert_eq!((target.node, event.status), (node, Errno::UNREACHABLE.code()));
            }
            (EventKind::Timer, Cause::Timer { life, id }) => {
                assert_eq!(life, self.life, "a timer of another life rings in this one");
                // Ids rise with times here, and what was due before comes first.
                assert!(token <= id, "a timer rings before its time");
                assert!(self.open.timers.remove(&token), "timer {token} rang before");
            }
            (EventKind::Down, Cause::Down { .. } | Cause::NodeDown { .. }) => {
                let right = |a: &Address| match self.cause {
                    Cause::Down { target } => *a == target,
                    Cause::NodeDown { node } => a.node == node,
                    _ => false,
                };
                if event.flags & flags::LINK == 0 {
                    let target = self.open.monitors.remove(&token).expect("a monitor that is open");
                    assert!(right(&target), "a monitor of {target} is told of another's end");
                } else {
                    let before = self.open.links.len();
                    self.open.links.retain(|a| !right(a));
                    assert_ne!(before, self.open.links.len(), "a link that is not there is told of an end");
                }
            }
            (kind, cause) => panic!("{kind:?} for {cause:?}"),
        }
        if let Some(reply) = event.reply {
            assert!(self.open.held.insert(reply.token), "a call came twice");
        }
    }

    fn ask(&mut self, ask: &Ask, effects: &mut Vec<Effect>, said: &mut Vec<Address>) {
        let Ledger { last, calls, timers, monitors, links, grants, held } = &mut self.open;
        let mut fresh = || {
            *last += 1;
            *last
        };
        match *ask {
            Ask::Send(to) => {
                said.push(at(to));
                effects.push(Effect::send(at(ME), &cap(at(to)), Message::default()));
            }
            Ask::Call { to, deadline } => {
                let token = fresh();
                calls.insert(token, at(to));
                said.push(at(to));
                let deadline_ns = if deadline { 50 } else { 0 };
                effects.push(Effect::call(at(ME), &cap(at(to)), (token, deadline_ns, 0), Message::default()));
            }
            Ask::Timer => {
                let id = fresh();
                timers.insert(id);
                effects.push(Effect::Timer { id, delay_ns: 10 });
            }
            Ask::Cancel(which) => {
                if let Some(id) = nth(timers.iter().copied(), which) {
                    timers.remove(&id);
                    effects.push(Effect::Cancel { id });
                }
            }
            Ask::Monitor(to) => {
                let id = fresh();
                monitors.insert(id, at(to));
                effects.push(Effect::Monitor { id, target: cap(at(to)) });
            }
            Ask::Demonitor(which) => {
                if let Some(id) = nth(monitors.keys().copied(), which) {
                    monitors.remove(&id);
                    effects.push(Effect::Demonitor { id });
                }
            }
            Ask::Link(to) => {
                if at(to) != at(ME) {
                    links.insert(at(to));
                }
                effects.push(Effect::Link { target: cap(at(to)) });
            }
            Ask::Unlink(to) => {
                self.unlinked |= links.remove(&at(to));
                effects.push(Effect::Unlink { target: cap(at(to)) });
            }
            Ask::Grant => {
                // As the table numbers them: another upper half in each life.
                let grant = u64::from(self.life) << 32 | fresh();
                grants.insert(grant);
                effects.push(Effect::Grant { grant, rights: Rights::PEER, badge: 1 });
            }
            Ask::Revoke(which) => {
                if let Some(grant) = nth(grants.iter().copied(), which) {
                    grants.remove(&grant);
                    effects.push(Effect::Revoke { grant });
                }
            }
            Ask::Reply(which) => {
                if let Some(token) = nth(held.iter().copied(), which) {
                    held.remove(&token);
                    let to = Capability { kind: CapKind::Reply, token, ..cap(at(ASKER)) };
                    effects.push(Effect::reply(&to, 0, Message::bytes(b"six")));
                }
            }
        }
    }
}

impl Guest for Ghost {
    fn handle(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
        let plan = self.plans.pop_front().unwrap_or(Plan { asks: Vec::new(), finish: Finish::Return });
        if plan.finish == Finish::Refuse && !event.handles.is_empty() {
            self.plans.push_front(Plan { asks: Vec::new(), finish: Finish::Return });
            return Handled { refused: Some(Errno::FULL), ..Handled::default() };
        }
        self.events += 1;
        self.pay(event);
        let before = self.open.clone();
        let mut said = Vec::new();
        for ask in &plan.asks {
            self.ask(ask, effects, &mut said);
        }
        let end = match plan.finish {
            Finish::Return | Finish::Refuse => None,
            Finish::Fault => {
                // What it asked for is undone; what the event itself paid stays paid, and its reply handle is gone.
                self.open = before;
                if let Some(reply) = event.reply {
                    self.open.held.remove(&reply.token);
                }
                said.clear();
                Some(exit(ExitKind::Fault, "planted"))
            }
            Finish::Exit => Some(exit(ExitKind::Normal, "")),
        };
        self.said.extend(said);
        Handled { fuel: 1, end: end.map(Box::new), refused: None }
    }

    fn query(&mut self, _: &Event<'_>, _: &mut Vec<Effect>) -> Handled {
        unreachable!("no query is asked here")
    }

    fn open_replies(&self) -> Vec<Capability> {
        self.open
            .held
            .iter()
            .map(|token| Capability { kind: CapKind::Reply, token: *token, ..cap(at(ASKER)) })
            .collect()
    }
}
