//! The one writer of the log: all groups, one queue, one flush.
//!
//! A thread takes whatever is queued, writes it as one batch, syncs once, and then tells everybody
//! whose writes were in it. While it syncs, the next batch gathers. On a runtime of one thread, as in a
//! simulation, a task does the same.
//!
//! 1. Writes reach the disk in the order they were queued, whoever queued them.
//! 2. Nobody is told before the sync that covers their write has returned.
//! 3. A lazy write rides with the next synced one, or goes unsynced after a short while.
//! 4. The first failure is final: `fatal` is called once, and every later write fails.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openraft::storage::IOFlushed;
use pando_abi::planted::fail::{Point, pass};
use pando_abi::planted::{Bug, planted};
use parking_lot::Mutex;
use raft::eraftpb;
use raft_engine::{Command, LogBatch, MessageExt};
use tokio::sync::{mpsc, oneshot};

use super::Engine;
use crate::config::{Config, Fatal};
use crate::files::Files;
use crate::replica::one_thread;
use crate::types::Types;

/// Bytes of one batch, after which it is written.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Writes of one batch.
const BATCH_WRITES_MAX: usize = 4096;
/// How long a lazy write waits for a synced one to ride with.
const LAZY_WAIT: Duration = Duration::from_millis(20);

/// How the engine finds an entry's index.
pub(crate) struct Entries;

impl MessageExt for Entries {
    type Entry = eraftpb::Entry;
    fn index(entry: &eraftpb::Entry) -> u64 {
        entry.index
    }
}

/// One thing to write. The first field is the region.
pub(crate) enum Item {
    Entries(u64, Vec<eraftpb::Entry>),
    Put(u64, Vec<u8>, Vec<u8>),
    Delete(u64, Vec<u8>),
    /// Drops entries before the index.
    Compact(u64, u64),
    /// Drops the region.
    Clean(u64),
}

/// Whom to tell.
pub(crate) enum Done {
    Nobody,
    Signal(oneshot::Sender<io::Result<()>>),
    /// openraft, after the op's number was stored as flushed.
    Flushed {
        callback: IOFlushed<Types>,
        op: u64,
        mark: Arc<AtomicU64>,
    },
}

struct Op {
    items: Vec<Item>,
    done: Done,
    lazy: bool,
}

/// The handle to whoever writes.
pub(crate) struct Appender {
    queue: Mutex<Option<Queue>>,
    flushes: Arc<AtomicU64>,
}

enum Queue {
    Thread(Sender<Op>, JoinHandle<()>),
    Task(mpsc::UnboundedSender<Op>, Arc<Mutex<Desk>>),
}

/// What the writing task works on; whoever closes the log finishes it.
struct Desk {
    writer: Writer,
    queue: mpsc::UnboundedReceiver<Op>,
    batch: Batch,
}

fn closed() -> io::Error {
    io::Error::other("the log is closed")
}

impl Appender {
    pub(crate) fn start(engine: Arc<Engine>, config: &Config) -> Appender {
        let flushes = Arc::new(AtomicU64::new(0));
        let mut writer = Writer { engine, fatal: config.fatal.clone(), failed: None, flushes: flushes.clone() };
        let queue = if one_thread() {
            let (tx, rx) = mpsc::unbounded_channel();
            let desk = Arc::new(Mutex::new(Desk { writer, queue: rx, batch: Batch::default() }));
            tokio::spawn(write_in_task(desk.clone(), config.files.clone()));
            Queue::Task(tx, desk)
        } else {
            let (tx, rx) = channel();
            #[expect(
                clippy::disallowed_methods,
                clippy::expect_used,
                reason = "the log's one thread; a node that cannot have it must not come up"
            )]
            let thread = std::thread::Builder::new()
                .name("pando-log".into())
                .spawn(move || writer.run(rx))
                .expect("starting a thread");
            Queue::Thread(tx, thread)
        };
        Appender { queue: Mutex::new(Some(queue)), flushes }
    }

    /// Syncs so far.
    pub(crate) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Relaxed)
    }

    fn push(&self, op: Op) {
        let refused = match &*self.queue.lock() {
            Some(Queue::Thread(queue, _)) => queue.send(op).err().map(|e| e.0),
            Some(Queue::Task(queue, _)) => queue.send(op).err().map(|e| e.0),
            None => Some(op),
        };
        if let Some(op) = refused {
            tell(op.done, Err("the log is closed"));
        }
    }

    /// Queues now; the future waits for the sync.
    pub(crate) fn write(&self, items: Vec<Item>) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let (tx, rx) = oneshot::channel();
        self.push(Op { items, done: Done::Signal(tx), lazy: false });
        async move { rx.await.unwrap_or_else(|_| Err(closed())) }
    }

    /// Queues what need not be synced by itself.
    pub(crate) fn write_lazy(&self, items: Vec<Item>) {
        self.push(Op { items, done: Done::Nobody, lazy: true });
    }

    /// Queues; `done` is told after the sync.
    pub(crate) fn write_then(&self, items: Vec<Item>, done: Done) {
        self.push(Op { items, done, lazy: false });
    }

    /// Writes what is queued and ends. Blocks.
    pub(crate) fn close(&self) {
        let queue = self.queue.lock().take();
        match queue {
            Some(Queue::Thread(queue, thread)) => {
                drop(queue);
                // It has no panic to pass on: writes are caught, and answered as failures.
                let _ = thread.join();
            }
            Some(Queue::Task(queue, desk)) => {
                drop(queue);
                desk.lock().clear(true);
            }
            None => {}
        }
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.close();
    }
}

fn tell(done: Done, result: Result<(), &str>) {
    let result = result.map_err(|why| io::Error::other(why.to_string()));
    match done {
        Done::Nobody => {}
        // The one who asked may have stopped waiting.
        Done::Signal(tx) => drop(tx.send(result)),
        Done::Flushed { callback, op, mark } => {
            if result.is_ok() {
                mark.fetch_max(op, Ordering::Release);
            }
            callback.io_completed(result);
        }
    }
}

/// What the thread does, as a task.
async fn write_in_task(desk: Arc<Mutex<Desk>>, files: Option<Arc<dyn Files>>) {
    loop {
        let first = poll_fn(|cx| desk.lock().queue.poll_recv(cx)).await;
        let Some(op) = first else { return };
        let lazy = op.lazy;
        desk.lock().batch.add(op);
        let delay = files.as_ref().map_or(Duration::ZERO, |files| files.delay());
        let wait = if lazy { delay + LAZY_WAIT } else { delay };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        desk.lock().clear(false);
    }
}

impl Desk {
    /// Writes all that waits.
    fn clear(&mut self, sync: bool) {
        while let Ok(op) = self.queue.try_recv() {
            self.batch.add(op);
            if self.batch.full() {
                self.writer.write(std::mem::take(&mut self.batch), sync);
            }
        }
        self.writer.write(std::mem::take(&mut self.batch), sync);
    }
}

struct Writer {
    engine: Arc<Engine>,
    fatal: Fatal,
    failed: Option<String>,
    flushes: Arc<AtomicU64>,
}

impl Writer {
    fn run(&mut self, queue: Receiver<Op>) {
        let mut batch = Batch::default();
        let mut lazy_since: Option<Instant> = None;
        loop {
            let first = match lazy_since {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(since) => queue.recv_timeout(LAZY_WAIT.saturating_sub(since.elapsed())),
            };
            let end = matches!(first, Err(RecvTimeoutError::Disconnected));
            if let Ok(op) = first {
                batch.add(op);
                while !batch.full() {
                    match queue.try_recv() {
                        Ok(op) => batch.add(op),
                        Err(_) => break,
                    }
                }
            }
            let overdue = lazy_since.is_some_and(|since| since.elapsed() >= LAZY_WAIT);
            if batch.synced || end || overdue {
                // The last batch is synced too: a clean stop leaves nothing behind.
                self.write(std::mem::take(&mut batch), end);
                lazy_since = None;
            } else if !batch.log.is_empty() {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "when to sync what nobody waits for: no answer depends on it"
                )]
                lazy_since.get_or_insert_with(Instant::now);
            }
            if end {
                return;
            }
        }
    }

    fn write(&mut self, mut batch: Batch, sync: bool) {
        let sync = (batch.synced || sync) && !planted(Bug::NoSync);
        if self.failed.is_none() {
            if let Some(why) = batch.bad.take() {
                self.fail(why);
            } else if !batch.log.is_empty() {
                pass(Point::LogBeforeWrite);
                // The engine panics when a sync fails, and so it should not be asked twice.
                let written = catch_unwind(AssertUnwindSafe(|| self.engine.write(&mut batch.log, sync)));
                match written {
                    Ok(Ok(_)) if sync => {
                        self.flushes.fetch_add(1, Ordering::Relaxed);
                        pass(Point::LogAfterSync);
                    }
                    Ok(Ok(_)) => {}
                    Ok(Err(e)) => self.fail(e.to_string()),
                    Err(_) => self.fail("the log could not be synced".into()),
                }
            }
        }
        for done in batch.done {
            tell(done, self.failed.as_deref().map_or(Ok(()), Err));
        }
    }

    fn fail(&mut self, why: String) {
        tracing::error!(%why, "the log cannot be written");
        self.failed = Some(why.clone());
        (self.fatal)(why);
    }
}

#[derive(Default)]
struct Batch {
    log: LogBatch,
    done: Vec<Done>,
    bytes: usize,
    writes: usize,
    synced: bool,
    bad: Option<String>,
}

impl Batch {
    fn full(&self) -> bool {
        self.bytes >= BATCH_BYTES_MAX || self.writes >= BATCH_WRITES_MAX
    }

    fn add(&mut self, op: Op) {
        self.synced |= !op.lazy;
        self.writes += 1;
        for item in op.items {
            let added = match item {
                Item::Entries(region, entries) => {
                    self.bytes += entries.iter().map(|e| e.data.len() + 32).sum::<usize>();
                    self.log.add_entries::<Entries>(region, &entries)
                }
                Item::Put(region, key, value) => {
                    self.bytes += key.len() + value.len();
                    self.log.put(region, key, value)
                }
                Item::Delete(region, key) => {
                    self.log.delete(region, key);
                    Ok(())
                }
                Item::Compact(region, index) => {
                    self.log.add_command(region, Command::Compact { index });
                    Ok(())
                }
                Item::Clean(region) => {
                    self.log.add_command(region, Command::Clean);
                    Ok(())
                }
            };
            if let Err(e) = added {
                self.bad.get_or_insert(e.to_string());
            }
        }
        self.done.push(op.done);
    }
}
