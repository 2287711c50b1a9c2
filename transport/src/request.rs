//! A user's request and the stream of answers to it, seen from both ends.
//!
//! Owns: the two ends. Does not know: what requests mean.
//!
//! 1. An answer waits until the asker has room for it: a slow asker slows whoever answers and takes no memory.
//! 2. The asker going away is seen by [`UserRequest::closed`]; the answerer going away ends the stream of answers.
//! 3. The memory of a request counts against its user's share and the cap of all users until the request is dropped.

use std::future::Future;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use crate::close::Close;
use crate::frame::{self, Decoder, Kind};
use crate::identity::PublicKey;

/// The asker is gone, or the answer is longer than an answer may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestClosed {
    /// Nobody waits for this answer any more.
    #[error("whoever asked is gone")]
    Gone,
    /// The answer is empty or too long; nothing was sent.
    #[error("the answer is empty or longer than an answer may be")]
    TooLarge,
}

/// Why a stream of answers broke off.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ResponseError {
    /// The connection is gone.
    #[error("the connection to the node is lost: {0}")]
    Lost(String),
    /// The node refused this request.
    #[error("the node refused the request: {0}")]
    Refused(Close),
    /// The node sent what is no answer.
    #[error("the node's answer cannot be read: {0}")]
    Malformed(#[from] frame::FrameError),
}

/// A request that waits for its answers. Dropping it ends the stream of answers in good order.
#[derive(Debug)]
pub struct UserRequest {
    /// Whose key asks.
    pub user: PublicKey,
    /// What is asked.
    pub bytes: Bytes,
    answers: Answers,
    answer_max: usize,
    _memory: Option<Memory>,
}

/// What a request has taken.
#[derive(Debug)]
pub(crate) struct Memory {
    pub _own: OwnedSemaphorePermit,
    pub _of_all: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Answers {
    Quic(quinn::SendStream),
    Memory { answers: mpsc::Sender<Bytes>, asker: watch::Receiver<()> },
}

impl UserRequest {
    pub(crate) fn quic(
        user: PublicKey,
        bytes: Bytes,
        answers: quinn::SendStream,
        answer_max: usize,
        memory: Memory,
    ) -> UserRequest {
        UserRequest { user, bytes, answers: Answers::Quic(answers), answer_max, _memory: Some(memory) }
    }

    /// Both ends of a request that never leaves this process.
    pub fn local(user: PublicKey, bytes: Bytes) -> (UserRequest, ResponseStream) {
        let (send, receive) = mpsc::channel(16);
        let (here, asker) = watch::channel(());
        let request = UserRequest {
            user,
            bytes,
            answers: Answers::Memory { answers: send, asker },
            answer_max: frame::LENGTH_MAX,
            _memory: None,
        };
        let stream = ResponseStream { source: Source::Memory { answers: receive, _here: here } };
        (request, stream)
    }

    /// Sends one answer; waits while the asker has no room. May be called any number of times.
    pub async fn respond(&mut self, answer: Bytes) -> Result<(), RequestClosed> {
        if answer.is_empty() || answer.len() > self.answer_max {
            return Err(RequestClosed::TooLarge);
        }
        match &mut self.answers {
            Answers::Quic(stream) => {
                let mut chunks = Vec::with_capacity(2);
                frame::encode_batch(&mut vec![answer], &mut chunks);
                let sent = stream.write_all_chunks(&mut chunks).await;
                sent.map_err(|_| RequestClosed::Gone)
            }
            Answers::Memory { answers, .. } => {
                let sent = answers.send(answer).await;
                sent.map_err(|_| RequestClosed::Gone)
            }
        }
    }

    /// Resolves when the asker has stopped to listen. Does not borrow the request, so that a follower's loop can wait
    /// for this beside what it follows.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        enum Watch<S> {
            Quic(S),
            Memory(watch::Receiver<()>),
        }
        let watch = match &self.answers {
            Answers::Quic(stream) => Watch::Quic(stream.stopped()),
            Answers::Memory { asker, .. } => Watch::Memory(asker.clone()),
        };
        async move {
            match watch {
                Watch::Quic(stopped) => {
                    stopped.await.ok();
                }
                // Nothing is ever sent in this channel: it changes by being dropped.
                Watch::Memory(mut asker) => while asker.changed().await.is_ok() {},
            }
        }
    }
}

/// The answers to a request, in order. Dropping it tells the node to stop.
#[derive(Debug)]
pub struct ResponseStream {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Quic {
        stream: quinn::RecvStream,
        decoder: Decoder,
        ready: std::collections::VecDeque<Bytes>,
        ended: bool,
        connection: quinn::Connection,
        /// Says that answers are awaited, so that the connection is not ended in good order meanwhile.
        _awaited: watch::Receiver<()>,
    },
    Memory {
        answers: mpsc::Receiver<Bytes>,
        _here: watch::Sender<()>,
    },
}

impl ResponseStream {
    pub(crate) fn quic(
        stream: quinn::RecvStream,
        connection: quinn::Connection,
        answer_max: usize,
        awaited: watch::Receiver<()>,
    ) -> ResponseStream {
        ResponseStream {
            source: Source::Quic {
                stream,
                decoder: Decoder::new(Kind::Data, answer_max),
                ready: Default::default(),
                ended: false,
                connection,
                _awaited: awaited,
            },
        }
    }

    /// The next answer; `None` when the node has given all of them. Can be dropped and called again.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ResponseError> {
        match &mut self.source {
            Source::Memory { answers, .. } => Ok(answers.recv().await),
            Source::Quic { stream, decoder, ready, ended, connection, .. } => loop {
                if let Some(answer) = ready.pop_front() {
                    return Ok(Some(answer));
                }
                if *ended {
                    return Ok(None);
                }
                match stream.read_chunk(64 << 10, true).await {
                    Ok(Some(chunk)) => {
                        let mut out = Vec::new();
                        decoder.feed(chunk.bytes, &mut out)?;
                        ready.extend(out);
                    }
                    Ok(None) => {
                        *ended = true;
                        decoder.finish()?;
                    }
                    Err(quinn::ReadError::Reset(code)) => {
                        return Err(ResponseError::Refused(Close::from_wire(code.into(), b"")));
                    }
                    Err(_) => {
                        let why = match connection.close_reason() {
                            Some(quinn::ConnectionError::LocallyClosed) => {
                                "nothing was heard of it any more, or this side has closed".to_owned()
                            }
                            _ => crate::quic::why_closed(connection),
                        };
                        return Err(ResponseError::Lost(why));
                    }
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_local_request_is_answered_in_order_and_ends() {
        let (mut request, mut answers) = UserRequest::local(PublicKey([1; 32]), "ask".into());
        request.respond("one".into()).await.unwrap();
        request.respond("two".into()).await.unwrap();
        drop(request);
        assert_eq!(answers.next().await, Ok(Some("one".into())));
        assert_eq!(answers.next().await, Ok(Some("two".into())));
        assert_eq!(answers.next().await, Ok(None));
    }

    #[tokio::test]
    async fn whoever_answers_sees_that_the_asker_left() {
        let (mut request, answers) = UserRequest::local(PublicKey([1; 32]), "ask".into());
        let closed = request.closed();
        drop(answers);
        closed.await;
        assert_eq!(request.respond("x".into()).await, Err(RequestClosed::Gone));
        assert_eq!(request.respond(Bytes::new()).await, Err(RequestClosed::TooLarge));
    }
}
