//! A user's connection, seen from the node: requests, each on a stream of its own.
//!
//! 1. All a user can do is to open a bidirectional stream and write one request into it. For anything else QUIC gives no credit.
//! 2. A request's length is known before its bytes are read, and its memory is taken first, from its user's share and then from
//!    one store for all users: a slow or hostile user waits, and takes nothing. A request that does not come in time is dropped.
//! 3. A node that closes says so on a stream of its own and waits, for a bounded time, until the user has read its answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::link::{self, End, Opening};
use super::live;
use super::node::Node;
use crate::close::{Close, CloseCode};
use crate::frame::{self, HEADER_BYTES, Kind};
use crate::identity::PublicKey;
use crate::request::{Memory, UserRequest};

/// How long a request may take to arrive.
const ARRIVAL_MAX: Duration = Duration::from_secs(30);
/// What a request costs beside its bytes: the streams and tables that it holds while it is answered.
const REQUEST_OVERHEAD_BYTES: usize = 4096;

pub(super) async fn serve(node: &Arc<Node>, key: &PublicKey, connection: &quinn::Connection, opening: Opening) {
    let from = connection.remote_address();
    let (number, share) = match node.enter_user(key, connection) {
        Ok(entered) => entered,
        Err(refusal) => {
            let end = End::Refuse(refusal);
            link::close(connection, &end);
            return node.stranger_refused(from, Some(key), &end.reason());
        }
    };
    tracing::debug!(%from, user = %format_args!("{key:.16}"), "user connected");
    let end = run(node, key, &share, connection, opening).await;
    link::close(connection, &end);
    node.leave_user(number);
    let reason = end.reason();
    match end {
        End::Refuse(_) => node.stranger_refused(from, Some(key), &reason),
        _ => tracing::debug!(%from, user = %format_args!("{key:.16}"), reason, "user disconnected"),
    }
}

async fn run(
    node: &Arc<Node>,
    key: &PublicKey,
    share: &Arc<Semaphore>,
    connection: &quinn::Connection,
    mut opening: Opening,
) -> End {
    if opening.say(&node.ours).await.is_err() {
        return End::of(connection);
    }
    opening.send.finish().ok();
    // The hello's stream is over and takes no request's place.
    drop(opening);
    super::endpoint::admit_user(connection, node.limits.requests_max);
    let mut closing = false;
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            _ = connection.closed() => return End::of(connection),
            streams = connection.accept_bi() => match streams {
                Ok((answers, request)) => {
                    tasks.spawn(take(node.clone(), *key, share.clone(), answers, request));
                }
                Err(error) => return End::from(error),
            },
            Some(taken) = tasks.join_next() => if let Ok(Err(close)) = taken {
                return End::Refuse(close);
            },
            () = node.stopping(), if !closing => {
                closing = true;
                if let Ok(mut goodbye) = connection.open_uni().await {
                    goodbye.write_all(&[0]).await.ok();
                    goodbye.finish().ok();
                }
            }
        }
    }
}

/// Reads one request and hands it to the kernel. `Err` is what ends the whole connection.
async fn take(
    node: Arc<Node>,
    user: PublicKey,
    share: Arc<Semaphore>,
    mut answers: quinn::SendStream,
    mut stream: quinn::RecvStream,
) -> Result<(), Close> {
    match tokio::time::timeout(ARRIVAL_MAX, read(&node, &share, &mut stream)).await {
        Ok(Ok(Some((bytes, memory)))) => {
            let max = node.limits.request_bytes_max;
            let request = UserRequest::quic(user, bytes, answers, max, memory);
            node.inbox.request(request).ok();
            Ok(())
        }
        Ok(Ok(None)) => Ok(()),
        Ok(Err(close)) => Err(close),
        Err(_) => {
            let from = format_args!("{user:.16}");
            tracing::warn!(user = %from, "a request that does not come to its end is dropped");
            stream.stop((CloseCode::Late as u32).into()).ok();
            answers.reset((CloseCode::Late as u32).into()).ok();
            Ok(())
        }
    }
}

/// `None`: the user has given up in the middle.
async fn read(
    node: &Arc<Node>,
    share: &Arc<Semaphore>,
    stream: &mut quinn::RecvStream,
) -> Result<Option<(Bytes, Memory)>, Close> {
    let mut head = [0; HEADER_BYTES];
    match stream.read_exact(&mut head).await {
        Ok(()) => {}
        Err(quinn::ReadExactError::FinishedEarly(n)) if n > 0 => {
            return Err(refusal(frame::FrameError::Truncated));
        }
        Err(_) => return Ok(None),
    }
    let length = frame::read_header(head, Kind::Data, node.limits.request_bytes_max).map_err(refusal)?;
    let cost = (length + REQUEST_OVERHEAD_BYTES) as u32;
    let Ok(own) = share.clone().acquire_many_owned(cost).await else {
        return Ok(None);
    };
    let Ok(of_all) = node.request_memory.clone().acquire_many_owned(cost).await else {
        return Ok(None);
    };
    let memory = Memory { _own: own, _of_all: of_all };
    // The memory has been granted, so the promise can be believed; pages are touched as bytes come.
    let mut body = BytesMut::with_capacity(length);
    while body.len() < length {
        match stream.read_chunk(length - body.len(), true).await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk.bytes),
            Ok(None) => return Err(refusal(frame::FrameError::Truncated)),
            Err(_) => return Ok(None),
        }
    }
    Ok(Some((body.freeze(), memory)))
}

fn refusal(error: frame::FrameError) -> Close {
    Close::new(live::code_of(error), format!("in a request: {error}"))
}
