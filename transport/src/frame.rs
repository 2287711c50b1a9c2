//! How frames stand in a stream.
//!
//! Pure. One stream is a sequence of frames, back to back:
//!
//! ```text
//!  bit 0                      27 28    31
//!  | length of the body, 1..    | kind  |   u32, little-endian
//!  | body ...                           |
//! ```
//!
//! A channel's stream begins with one byte, the channel's number; a request's and a hello's stream begin with a frame.
//!
//! 1. Decoding never fails otherwise than by [`FrameError`], whatever the bytes.
//! 2. A decoder holds no more than one frame in the making, and for that no more than twice what has arrived: a length
//!    is a promise, and memory is given for bytes, not for promises.
//! 3. A body that arrived in one piece is passed on without a copy.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes before a body.
pub const HEADER_BYTES: usize = 4;
/// The longest body that the layout can express.
pub const LENGTH_MAX: usize = (1 << 28) - 1;
/// Bodies up to this size are copied into one buffer with their neighbours; longer ones are written as they are.
const COPY_BYTES_MAX: usize = 4096;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Somebody's bytes.
    Data = 1,
    /// A [`crate::Hello`].
    Hello = 2,
    /// "This connection is our session": what ends the opening. Its body is one byte, 1.
    Go = 3,
}

impl Kind {
    fn from_u32(n: u32) -> Option<Kind> {
        match n {
            1 => Some(Kind::Data),
            2 => Some(Kind::Hello),
            3 => Some(Kind::Go),
            _ => None,
        }
    }
}

/// What is wrong with the bytes of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than allowed.
    #[error("a frame of {length} bytes; {max} are the most")]
    Oversized {
        /// What the header says.
        length: usize,
        /// What is allowed.
        max: usize,
    },
    /// A frame without a body.
    #[error("an empty frame")]
    Empty,
    /// A kind that has no meaning here.
    #[error("a frame of kind {0}, which has no meaning here")]
    Kind(u8),
    /// The stream ended inside a frame.
    #[error("the stream ends inside a frame")]
    Truncated,
}

/// Turns pieces of a stream back into frames of one kind.
#[derive(Debug)]
pub struct Decoder {
    kind: Kind,
    max: usize,
    head: [u8; HEADER_BYTES],
    head_len: usize,
    /// What is left of the body in the making; 0 while a header is read.
    missing: usize,
    body: BytesMut,
}

impl Decoder {
    /// A decoder for frames of `kind` with bodies up to `max`.
    pub fn new(kind: Kind, max: usize) -> Decoder {
        Decoder {
            kind,
            max: max.min(LENGTH_MAX),
            head: [0; HEADER_BYTES],
            head_len: 0,
            missing: 0,
            body: BytesMut::new(),
        }
    }

    /// Takes the next piece of the stream and appends the bodies that are complete to `out`. After an error the stream
    /// is of no more use.
    pub fn feed(&mut self, mut piece: Bytes, out: &mut Vec<Bytes>) -> Result<(), FrameError> {
        while !piece.is_empty() {
            if self.missing > 0 {
                self.grow(&mut piece, out);
                continue;
            }
            let n = piece.len().min(HEADER_BYTES - self.head_len);
            #[expect(clippy::indexing_slicing, reason = "`n` is at most what the header lacks")]
            piece.copy_to_slice(&mut self.head[self.head_len..self.head_len + n]);
            self.head_len += n;
            if self.head_len < HEADER_BYTES {
                break;
            }
            self.head_len = 0;
            let length = read_header(self.head, self.kind, self.max)?;
            if piece.len() >= length {
                out.push(piece.split_to(length));
            } else {
                self.missing = length;
            }
        }
        Ok(())
    }

    /// The stream has ended: was it between two frames?
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.head_len == 0 && self.missing == 0 { Ok(()) } else { Err(FrameError::Truncated) }
    }

    /// Bytes that the decoder holds now.
    pub fn held(&self) -> usize {
        self.body.len()
    }

    fn grow(&mut self, piece: &mut Bytes, out: &mut Vec<Bytes>) {
        let n = piece.len().min(self.missing);
        // Grows by doubling as bytes arrive; never by what the header promised.
        #[expect(clippy::indexing_slicing, reason = "`n` is at most the piece's length")]
        self.body.extend_from_slice(&piece[..n]);
        piece.advance(n);
        self.missing -= n;
        if self.missing == 0 {
            out.push(std::mem::take(&mut self.body).freeze());
        }
    }
}

/// The length of the body behind a header, if it is of this kind and not too long.
pub fn read_header(head: [u8; HEADER_BYTES], kind: Kind, max: usize) -> Result<usize, FrameError> {
    let word = u32::from_le_bytes(head);
    let (found, length) = (word >> 28, word as usize & LENGTH_MAX);
    if Kind::from_u32(found) != Some(kind) {
        return Err(FrameError::Kind(found as u8));
    }
    match length {
        0 => Err(FrameError::Empty),
        n if n > max => Err(FrameError::Oversized { length, max }),
        n => Ok(n),
    }
}

/// The header of a body of this length.
pub fn header(kind: Kind, length: usize) -> [u8; HEADER_BYTES] {
    assert!(length > 0 && length <= LENGTH_MAX, "length was checked when queued");
    ((kind as u32) << 28 | length as u32).to_le_bytes()
}

/// One frame in one buffer.
pub fn encode(kind: Kind, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_BYTES + body.len());
    out.put_slice(&header(kind, body.len()));
    out.put_slice(body);
    out.freeze()
}

/// Turns `batch` into as few buffers as its long bodies allow, appended to `out`; `batch` is empty afterwards.
pub fn encode_batch(batch: &mut Vec<Bytes>, out: &mut Vec<Bytes>) {
    let copied = |body: &Bytes| HEADER_BYTES + if body.len() > COPY_BYTES_MAX { 0 } else { body.len() };
    let mut buffer = BytesMut::with_capacity(batch.iter().map(copied).sum());
    for body in batch.drain(..) {
        buffer.put_slice(&header(Kind::Data, body.len()));
        if body.len() <= COPY_BYTES_MAX {
            buffer.put_slice(&body);
        } else {
            out.push(buffer.split().freeze());
            out.push(body);
        }
    }
    if !buffer.is_empty() {
        out.push(buffer.freeze());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 64 << 10;

    /// Cuts `stream` at the given places and feeds the pieces.
    fn feed(stream: &[u8], cuts: &[usize]) -> (Vec<Bytes>, Result<(), FrameError>) {
        let mut decoder = Decoder::new(Kind::Data, MAX);
        let (mut out, mut rest) = (Vec::new(), Bytes::copy_from_slice(stream));
        for cut in cuts.iter().chain([&usize::MAX]) {
            let before: usize = out.iter().map(Bytes::len).sum();
            let piece = rest.split_to(rest.len().min(*cut));
            if let Err(e) = decoder.feed(piece, &mut out) {
                return (out, Err(e));
            }
            let after: usize = out.iter().map(Bytes::len).sum();
            assert!(decoder.held() <= MAX && before <= after && after <= stream.len());
        }
        let end = decoder.finish();
        (out, end)
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_is_decoded_however_it_is_cut(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..9000), 0..20),
            cuts in prop::collection::vec(1usize..3000, 0..60),
        ) {
            let mut batch: Vec<Bytes> = bodies.iter().cloned().map(Bytes::from).collect();
            let mut chunks = Vec::new();
            encode_batch(&mut batch, &mut chunks);
            prop_assert!(batch.is_empty());
            let (out, end) = feed(&chunks.concat(), &cuts);
            prop_assert_eq!(end, Ok(()));
            prop_assert_eq!(out, bodies);
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_take_more_memory_than_arrived(
            bytes in prop::collection::vec(any::<u8>(), 0..5000),
            cuts in prop::collection::vec(0usize..100, 0..60),
        ) {
            let _ = feed(&bytes, &cuts);
        }

        /// Almost valid streams get further into the decoder than noise does.
        #[test]
        fn damaged_streams_never_panic(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..100), 1..10),
            cuts in prop::collection::vec(1usize..50, 0..60),
            place in any::<prop::sample::Index>(), value in any::<u8>(), keep in any::<prop::sample::Index>(),
        ) {
            let mut batch: Vec<Bytes> = bodies.into_iter().map(Bytes::from).collect();
            let mut chunks = Vec::new();
            encode_batch(&mut batch, &mut chunks);
            let mut stream = chunks.concat();
            let n = stream.len();
            stream[place.index(n)] = value;
            stream.truncate(keep.index(n) + 1);
            let _ = feed(&stream, &cuts);
        }
    }

    #[test]
    fn a_promise_of_many_bytes_takes_no_memory() {
        let mut decoder = Decoder::new(Kind::Data, LENGTH_MAX);
        let mut out = Vec::new();
        decoder.feed(Bytes::copy_from_slice(&header(Kind::Data, LENGTH_MAX)), &mut out).unwrap();
        decoder.feed(Bytes::from_static(&[0; 10]), &mut out).unwrap();
        assert!(decoder.body.capacity() < 1024 && out.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |bytes: &[u8], expected: FrameError| {
            assert_eq!(feed(bytes, &[]).1, Err(expected), "{bytes:?}");
        };
        check(&[0, 0, 0, 0x10], FrameError::Empty);
        check(&[1, 0, 0, 0x20, 9], FrameError::Kind(2));
        check(&[1, 0, 0, 0x00, 9], FrameError::Kind(0));
        check(&[1, 0, 0, 0xf0, 9], FrameError::Kind(15));
        check(&[2, 0, 0, 0x10, 9], FrameError::Truncated);
        check(&[2, 0, 0], FrameError::Truncated);
        check(&header(Kind::Data, MAX + 1), FrameError::Oversized { length: MAX + 1, max: MAX });
    }

    #[test]
    fn small_frames_share_a_buffer_and_large_ones_are_not_copied() {
        let large = Bytes::from(vec![7; COPY_BYTES_MAX + 1]);
        let mut batch = vec![Bytes::from_static(b"ab"); 40];
        batch.insert(20, large.clone());
        let mut chunks = Vec::new();
        encode_batch(&mut batch, &mut chunks);
        assert_eq!(chunks.len(), 3);
        assert_eq!(chunks[1].as_ptr(), large.as_ptr());
    }
}
