//! Plays with pong, and measures how long a round takes.
//!
//! ```pando
//! spawn pong --node n3 --name pong
//! spawn ping --node n1 --name ping
//! call ping play pong 1000
//! call ping rounds 1000
//! call ping played
//! ```

#![no_std]

use pando::{prelude::*, realm};

/// Rounds of one game.
const ROUNDS_MAX: u32 = 10_000_000;

/// One who plays.
#[derive(Default)]
pub struct Ping {
    peer: Option<PongRef>,
    played: u64,
}

/// What came of a game.
#[derive(Data, Clone, Copy, PartialEq, Debug)]
pub struct Game {
    /// Calls that were answered.
    pub rounds: u32,
    /// All of them, in microseconds.
    pub total_us: u64,
    /// One, there and back, in microseconds.
    pub round_us: f64,
}

/// With whom it plays.
#[pando::client]
trait Pong {
    fn ping(number: u64) -> u64;
}

/// Plays with pong.
#[pando::actor]
impl Ping {
    /// Plays so many rounds with an actor, one after the other: 1 unless told. It is the peer of `rounds` from now on.
    async fn play(this: This<Self>, peer: Handle, rounds: Option<u32>) -> pando::Result<Game> {
        this.with(|s| s.peer = Some(peer.cast()));
        game(this, rounds.unwrap_or(1)).await
    }

    /// Plays with whoever has this name in the realm.
    async fn play_with(this: This<Self>, name: String, rounds: Option<u32>) -> pando::Result<Game> {
        let peer = realm::lookup(&name).await?;
        this.with(|s| s.peer = Some(peer));
        game(this, rounds.unwrap_or(1)).await
    }

    /// Plays again with the last peer.
    async fn rounds(this: This<Self>, rounds: u32) -> pando::Result<Game> {
        game(this, rounds).await
    }

    /// Plays with so many calls on their way at once, for `rounds` calls together.
    async fn many(this: This<Self>, rounds: u32, at_once: u32) -> pando::Result<Game> {
        let at_once = at_once.clamp(1, 1_000);
        let begun = pando::now();
        let lanes = (0..at_once).map(|lane| lane_of(&this, rounds / at_once + u32::from(lane < rounds % at_once)));
        let lanes = lanes.collect::<pando::Result<Vec<_>>>()?;
        for done in pando::join_all(lanes).await {
            done?;
        }
        Ok(score(&this, rounds, pando::now() - begun))
    }

    /// How many rounds it has played.
    #[query]
    fn played(&self) -> u64 {
        self.played
    }
}

async fn game(this: This<Ping>, rounds: u32) -> pando::Result<Game> {
    let begun = pando::now();
    lane_of(&this, rounds)?.await?;
    Ok(score(&this, rounds, pando::now() - begun))
}

/// Calls one after the other.
fn lane_of(this: &This<Ping>, rounds: u32) -> pando::Result<impl Future<Output = pando::Result<()>> + use<>> {
    if rounds > ROUNDS_MAX {
        return Err(format!("a game has at most {ROUNDS_MAX} rounds").into());
    }
    let peer = this.with(|s| s.peer.clone()).ok_or("it has no peer yet: `play` first")?;
    Ok(async move {
        for number in 0..u64::from(rounds) {
            let answer = peer.ping(number).deadline(Duration::from_secs(5)).await?;
            if answer != number {
                return Err(format!("{number} came back as {answer}").into());
            }
        }
        Ok(())
    })
}

fn score(this: &This<Ping>, rounds: u32, took: Duration) -> Game {
    this.with(|s| s.played += u64::from(rounds));
    let total_us = took.as_micros() as u64;
    Game { rounds, total_us, round_us: total_us as f64 / f64::from(rounds.max(1)) }
}

#[cfg(test)]
mod tests {
    use pando::testing::Test;

    use super::*;

    #[test]
    fn it_plays_rounds_one_after_the_other_and_measures_them() {
        let mut ping = Test::<Ping>::start(());
        let pong = ping.peer("pong");
        let game = ping.begin(|p| p.play(pong.handle(), Some(3)));
        for number in 0..3u64 {
            let call = ping.expect_call(&pong, "ping");
            assert_eq!(call.args::<(u64,)>(), (number,));
            ping.expect_nothing();
            ping.advance(Duration::from_millis(2));
            ping.reply(call, Ok(number));
        }
        assert_eq!(ping.answer(&game), Some(Ok(Game { rounds: 3, total_us: 6_000, round_us: 2_000.0 })));
        assert_eq!(ping.ask(|p| p.played()), Ok(3));
    }

    #[test]
    fn many_calls_can_be_on_their_way() {
        let mut ping = Test::<Ping>::start(());
        let pong = ping.peer("pong");
        let game = ping.begin(|p| p.play(pong.handle(), Some(0)));
        assert!(ping.answer(&game).is_some());
        let game = ping.begin(|p| p.many(5, 2));
        let mut answered = 0;
        while let Some(pando::testing::Effect::Call(call)) = ping.next_effect() {
            let (number,) = call.args::<(u64,)>();
            ping.reply(call, Ok(number));
            answered += 1;
        }
        assert_eq!(answered, 5);
        assert_eq!(ping.answer(&game).unwrap().unwrap().rounds, 5);
    }

    #[test]
    fn a_game_without_a_peer_or_with_a_dead_one_fails_in_words() {
        let mut ping = Test::<Ping>::start(());
        assert_eq!(ping.ask(|p| p.rounds(1)).unwrap_err().words(), "it has no peer yet: `play` first");
        let game = ping.begin(|p| p.play_with("nobody", None));
        let call = ping.expect_call(&ping.realm(), "lookup");
        ping.reply::<Handle>(call, Err(Errno::NOT_FOUND.into()));
        assert_eq!(ping.answer(&game).unwrap().unwrap_err().errno(), Errno::NOT_FOUND);
    }
}
