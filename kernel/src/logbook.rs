//! The latest lines that actors and the kernel wrote on this node.
//!
//! 1. Memory is bounded: the oldest lines go. Chatter (level 4 and above) makes no room for itself among what people should read.
//! 2. A follower that is too slow misses lines, and is told how many.
//! 3. That somebody ended in peace, which may happen a million times a second, becomes text only when somebody looks.

use std::collections::VecDeque;

use pando_abi::Address;
use pando_actors::Exit;
use pando_admin::LogLine;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::input::describe;

/// Lines kept of what people should read, and as many of chatter.
const LINES_MAX: usize = 4_096;
/// From this level on it is chatter.
pub const CHATTER: u8 = 4;

/// See the module.
pub struct LogBook {
    lines: Mutex<Lines>,
    news: broadcast::Sender<LogLine>,
}

#[derive(Default)]
struct Lines {
    written: u64,
    read: VecDeque<(u64, Line)>,
    chatter: VecDeque<(u64, Line)>,
}

/// A line, or what one can be made of.
enum Line {
    Said(LogLine),
    Ended { time_ns: u64, node: u32, who: Address, how: Exit },
}

impl Line {
    fn level(&self) -> u8 {
        match self {
            Line::Said(line) => line.level,
            Line::Ended { .. } => CHATTER,
        }
    }

    fn to_text(&self) -> LogLine {
        match self {
            Line::Said(line) => line.clone(),
            Line::Ended { time_ns, node, who, how } => {
                let (source, text) = (who.to_string(), ended(how));
                LogLine { time_ns: *time_ns, node: *node, level: CHATTER, source, text }
            }
        }
    }
}

/// What the log says of an end.
pub fn ended(how: &Exit) -> String {
    format!("ended, {}", with_trace(how))
}

/// An end in words, with the guest's stack if it is known.
pub fn with_trace(how: &Exit) -> String {
    match how.message.split_once('\n') {
        Some((_, trace)) => format!("{}\n{trace}", describe(how)),
        None => describe(how),
    }
}

impl Default for LogBook {
    fn default() -> Self {
        LogBook { lines: Mutex::default(), news: broadcast::channel(1_024).0 }
    }
}

impl LogBook {
    /// Writes a line.
    pub fn write(&self, line: LogLine) {
        self.keep(Line::Said(line));
    }

    /// Writes down that somebody without a name has ended in peace.
    pub fn write_end(&self, time_ns: u64, node: u32, who: Address, how: Exit) {
        self.keep(Line::Ended { time_ns, node, who, how });
    }

    fn keep(&self, line: Line) {
        let mut lines = self.lines.lock();
        if self.news.receiver_count() > 0 {
            // Whoever followed has gone a moment ago: no matter.
            let _ = self.news.send(line.to_text());
        }
        lines.written += 1;
        let number = lines.written;
        let kept = if line.level() < CHATTER { &mut lines.read } else { &mut lines.chatter };
        if kept.len() == LINES_MAX {
            kept.pop_front();
        }
        kept.push_back((number, line));
    }

    /// The latest `count` that `wanted` wants, oldest first, and all that come from now on.
    pub fn tail(
        &self,
        count: usize,
        wanted: impl Fn(&LogLine) -> bool,
    ) -> (Vec<LogLine>, broadcast::Receiver<LogLine>) {
        let lines = self.lines.lock();
        let mut all: Vec<&(u64, Line)> = lines.read.iter().chain(&lines.chatter).collect();
        all.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        let texts = all.into_iter().map(|(_, line)| line.to_text());
        let mut latest: Vec<LogLine> = texts.filter(wanted).take(count).collect();
        latest.reverse();
        (latest, self.news.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use pando_abi::{ActorId, ExitKind, NodeId};

    use super::*;

    fn line(level: u8, text: &str) -> LogLine {
        LogLine { time_ns: 1, node: 1, level, source: "a".into(), text: text.into() }
    }

    fn texts(book: &LogBook, count: usize) -> Vec<String> {
        book.tail(count, |_| true).0.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn however_many_end_in_peace_a_warning_is_there_still() {
        let book = LogBook::default();
        book.write(line(2, "careful"));
        let who = Address::actor(NodeId(1), ActorId([7; 16]));
        for _ in 0..2 * LINES_MAX {
            book.write_end(2, 1, who, Exit::new(ExitKind::Normal, ""));
        }
        book.write(line(3, "done"));
        let all = texts(&book, usize::MAX);
        assert_eq!((all.len(), &all[0][..], &all[1][..]), (LINES_MAX + 2, "careful", "ended, normal"));
        assert_eq!(all.last().map(String::as_str), Some("done"));
        assert_eq!(texts(&book, 2), ["ended, normal", "done"]);
        let (of_one, _) = book.tail(1, |line| line.source == who.to_string());
        assert_eq!((of_one[0].level, of_one[0].time_ns), (CHATTER, 2));
    }

    #[test]
    fn lines_leave_in_the_order_in_which_they_came_and_followers_hear_of_both_sorts() {
        let book = LogBook::default();
        let (_, mut news) = book.tail(0, |_| true);
        for n in 0..10 {
            book.write(line(1 + n % 5, &n.to_string()));
        }
        assert_eq!(texts(&book, 4), ["6", "7", "8", "9"]);
        let heard: Vec<String> = std::iter::from_fn(|| news.try_recv().ok()).map(|line| line.text).collect();
        assert_eq!(heard.len(), 10);
        for n in 0..LINES_MAX {
            book.write(line(3, &format!("new {n}")));
        }
        let all = texts(&book, usize::MAX);
        let chatter = all.iter().filter(|text| !text.starts_with("new")).count();
        assert_eq!((chatter, all.len()), (4, LINES_MAX + 4), "of the ten, four were chatter");
    }
}
