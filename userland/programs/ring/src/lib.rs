//! One element of a ring that tokens run round: for measuring messages.
//!
//! ```pando
//! spawn ring --name ring
//! call ring run 1000 100 10000 --deadline 60s
//! ```

#![no_std]

use pando::{Spawn, Time, prelude::*};

/// Elements of one ring. Ending an old one, starting a new one and the tokens have to be possible in one handler.
const SIZE_MAX: u32 = 3_000;
const TOKENS_MAX: u32 = 3_000;

/// An element.
#[derive(Default)]
pub struct Ring {
    next: Option<RingRef>,
    /// The element that measures; none in that one itself.
    home: Option<RingRef>,
    passed: u64,
    run: Option<Run>,
    /// The other elements of its own ring.
    others: Vec<RingRef>,
}

struct Run {
    caller: Reply<Lap>,
    begun: Time,
    messages: u64,
    tokens_left: u32,
    size: u32,
}

/// What came of a run.
#[derive(Data, Clone, Copy, PartialEq, Debug)]
pub struct Lap {
    /// Elements.
    pub size: u32,
    /// Messages that were passed on.
    pub messages: u64,
    /// In microseconds.
    pub total_us: u64,
    /// Messages in a second.
    pub per_second: f64,
}

/// An element of a ring.
#[pando::actor]
impl Ring {
    /// Makes a ring of `size` elements and lets `tokens` tokens make `hops` hops each.
    fn run(&mut self, reply: Reply<Lap>, size: u32, tokens: u32, hops: u64) {
        if self.run.is_some() {
            return reply.fail("it runs already");
        }
        if size == 0 || size > SIZE_MAX || tokens == 0 || tokens > TOKENS_MAX {
            return reply.fail(format!("a ring has 1 to {SIZE_MAX} elements and 1 to {TOKENS_MAX} tokens"));
        }
        if let Err(error) = self.build(size) {
            return reply.fail(error);
        }
        let messages = u64::from(tokens) * (hops + 1);
        self.run = Some(Run { caller: reply, begun: pando::now(), messages, tokens_left: tokens, size });
        for _ in 0..tokens {
            if let Err(error) = self.pass(hops) {
                pando::log!(Error, "a token is lost: {error}");
            }
        }
    }

    /// Makes it an element between two others.
    fn join(&mut self, next: RingRef, home: RingRef) {
        (self.next, self.home) = (Some(next), Some(home));
    }

    /// A token, with the hops that it has left.
    fn token(&mut self, left: u64) {
        self.passed += 1;
        let passed = match (left.checked_sub(1), &self.home) {
            (Some(left), _) => self.pass(left),
            (None, Some(home)) => home.done().send(),
            (None, None) => return self.done(),
        };
        if let Err(error) = passed {
            pando::log!(Error, "a token is lost: {error}");
        }
    }

    /// A token has made its hops.
    fn done(&mut self) {
        let Some(run) = &mut self.run else { return };
        run.tokens_left -= 1;
        if run.tokens_left > 0 {
            return;
        }
        if let Some(run) = self.run.take() {
            let took = pando::now() - run.begun;
            let total_us = took.as_micros() as u64;
            let per_second = run.messages as f64 / took.as_secs_f64().max(1e-9);
            run.caller.send(Lap { size: run.size, messages: run.messages, total_us, per_second });
        }
    }

    /// How many tokens came by.
    #[query]
    fn passed(&self) -> u64 {
        self.passed
    }
}

impl Ring {
    /// Makes a ring of this size, if the one from the last run has another. Its elements end with this one.
    fn build(&mut self, size: u32) -> pando::Result<()> {
        if self.others.len() as u32 + 1 == size && self.next.is_some() {
            return Ok(());
        }
        for old in self.others.drain(..) {
            old.unlink()?;
            old.kill()?;
        }
        let me = RingRef::of(Handle::me());
        let mut next = me.clone();
        for _ in 1..size {
            let element = RingRef::start(Spawn::own())?;
            element.link()?;
            element.join(next, me.clone()).send()?;
            self.others.push(element.clone());
            next = element;
        }
        self.next = Some(next);
        Ok(())
    }

    fn pass(&self, left: u64) -> pando::Result<()> {
        match &self.next {
            Some(next) => next.token(left).send(),
            None => Err("it is in no ring".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use pando::testing::{Effect, Test};

    use super::*;

    #[test]
    fn it_builds_a_ring_and_reports_when_every_token_is_home() {
        let mut ring = Test::<Ring>::start(());
        let run = ring.begin(|r| r.run(3, 2, 5));
        let (me, mut last) = (ring.me(), ring.me());
        for _ in 1..3 {
            let child = ring.expect_spawn().child;
            ring.expect_effect(&Effect::Link(child.clone()));
            let (next, home) = ring.expect_send(&child, "join").args::<(Handle, Handle)>();
            assert_eq!((next, home), (last.handle(), me.handle()));
            last = child;
        }
        for _ in 0..2 {
            assert_eq!(ring.expect_send(&last, "token").args::<(u64,)>(), (5,));
        }
        ring.send(|r| r.done());
        assert_eq!(ring.answer(&run), None);
        ring.advance(Duration::from_secs(2));
        ring.send(|r| r.done());
        let lap = ring.answer(&run).unwrap().unwrap();
        assert_eq!(lap, Lap { size: 3, messages: 12, total_us: 2_000_000, per_second: 6.0 });

        ring.begin(|r| r.run(3, 1, 1));
        ring.expect_send(&last, "token");
        ring.expect_nothing();
    }

    #[test]
    fn a_ring_of_another_size_takes_the_old_ones_place() {
        let mut ring = Test::<Ring>::start(());
        ring.begin(|r| r.run(2, 1, 0));
        let child = ring.expect_spawn().child;
        while ring.next_effect().is_some() {}
        ring.send(|r| r.done());
        ring.begin(|r| r.run(1, 1, 0));
        ring.expect_effect(&Effect::Unlink(child.clone()));
        ring.expect_effect(&Effect::Kill(child));
        ring.expect_send(&ring.me(), "token");
        assert_eq!(ring.handles(), 1, "the caller's reply handle");
    }

    #[test]
    fn an_element_passes_tokens_on_until_their_hops_are_over() {
        let mut element = Test::<Ring>::start(());
        let (next, home) = (element.peer("next"), element.peer("home"));
        element.send(|r| r.join(next.cast(), home.cast()));
        element.send(|r| r.token(2));
        assert_eq!(element.expect_send(&next, "token").args::<(u64,)>(), (1,));
        element.send(|r| r.token(0));
        element.expect_send(&home, "done");
        assert_eq!(element.ask(|r| r.passed()), Ok(2));
    }

    #[test]
    fn a_ring_that_is_too_large_is_refused() {
        let mut ring = Test::<Ring>::start(());
        assert!(ring.ask(|r| r.run(0, 1, 1)).is_err());
        assert!(ring.ask(|r| r.run(3_001, 1, 1)).is_err());
        ring.expect_nothing();
    }
}
