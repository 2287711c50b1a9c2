//! Does everything that a broken or hostile guest can do.
//!
//! Spawn it beside actors that behave, and see that nothing happens to them. What each misdeed is told is in SPEC.md: misuse
//! ends the gremlin with a `fault`, greed is told `LIMIT`, and an answer says how far it came.
//!
//! ```pando
//! spawn gremlin --name gremlin --restart on-failure
//! call gremlin timer_storm
//! call gremlin loop_forever
//! call gremlin panic "not my fault"
//! ```

#![no_std]

mod greed;
mod misuse;

use pando::{Any, Spawn, prelude::*, sys};

/// What it keeps, so that nothing of it is let go.
#[derive(Default)]
pub struct Gremlin {
    hoard: Vec<Handle>,
    replies: Vec<Reply<u64>>,
    memory: Vec<Vec<u8>>,
}

/// How far a storm came.
#[derive(Data, Clone, PartialEq, Eq, Debug)]
pub struct Storm {
    /// What it got.
    pub got: u64,
    /// What it was told at the end; nothing if it stopped by itself.
    pub told: Option<String>,
}

/// Every misdeed by its name.
#[pando::actor]
impl Gremlin {
    /// Never returns.
    fn loop_forever(&mut self) {
        misuse::loop_forever();
    }

    /// Works for so many rounds of a few nanoseconds, and answers.
    fn spin(&mut self, rounds: u64) -> u64 {
        (0..rounds).fold(1, |sum, n| core::hint::black_box(sum ^ n.rotate_left(7)))
    }

    /// Calls itself until the stack is over.
    fn recurse(&mut self) -> u64 {
        misuse::recurse(1)
    }

    /// Takes memory, a megabyte at a time, until there is no more; answers with how many there were.
    fn grow_memory(&mut self) -> u64 {
        greed::memory(&mut self.memory)
    }

    /// Lets its memory go again.
    fn free_memory(&mut self) -> u64 {
        core::mem::take(&mut self.memory).len() as u64
    }

    /// Gives the kernel a pointer that leaves its memory.
    fn bad_pointer(&mut self) {
        misuse::bad_pointer();
    }

    /// Uses a handle that it does not hold.
    fn bad_handle(&mut self, number: Option<u32>) {
        misuse::bad_handle(number.unwrap_or(0x7abc_def0));
    }

    /// Tries so many numbers as handles, one after the other. The first that is none ends it.
    fn guess_handles(&mut self, count: u32) -> u32 {
        (3..3 + count).for_each(misuse::bad_handle);
        count
    }

    /// Executes `unreachable`.
    fn trap(&mut self) {
        misuse::trap();
    }

    /// Panics with these words.
    fn panic(&mut self, message: String) {
        panic!("{message}");
    }

    /// Divides, by zero if told.
    fn divide(&mut self, a: i64, b: i64) -> i64 {
        misuse::divide(a, b)
    }

    /// Ends itself with a code and words.
    fn exit(&mut self, code: i32, message: Option<String>) {
        pando::exit(code, &message.unwrap_or_default());
    }

    /// Sends so many messages of so many bytes to an actor.
    fn flood(&mut self, target: Handle, count: u32, bytes: u32) -> Storm {
        greed::flood(&target, count, bytes)
    }

    /// Sends itself so many messages of so many bytes.
    fn flood_self(&mut self, count: u32, bytes: u32) -> Storm {
        greed::flood(&Handle::me(), count, bytes)
    }

    /// What a flood is made of: does nothing.
    fn ignore(&mut self, what: Vec<u8>) -> u64 {
        what.len() as u64
    }

    /// Sends itself a message, at which it sends itself a message.
    fn never_rest(&mut self) {
        let _ = GremlinRef::of(Handle::me()).never_rest().send();
    }

    /// Spawns children until it is told to stop, or so many.
    fn spawn_storm(&mut self, most: Option<u64>) -> Storm {
        greed::until_told(most, || {
            let child = GremlinRef::start(Spawn::own())?;
            self.hoard.push((*child).clone());
            Ok(())
        })
    }

    /// Spawns two children that do the same, down to a depth: 2^depth of them.
    fn breed(&mut self, depth: u32) -> pando::Result<()> {
        for _ in 0..if depth > 0 { 2 } else { 0 } {
            let child = GremlinRef::start(Spawn::own())?;
            child.link()?;
            child.breed(depth - 1).send()?;
        }
        Ok(())
    }

    /// Copies a handle until it is told to stop, or so often.
    fn handle_storm(&mut self, most: Option<u64>) -> Storm {
        let mine = pando::grant(0, pando::Rights::ALL);
        greed::until_told(most, || {
            self.hoard.push(mine.clone()?.limited(pando::Rights::ALL)?);
            Ok(())
        })
    }

    /// Mints grants until it is told to stop, or so many.
    fn grant_storm(&mut self, most: Option<u64>) -> Storm {
        greed::until_told(most, || {
            self.hoard.push(pando::grant(1, pando::Rights::ALL)?);
            Ok(())
        })
    }

    /// Starts timers until it is told to stop, or so many.
    fn timer_storm(&mut self, most: Option<u64>) -> Storm {
        greed::until_told(most, || {
            sys::timer(3_600_000_000_000)?;
            Ok(())
        })
    }

    /// Watches an actor until it is told to stop, or so often.
    fn monitor_storm(&mut self, target: Handle, most: Option<u64>) -> Storm {
        greed::until_told(most, || target.watch().map(drop))
    }

    /// Calls an actor until it is told to stop, or so often, and waits for none of the answers.
    fn call_storm(&mut self, target: Handle, most: Option<u64>) -> Storm {
        greed::until_told(most, || {
            sys::call(target.number(), b"\x81\x64none", &[], 0, 0)?;
            Ok(())
        })
    }

    /// Writes so many lines to its log.
    fn log_storm(&mut self, lines: u32, bytes: Option<u32>) {
        let line = "x".repeat(bytes.unwrap_or(80) as usize);
        (0..lines).for_each(|n| pando::log!("{n} {line}"));
    }

    /// Sends a message of so many bytes to itself: more than 1 MiB is misuse.
    fn huge_message(&mut self, bytes: u32) -> Storm {
        greed::flood(&Handle::me(), 1, bytes)
    }

    /// Lets its caller's reply go.
    fn drop_reply(&mut self, reply: Reply<u64>) {
        drop(reply);
    }

    /// Keeps its caller waiting for ever.
    fn never_reply(&mut self, reply: Reply<u64>) {
        self.replies.push(reply);
    }

    /// Answers something else than its interface says.
    fn lie(&mut self, reply: Reply<Any>) {
        let words = "this is no number".to_string();
        match Any::new(&words) {
            Some(words) => reply.send(words),
            None => reply.fail("no words"),
        }
    }

    /// Drops a handle and uses it again.
    fn use_after_drop(&mut self) {
        misuse::use_after_drop();
    }

    /// Drops the handle to itself.
    fn drop_self(&mut self) {
        let _ = sys::handle_drop(Handle::me().number());
    }

    /// Answers through a handle that is no reply handle.
    fn reply_to_nobody(&mut self) {
        let _ = sys::reply(Handle::parent().number(), 0, &[], &[]);
    }

    /// Asks for an actor with a spec that is none.
    fn bad_spec(&mut self) {
        let _ = sys::spawn(0, &[0xff; 72], &[]);
    }

    /// Asks for a timer that is older than the world.
    fn bad_timer(&mut self) {
        let _ = sys::timer(u64::MAX);
    }

    /// Asks for effects in a query; answers with what it was told.
    #[query]
    fn mischief_in_a_query(&self) -> Vec<String> {
        misuse::effects_in_a_query()
    }

    /// Kills its parent, or tries to.
    fn patricide(&mut self) -> pando::Result<()> {
        Handle::parent().kill()
    }

    /// Everything that it hoards.
    #[query]
    fn hoarded(&self) -> u64 {
        (self.hoard.len() + self.replies.len() + self.memory.len()) as u64
    }
}

#[cfg(test)]
mod tests;
