//! The same work by tokio: a task for each actor, a bounded channel for each mailbox.

use std::time::Instant;

use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
};

/// Actors of a ring.
pub const RING: usize = 1_000;
/// What the peers' mailboxes hold; ours hold more, but never need to here.
const MAILBOX: usize = 1_024;

/// Sixty-four bytes, as ours.
#[derive(Clone, Copy)]
struct Token {
    hops: u64,
    _rest: [u64; 7],
}

fn runtime(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("a runtime")
}

/// Messages a second round a ring.
pub fn ring(threads: usize, tokens: u64, hops: u64) -> f64 {
    runtime(threads).block_on(async {
        let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..RING).map(|_| mpsc::channel::<Token>(MAILBOX)).unzip();
        let (done, mut over) = mpsc::channel::<()>(MAILBOX);
        senders.rotate_left(1);
        for (next, mut inbox) in senders.iter().cloned().zip(receivers) {
            let done = done.clone();
            tokio::spawn(async move {
                while let Some(token) = inbox.recv().await {
                    let sent = match token.hops {
                        0 => done.send(()).await.is_ok(),
                        hops => next.send(Token { hops: hops - 1, ..token }).await.is_ok(),
                    };
                    if !sent {
                        return;
                    }
                }
            });
        }
        let began = Instant::now();
        for n in 0..tokens as usize {
            let token = Token { hops, _rest: [0; 7] };
            assert!(senders[n % RING].send(token).await.is_ok(), "the ring lives");
        }
        for _ in 0..tokens {
            over.recv().await;
        }
        (tokens * hops) as f64 / began.elapsed().as_secs_f64()
    })
}

/// Nanoseconds of a call and its answer between two tasks.
pub fn call(threads: usize, calls: u64) -> f64 {
    runtime(threads).block_on(async {
        let (to, mut inbox) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(MAILBOX);
        tokio::spawn(async move {
            while let Some((value, reply)) = inbox.recv().await {
                let _ = reply.send(value);
            }
        });
        let caller = tokio::spawn(async move {
            let began = Instant::now();
            for n in 0..calls {
                let (reply, answer) = oneshot::channel();
                assert!(to.send((n, reply)).await.is_ok(), "the other side lives");
                assert_eq!(answer.await, Ok(n));
            }
            began.elapsed()
        });
        caller.await.expect("a task").as_nanos() as f64 / calls as f64
    })
}

/// Tasks a second, each with a mailbox of its own, that say one word and end.
pub fn spawn(threads: usize, count: u64) -> f64 {
    runtime(threads).block_on(async {
        let began = Instant::now();
        let (born, mut cries) = mpsc::channel::<()>(MAILBOX);
        let parent = tokio::spawn(async move {
            for _ in 0..count {
                let born = born.clone();
                let (own, inbox) = mpsc::channel::<Token>(16);
                tokio::spawn(async move {
                    let _mailbox = (own, inbox);
                    let _ = born.send(()).await;
                });
            }
        });
        for _ in 0..count {
            cries.recv().await;
        }
        parent.await.expect("a task");
        count as f64 / began.elapsed().as_secs_f64()
    })
}
