//! Takes part in a chat for somebody: joins topics, says things, and keeps what it heard.
//!
//! ```pando
//! spawn chat --name chat
//! spawn member Ada --node n1 --name ada
//! call ada join chat tea
//! call ada say tea "Good morning"
//! ```

#![no_std]

use pando::prelude::*;

/// Lines that it keeps.
const HEARD_MAX: usize = 200;

/// One who takes part.
#[derive(Default)]
pub struct Member {
    name: String,
    chat: Option<ChatRef>,
    heard: VecDeque<Heard>,
}

/// A line that came.
#[derive(Data, Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    /// Where.
    pub topic: String,
    /// From whom; nobody says who comes and goes.
    pub from: String,
    /// What.
    pub text: String,
}

/// What it asks of a chat.
#[pando::client]
trait Chat {
    fn join(topic: String, name: String, who: Handle) -> Vec<String>;
    fn leave(topic: String, name: String) -> bool;
    fn say(topic: String, name: String, text: String) -> u32;
}

/// One who takes part in a chat.
#[pando::actor]
impl Member {
    /// Begins with its name.
    fn start(&mut self, name: String) {
        self.name = name;
    }

    /// Joins a topic of a chat; answers with who is there.
    async fn join(this: This<Self>, chat: Handle, topic: String) -> pando::Result<Vec<String>> {
        let (name, chat) = (this.with(|s| s.name.clone()), chat.cast::<ChatRef>());
        let there = chat.join(topic, name, Handle::me()).deadline(Duration::from_secs(5)).await?;
        this.with(|s| s.chat = Some(chat));
        Ok(there)
    }

    /// Leaves a topic.
    async fn leave(this: This<Self>, topic: String) -> pando::Result<bool> {
        let (name, chat) = this.with(|s| s.there())?;
        chat.leave(topic, name).deadline(Duration::from_secs(5)).await
    }

    /// Says something on a topic; answers with how many others it went to.
    async fn say(this: This<Self>, topic: String, text: String) -> pando::Result<u32> {
        let (name, chat) = this.with(|s| s.there())?;
        chat.say(topic, name, text).deadline(Duration::from_secs(5)).await
    }

    /// What the chat sends.
    fn heard(&mut self, topic: String, from: String, text: String) {
        if self.heard.len() == HEARD_MAX {
            self.heard.pop_front();
        }
        self.heard.push_back(Heard { topic, from, text });
    }

    /// What it heard, the oldest first.
    #[query]
    fn heard_so_far(&self) -> Vec<Heard> {
        self.heard.iter().cloned().collect()
    }
}

impl Member {
    fn there(&self) -> pando::Result<(String, ChatRef)> {
        let chat = self.chat.clone().ok_or("join a chat first")?;
        Ok((self.name.clone(), chat))
    }
}

#[cfg(test)]
mod tests {
    use pando::testing::Test;

    use super::*;

    #[test]
    fn it_joins_talks_and_keeps_what_it_heard() {
        let mut ada = Test::<Member>::start(("Ada".to_string(),));
        let chat = ada.peer("chat");
        assert_eq!(ada.ask(|m| m.say("tea", "hello")).unwrap_err().words(), "join a chat first");
        let joining = ada.begin(|m| m.join(chat.handle(), "tea"));
        let call = ada.expect_call(&chat, "join");
        let (topic, name, who) = call.args::<(String, String, Handle)>();
        assert_eq!((topic.as_str(), name.as_str(), who), ("tea", "Ada", ada.me().handle()));
        ada.reply(call, Ok(vec!["Ada".to_string()]));
        assert_eq!(ada.answer(&joining), Some(Ok(vec!["Ada".to_string()])));

        let saying = ada.begin(|m| m.say("tea", "hello"));
        let call = ada.expect_call(&chat, "say");
        ada.reply(call, Ok(1u32));
        assert_eq!(ada.answer(&saying), Some(Ok(1)));

        ada.send(|m| m.heard("tea", "Bob", "good morning"));
        let heard = ada.ask(|m| m.heard_so_far()).unwrap();
        assert_eq!(heard, [Heard { topic: "tea".into(), from: "Bob".into(), text: "good morning".into() }]);
    }

    #[test]
    fn what_the_chat_refuses_the_caller_hears() {
        let mut ada = Test::<Member>::start(("Ada".to_string(),));
        let chat = ada.peer("chat");
        let joining = ada.begin(|m| m.join(chat.handle(), "tea"));
        let call = ada.expect_call(&chat, "join");
        ada.reply::<Vec<String>>(call, Err(Error::with_words(Errno::EXISTS, "Ada is there already")));
        let error = ada.answer(&joining).unwrap().unwrap_err();
        assert_eq!((error.errno(), error.words()), (Errno::EXISTS, "Ada is there already"));
    }
}
