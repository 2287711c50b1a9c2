//! Ends: others' as they reach the process, and its own as it reaches them.

use std::collections::BTreeSet;

use pando_abi::{Address, Errno, EventKind, ExitKind, NodeId, event::flags};
use pando_actors::{Effect, Exit};

use super::{Guest, Moment, Process, Stepped};
use crate::input::{Action, Input, Moved, ReplyTo, Sink, Standing, describe, exit};

impl Process {
    pub(super) fn down(
        &mut self,
        guest: &mut dyn Guest,
        target: Address,
        why: &Exit,
        moment: Moment,
        effects: &mut Vec<Effect>,
        actions: &mut impl Sink,
    ) -> Stepped {
        let mut stepped = Stepped::default();
        let monitors: Vec<u64> = self.monitors.iter().filter(|(_, (t, _))| *t == target).map(|(id, _)| *id).collect();
        for id in monitors {
            // The handler of the one before may have taken this one back.
            if self.monitors.remove(&id).is_none() {
                continue;
            }
            stepped = self.tell_down(guest, id, 0, why, moment, effects, actions);
            if stepped.end.is_some() {
                return stepped;
            }
        }
        if self.links.remove(&target).is_some() {
            if why.kind.takes_links() {
                let why = exit(ExitKind::Linked, format!("linked {target} ended: {}", describe(why)));
                return self.end(guest, why, moment, actions);
            }
            return self.tell_down(guest, 0, flags::LINK, why, moment, effects, actions);
        }
        stepped
    }

    fn tell_down(
        &mut self,
        guest: &mut dyn Guest,
        id: u64,
        link: u16,
        why: &Exit,
        moment: Moment,
        effects: &mut Vec<Effect>,
        actions: &mut impl Sink,
    ) -> Stepped {
        let record = pando_abi::exit::ExitRecord { kind: why.kind as u16, reserved: 0, code: why.code };
        let mut body = record.to_bytes().to_vec();
        body.extend_from_slice(why.message.as_bytes());
        let mut event = self.event(EventKind::Down, moment);
        event.flags |= link;
        event.token = id;
        event.body = &body;
        self.run(guest, &event, moment, effects, actions)
    }

    pub(super) fn node_down(
        &mut self,
        guest: &mut dyn Guest,
        node: NodeId,
        moved: &Moved,
        moment: Moment,
        effects: &mut Vec<Effect>,
        actions: &mut impl Sink,
    ) -> Stepped {
        let there = |a: &Address| moved.is_lost(node, *a);
        // Its own answers came by that node: which of them were on their way nobody knows.
        let cut_off = moved.is_cut_off(self.identity.me);
        let doubtful = |a: &Address| cut_off || moved.is_cut_off(*a);
        let mut gone: BTreeSet<Address> = self.monitors.values().map(|(target, _)| *target).filter(there).collect();
        gone.extend(self.links.keys().copied().filter(there));
        self.watchers.retain(|(watcher, _)| !there(watcher));
        self.children.retain(|child| !there(child));
        let lost = self.calls.iter().filter(|(_, w)| there(&w.target) || doubtful(&w.target));
        let lost: Vec<u64> = lost.map(|(token, _)| *token).collect();
        let mut last = Stepped::default();
        for token in lost {
            let input = Input::Reply {
                token: self.seal(token),
                status: Errno::UNREACHABLE.code(),
                message: Box::default(),
                standing: Standing::default(),
            };
            last = self.step(guest, input, moment, effects, actions);
            if last.end.is_some() {
                return last;
            }
        }
        for target in gone {
            let why = exit(ExitKind::NodeDown, format!("{node} cannot be reached"));
            last = self.down(guest, target, &why, moment, effects, actions);
            if last.end.is_some() {
                return last;
            }
        }
        // Who has ended meanwhile answers with its end; who lives knows these already, or hears them now.
        let again = self.wishes().filter(|(target, _)| doubtful(target));
        actions.extend(again.map(|(to, input)| Action::Deliver { to, input }));
        last
    }

    /// What of the loss of a node this process has to hear about; `None`: nothing.
    pub fn concern(&self, node: NodeId, moved: &Moved) -> Option<Moved> {
        let watched = self.monitors.values().map(|(target, _)| target);
        let all = watched.chain(self.links.keys()).chain(self.calls.values().map(|w| &w.target)).chain(&self.children);
        let all: BTreeSet<Address> = all.chain([&self.identity.me]).copied().collect();
        let known = |list: &[Address]| list.iter().filter(|a| all.contains(a)).copied().collect::<Vec<_>>();
        let hears = all.iter().any(|a| moved.is_lost(node, *a) || moved.is_cut_off(*a));
        let (mut away, here) = (known(&moved.away), known(&moved.here));
        // Those who watch this one are told by it, wherever they live.
        let watchers: BTreeSet<Address> = self.watchers.iter().map(|(watcher, _)| *watcher).collect();
        away.extend(moved.away.iter().filter(|a| watchers.contains(a) && !all.contains(a)));
        away.sort_unstable();
        hears.then_some(Moved { away, here })
    }

    /// Everybody whose end it would have to be told of.
    pub fn others(&self) -> BTreeSet<Address> {
        let watched = self.monitors.values().map(|(target, _)| *target);
        let all = watched.chain(self.links.keys().copied()).chain(self.calls.values().map(|w| w.target));
        all.chain(self.children.iter().copied()).filter(|a| a.home == pando_abi::Home::Node).collect()
    }

    /// It lives on another node from now on.
    pub fn settle(&mut self, node: NodeId) {
        self.identity.node = node;
    }

    /// Ends the process: everybody who has to know is told.
    pub fn end(&mut self, guest: &dyn Guest, why: Exit, moment: Moment, actions: &mut impl Sink) -> Stepped {
        let me = self.identity.me;
        for open in guest.open_replies() {
            let asked = ReplyTo { address: open.address, token: open.token };
            self.answer(asked, Errno::DEAD.code(), Box::default(), moment, actions);
        }
        actions.extend(self.alarms().map(|(at_ns, alarm)| Action::Disarm { at_ns, alarm }));
        for (id, (target, _)) in std::mem::take(&mut self.monitors) {
            actions.push(Action::Deliver { to: target, input: Input::Unwatch { watcher: me, id: self.seal(id) } });
        }
        let mut told: BTreeSet<Address> = std::mem::take(&mut self.watchers).into_iter().map(|(w, _)| w).collect();
        told.extend(std::mem::take(&mut self.links).into_keys());
        for to in told {
            actions.push(Action::Deliver { to, input: Input::Down { target: me, exit: why.clone() } });
        }
        self.timers.clear();
        self.agenda.clear();
        self.calls.clear();
        self.grants.clear();
        Stepped { end: Some(Box::new(why)), ..Stepped::default() }
    }
}
