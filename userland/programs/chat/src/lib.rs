//! Topics, their members and what was said.
//!
//! Members are actors anywhere in the realm; the bundled `member` is one. Each hears what is said as `heard(topic, from,
//! text)`; one that ends is taken off every topic.
//!
//! ```pando
//! spawn chat --replicas 3 --name chat
//! spawn member Ada --node n1 --name ada
//! spawn member Bob --node n2 --name bob
//! call ada join chat tea
//! call bob join chat tea
//! call ada say tea "Good morning"
//! call bob heard_so_far
//! ```

#![no_std]

use pando::{Down, Time, prelude::*};

/// Lines that a topic remembers.
const HISTORY_MAX: usize = 500;
/// Members of one topic.
const MEMBERS_MAX: usize = 1_000;
/// Topics that one chat has.
const TOPICS_MAX: usize = 1_000;
/// Bytes of one line.
const LINE_BYTES_MAX: usize = 4_096;

/// Every topic.
#[derive(Default)]
pub struct Chat {
    topics: BTreeMap<String, Topic>,
}

#[derive(Default)]
struct Topic {
    members: Vec<Member>,
    history: VecDeque<Line>,
}

struct Member {
    name: String,
    who: ListenerRef,
    monitor: u64,
}

/// Something that was said.
#[derive(Data, Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// When, in nanoseconds since 1970.
    pub at: Time,
    /// By whom.
    pub from: String,
    /// What.
    pub text: String,
}

/// What a member is sent.
#[pando::client]
trait Listener {
    fn heard(topic: String, from: String, text: String);
}

/// Topics, and who talks there. A topic is there as long as somebody is on it or something was said.
#[pando::actor]
impl Chat {
    /// Puts an actor on a topic under a name. Answers with the names of those who are there.
    fn join(&mut self, topic: String, name: String, who: Handle) -> pando::Result<Vec<String>> {
        if topic.is_empty() || name.is_empty() {
            return Err("a topic and a name have at least one letter".into());
        }
        if !self.topics.contains_key(&topic) && self.topics.len() == TOPICS_MAX {
            return Err("there are too many topics".into());
        }
        let members = &mut self.topics.entry(topic.clone()).or_default().members;
        match members.iter().find(|member| member.name == name) {
            Some(there) if *there.who == who => {}
            Some(_) => return Err(Error::with_words(Errno::EXISTS, format!("{name} is there already"))),
            None if members.len() == MEMBERS_MAX => return Err("the topic is full".into()),
            None => {
                let monitor = who.watch()?;
                members.push(Member { name: name.clone(), who: who.cast(), monitor });
                self.announce(&topic, &format!("{name} joined"));
            }
        }
        Ok(self.members(topic))
    }

    /// Takes a name off a topic.
    fn leave(&mut self, topic: String, name: String) -> bool {
        self.remove(&topic, "left", |member| member.name == name)
    }

    /// Says something on a topic; answers with how many others it went to.
    fn say(&mut self, topic: String, name: String, text: String) -> pando::Result<u32> {
        if text.len() > LINE_BYTES_MAX {
            return Err(format!("a line has at most {LINE_BYTES_MAX} bytes").into());
        }
        let there = self.topics.get_mut(&topic).ok_or_else(|| no_topic(&topic))?;
        if !there.members.iter().any(|member| member.name == name) {
            return Err(Error::with_words(Errno::REFUSED, format!("{name} is not on {topic}")));
        }
        there.remember(&name, &text);
        let others = there.members.iter().filter(|member| member.name != name);
        let sent = others.map(|member| member.who.heard(&topic, &name, &text).send());
        Ok(sent.filter(Result::is_ok).count() as u32)
    }

    /// The topics, in order.
    #[query]
    fn topics(&self) -> Vec<String> {
        self.topics.keys().cloned().collect()
    }

    /// The names on a topic, in the order in which they came.
    #[query]
    fn members(&self, topic: String) -> Vec<String> {
        let there = self.topics.get(&topic).map(|topic| topic.members.iter());
        there.into_iter().flatten().map(|member| member.name.clone()).collect()
    }

    /// The latest lines of a topic, the oldest first: 20 unless told.
    #[query]
    fn history(&self, topic: String, last: Option<u32>) -> pando::Result<Vec<Line>> {
        let there = self.topics.get(&topic).ok_or_else(|| no_topic(&topic))?;
        let last = last.unwrap_or(20) as usize;
        Ok(there.history.iter().skip(there.history.len().saturating_sub(last)).cloned().collect())
    }

    fn on_down(&mut self, down: Down) {
        let topics: Vec<String> = self.topics.keys().cloned().collect();
        for topic in topics {
            self.remove(&topic, "is gone", |member| Some(member.monitor) == down.monitor);
        }
    }
}

impl Chat {
    fn remove(&mut self, topic: &str, how: &str, who: impl Fn(&Member) -> bool) -> bool {
        let Some(there) = self.topics.get_mut(topic) else { return false };
        let Some(at) = there.members.iter().position(who) else { return false };
        let gone = there.members.remove(at);
        let _ = pando::unwatch(gone.monitor);
        self.announce(topic, &format!("{} {how}", gone.name));
        true
    }

    /// Lines of nobody, to all.
    fn announce(&mut self, topic: &str, text: &str) {
        let Some(there) = self.topics.get_mut(topic) else { return };
        there.remember("", text);
        for member in &there.members {
            // One that cannot be reached is about to be reported as down.
            let _ = member.who.heard(topic, "", text).send();
        }
    }
}

impl Topic {
    fn remember(&mut self, from: &str, text: &str) {
        if self.history.len() == HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(Line { at: pando::now(), from: from.to_owned(), text: text.to_owned() });
    }
}

fn no_topic(topic: &str) -> Error {
    Error::with_words(Errno::NOT_FOUND, format!("there is no topic {topic}"))
}

#[cfg(test)]
mod tests;
