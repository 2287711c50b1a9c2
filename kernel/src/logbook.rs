//! The latest lines that actors and the kernel wrote on this node.
//!
//! 1. Memory is bounded: the oldest lines go.
//! 2. A follower that is too slow misses lines, and is told how many.

use std::collections::VecDeque;

use pando_admin::LogLine;
use parking_lot::Mutex;
use tokio::sync::broadcast;

/// Lines kept.
const LINES_MAX: usize = 4_096;

/// See the module.
pub struct LogBook {
    lines: Mutex<VecDeque<LogLine>>,
    news: broadcast::Sender<LogLine>,
}

impl Default for LogBook {
    fn default() -> Self {
        LogBook { lines: Mutex::new(VecDeque::new()), news: broadcast::channel(1_024).0 }
    }
}

impl LogBook {
    /// Writes a line.
    pub fn write(&self, line: LogLine) {
        let mut lines = self.lines.lock();
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        if self.news.receiver_count() > 0 {
            // Whoever followed has gone a moment ago: no matter.
            let _ = self.news.send(line.clone());
        }
        lines.push_back(line);
    }

    /// The latest `count` that `wanted` wants, oldest first, and all that come from now on.
    pub fn tail(
        &self,
        count: usize,
        wanted: impl Fn(&LogLine) -> bool,
    ) -> (Vec<LogLine>, broadcast::Receiver<LogLine>) {
        let lines = self.lines.lock();
        let mut latest: Vec<LogLine> = lines.iter().rev().filter(|l| wanted(l)).take(count).cloned().collect();
        latest.reverse();
        (latest, self.news.subscribe())
    }
}
