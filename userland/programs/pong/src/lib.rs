//! Answers ping.
//!
//! ```pando
//! spawn pong --node n3 --name pong
//! spawn ping --node n1 --name ping
//! call ping play pong 1000
//! ```

#![no_std]

/// One who answers.
#[derive(Default)]
pub struct Pong {
    answered: u64,
}

/// Answers ping.
#[pando::actor]
impl Pong {
    /// Answers with the number that it is given.
    fn ping(&mut self, number: u64) -> u64 {
        self.answered += 1;
        number
    }

    /// How often it has answered.
    #[query]
    fn answered(&self) -> u64 {
        self.answered
    }
}

#[cfg(test)]
mod tests {
    use pando::testing::Test;

    use super::*;

    #[test]
    fn it_answers_and_counts() {
        let mut pong = Test::<Pong>::start(());
        assert_eq!(pong.ask(|p| p.ping(7)), Ok(7));
        pong.send(|p| p.ping(8));
        assert_eq!(pong.ask(|p| p.answered()), Ok(2));
    }
}
