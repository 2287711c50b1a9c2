//! A live session's way out: four queues and their writers.
//!
//! 1. A writer takes everything that waits, up to a batch, and writes it at once: under load many frames share one write.
//! 2. A queue's budget is freed when QUIC has taken the bytes, and QUIC takes no more of a channel than its window.

#![expect(clippy::indexing_slicing, reason = "there is one place for each channel in every array")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::channel::{Budgets, Channel, Outbox};
use crate::close::{Close, CloseCode};
use crate::frame;
use crate::inbox::{Cell, Phase};
use crate::transport::SendError;

/// Bytes that one write takes from a queue, roughly.
const BATCH_BYTES: usize = 64 << 10;

pub(super) struct Wire {
    pub cell: Arc<Cell>,
    pub connection: quinn::Connection,
    pub version: u16,
    lanes: [Lane; 4],
    finishing: AtomicBool,
}

struct Lane {
    outbox: Mutex<Outbox>,
    filled: Notify,
}

impl Wire {
    pub fn new(
        cell: Arc<Cell>,
        connection: quinn::Connection,
        version: u16,
        budgets: &Budgets,
        frame_bytes_max: usize,
    ) -> Arc<Wire> {
        let lane = |channel| Lane {
            outbox: Mutex::new(Outbox::new(budgets.of(channel, frame_bytes_max))),
            filled: Notify::new(),
        };
        Arc::new(Wire { cell, connection, version, lanes: Channel::ALL.map(lane), finishing: AtomicBool::new(false) })
    }

    pub fn send(&self, channel: Channel, frame: Bytes) -> Result<(), SendError> {
        // Before the kernel has taken the Up it may still mean the peer's former life.
        if self.cell.phase() != Phase::Open || self.finishing.load(Ordering::Acquire) {
            return Err(SendError::Down);
        }
        let lane = &self.lanes[channel as usize];
        let pushed = lane.outbox.lock().push(frame);
        match pushed {
            Err(_) => Err(SendError::Full),
            Ok(was_empty) => {
                if was_empty {
                    lane.filled.notify_one();
                }
                Ok(())
            }
        }
    }

    /// What waits is written, then the streams end.
    pub fn finish(&self) {
        self.finishing.store(true, Ordering::Release);
        self.lanes.iter().for_each(|lane| lane.filled.notify_one());
    }

    pub fn queued_bytes(&self) -> [usize; 4] {
        self.lanes.each_ref().map(|lane| lane.outbox.lock().used())
    }

    /// Writes one channel until the session finishes or the connection is lost.
    pub async fn write(self: Arc<Wire>, channel: Channel) -> Result<(), Close> {
        match self.pump(channel).await {
            Ok(()) | Err(quinn::WriteError::ConnectionLost(_)) => Ok(()),
            Err(e) => {
                let text = format!("the {} channel cannot be written: {e}", channel.name());
                Err(Close::new(CloseCode::Malformed, text))
            }
        }
    }

    async fn pump(&self, channel: Channel) -> Result<(), quinn::WriteError> {
        let lane = &self.lanes[channel as usize];
        let mut stream = self.connection.open_uni().await?;
        stream.set_priority(Channel::ALL.len() as i32 - channel as i32).ok();
        stream.write_all(&[channel as u8]).await?;
        let (mut batch, mut chunks) = (Vec::new(), Vec::new());
        loop {
            let finishing = self.finishing.load(Ordering::Acquire);
            let taken = lane.outbox.lock().take(&mut batch, BATCH_BYTES);
            if taken == 0 && finishing {
                break;
            }
            if taken == 0 {
                lane.filled.notified().await;
                continue;
            }
            frame::encode_batch(&mut batch, &mut chunks);
            stream.write_all_chunks(&mut chunks).await?;
            chunks.clear();
            lane.outbox.lock().written(taken);
        }
        stream.finish().ok();
        Ok(())
    }
}
