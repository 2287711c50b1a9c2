//! Counts: the smallest actor that is good for something.
//!
//! ```pando
//! spawn counter --replicas 3 --name hits
//! call hits add 5
//! call hits value
//! ```

#![no_std]

/// A number.
#[derive(Default)]
pub struct Counter {
    value: i64,
}

/// A number that anybody may change. It stops at the ends of what 64 bits can count.
#[pando::actor]
impl Counter {
    /// Begins at a number: at 0 unless told.
    fn start(at: Option<i64>) -> Self {
        Counter { value: at.unwrap_or(0) }
    }

    /// Adds, and answers with the new value.
    fn add(&mut self, by: i64) -> i64 {
        self.value = self.value.saturating_add(by);
        self.value
    }

    /// Subtracts, and answers with the new value.
    fn sub(&mut self, by: i64) -> i64 {
        self.value = self.value.saturating_sub(by);
        self.value
    }

    /// The value.
    #[query]
    fn value(&self) -> i64 {
        self.value
    }

    /// Back to 0; answers with what it was.
    fn reset(&mut self) -> i64 {
        core::mem::take(&mut self.value)
    }
}

#[cfg(test)]
mod tests {
    use pando::testing::Test;

    use super::*;

    #[test]
    fn it_adds_and_subtracts() {
        let mut counter = Test::<Counter>::start(());
        assert_eq!(counter.ask(|c| c.add(5)), Ok(5));
        assert_eq!(counter.ask(|c| c.sub(7)), Ok(-2));
        assert_eq!(counter.ask(|c| c.value()), Ok(-2));
        assert_eq!(counter.ask(|c| c.reset()), Ok(-2));
        assert_eq!(counter.ask(|c| c.value()), Ok(0));
        counter.expect_nothing();
    }

    #[test]
    fn it_begins_where_it_is_told() {
        let mut counter = Test::<Counter>::start((41,));
        assert_eq!(counter.ask(|c| c.add(1)), Ok(42));
    }

    #[test]
    fn it_stops_at_the_ends_of_what_it_can_count() {
        let mut counter = Test::<Counter>::start((i64::MAX,));
        assert_eq!(counter.ask(|c| c.add(1)), Ok(i64::MAX));
        let mut counter = Test::<Counter>::start((i64::MIN,));
        assert_eq!(counter.ask(|c| c.sub(1)), Ok(i64::MIN));
    }
}
