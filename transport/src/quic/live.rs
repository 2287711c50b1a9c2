//! A live session: reads the peer's channels, runs the writers, watches that the peer is heard.
//!
//! 1. Nothing is read before the kernel has taken the Up; nothing is left running when this returns.
//! 2. The peer ends in good order by ending all four streams: everything that it queued has been read by then.
//! 3. What is malformed ends this session, with a reason, and no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::{Buf, Bytes};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::link::End;
use super::node::Node;
use super::wire::Wire;
use crate::channel::Channel;
use crate::close::{Close, CloseCode};
use crate::frame::{Decoder, FrameError, Kind};
use crate::inbox::{Phase, Reading};
use crate::session::Liveness;

/// Pieces of a stream that are taken from QUIC at once.
const PIECES: usize = 32;
/// Looks at a peer before it counts as silent.
pub(crate) const LOOKS: u32 = 6;

/// How a task of a session ended.
enum Done {
    Written,
    /// The peer ended the stream.
    Read,
    /// The connection is gone: others will say why.
    Cut,
}

pub(super) async fn run(node: &Arc<Node>, wire: &Arc<Wire>) -> End {
    let connection = &wire.connection;
    super::endpoint::admit_node(connection);
    let mut tasks = JoinSet::new();
    for channel in Channel::ALL {
        let write = wire.clone().write(channel);
        tasks.spawn(async move { write.await.map(|()| Done::Written) });
    }
    let mut looks = tokio::time::interval(node.limits.silence / LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut liveness = Liveness::new(LOOKS);
    let claimed = Arc::new(AtomicU8::new(0));
    let (mut open, mut streams, mut ended) = (false, 0, 0);
    loop {
        tokio::select! {
            _ = connection.closed() => return End::of(connection),
            () = wire.cell.reached(Phase::Open), if !open => open = true,
            stream = connection.accept_uni(), if open && streams < 4 => {
                let Ok(stream) = stream else { return End::of(connection) };
                streams += 1;
                let reading = Reading::new(&wire.cell, &node.inbox);
                let read = read(node.clone(), wire.clone(), stream, claimed.clone());
                tasks.spawn(async move {
                    let done = read.await;
                    drop(reading);
                    done
                });
            }
            stream = connection.accept_bi() => {
                if stream.is_err() { return End::of(connection) }
                let text = "a node opened a stream for requests";
                return End::Refuse(Close::new(CloseCode::NotAllowed, text));
            }
            Some(done) = tasks.join_next() => match done {
                Ok(Ok(Done::Read)) => {
                    ended += 1;
                    if ended == 4 {
                        return End::Closed;
                    }
                }
                Ok(Ok(Done::Written | Done::Cut)) => {}
                Ok(Err(close)) => return End::Refuse(close),
                Err(e) => return End::Refuse(Close::new(CloseCode::Closing, e.to_string())),
            },
            _ = looks.tick() => {
                if !liveness.look(connection.stats().udp_rx.datagrams) {
                    let text = format!("nothing heard for {:?}", node.limits.silence);
                    return End::Refuse(Close::new(CloseCode::Silent, text));
                }
            }
        }
    }
}

async fn read(
    node: Arc<Node>,
    wire: Arc<Wire>,
    mut stream: quinn::RecvStream,
    claimed: Arc<AtomicU8>,
) -> Result<Done, Close> {
    let mut pieces: [Bytes; PIECES] = std::array::from_fn(|_| Bytes::new());
    let mut decoder = Decoder::new(Kind::Data, node.limits.frame_bytes_max);
    let mut channel = None;
    let mut frames = Vec::new();
    loop {
        let n = match stream.read_chunks(&mut pieces).await {
            Ok(Some(n)) => n,
            Ok(None) => break,
            Err(quinn::ReadError::ConnectionLost(_)) => return Ok(Done::Cut),
            Err(e) => {
                let text = format!("a channel's stream cannot be read: {e}");
                return Err(Close::new(CloseCode::Malformed, text));
            }
        };
        for piece in pieces.iter_mut().take(n) {
            let mut piece = std::mem::take(piece);
            if channel.is_none() && !piece.is_empty() {
                channel = Some(claim(piece.get_u8(), &claimed)?);
            }
            let fed = decoder.feed(piece, &mut frames);
            fed.map_err(|e| refusal(channel, e))?;
        }
        if let Some(channel) = channel {
            // Waits while the kernel is slow on this channel: so does the stream, and so does the sender.
            let pushed = node.inbox.push(&wire.cell, channel, &mut frames).await;
            if pushed.is_err() {
                return Ok(Done::Cut);
            }
        }
    }
    decoder.finish().map_err(|e| refusal(channel, e))?;
    Ok(Done::Read)
}

/// The channel that a stream says it is, which no other stream of the session has said.
fn claim(number: u8, claimed: &AtomicU8) -> Result<Channel, Close> {
    let Some(channel) = Channel::from_u8(number) else {
        let text = format!("a stream for channel {number}, which there is not");
        return Err(Close::new(CloseCode::Malformed, text));
    };
    let bit = 1 << number;
    if claimed.fetch_or(bit, Ordering::AcqRel) & bit != 0 {
        let text = format!("a second stream for the {} channel", channel.name());
        return Err(Close::new(CloseCode::Malformed, text));
    }
    Ok(channel)
}

fn refusal(channel: Option<Channel>, error: FrameError) -> Close {
    let name = channel.map_or("unnamed", Channel::name);
    Close::new(code_of(error), format!("on the {name} channel: {error}"))
}

/// What kind of refusal a framing error is.
pub(super) fn code_of(error: FrameError) -> CloseCode {
    match error {
        FrameError::Oversized { .. } => CloseCode::Oversized,
        _ => CloseCode::Malformed,
    }
}
