//! An actor that greets.

#![no_std]

use pando::prelude::*;

#[derive(Default)]
pub struct Greeter {
    greeted: BTreeMap<String, u32>,
}

/// Greets, and remembers whom.
#[pando::actor]
impl Greeter {
    /// Greets somebody.
    fn hello(&mut self, name: String) -> String {
        let times = self.greeted.entry(name.clone()).or_default();
        *times += 1;
        format!("Hello {name}! ({times})")
    }

    /// Everybody who was greeted, and how often.
    #[query]
    fn greeted(&self) -> BTreeMap<String, u32> {
        self.greeted.clone()
    }

    /// Lets another greeter do it, and passes its answer on.
    async fn ask(this: This<Self>, other: GreeterRef, name: String) -> pando::Result<String> {
        let answer = other.hello(&name).deadline(Duration::from_secs(1)).await?;
        this.with(|s| *s.greeted.entry(name).or_default() += 1);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use pando::testing::Test;

    use super::*;

    #[test]
    fn it_counts_greetings() {
        let mut greeter = Test::<Greeter>::start(());
        assert_eq!(greeter.ask(|g| g.hello("Ada")).unwrap(), "Hello Ada! (1)");
        assert_eq!(greeter.ask(|g| g.hello("Ada")).unwrap(), "Hello Ada! (2)");
        assert_eq!(greeter.ask(|g| g.greeted()).unwrap()["Ada"], 2);
    }

    #[test]
    fn it_asks_another() {
        let mut greeter = Test::<Greeter>::start(());
        let other = greeter.peer("other");
        let asked = greeter.begin(|g| g.ask(other.cast(), "Ada"));
        let call = greeter.expect_call(&other, "hello");
        assert_eq!(greeter.answer(&asked), None, "it waits, and others may call it meanwhile");
        greeter.reply(call, Ok("Good day.".to_string()));
        assert_eq!(greeter.answer(&asked), Some(Ok("Good day.".to_string())));
    }
}
