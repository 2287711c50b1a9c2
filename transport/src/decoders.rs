//! What of this crate reads bytes of strangers, each with valid bytes to start from, for tests that damage them.
//!
//! A row is a name, valid bytes, and a function that reads bytes and says whether they were taken. It panics if a promise is broken:
//! what is taken is written as it was read.

use bytes::Bytes;
use pando_abi::{Incarnation, NodeId, RealmId};

use crate::close::Close;
use crate::frame::{self, Decoder, Kind};
use crate::hello::{Hello, Role, Versions};

/// A name, valid bytes, a reader.
pub type Row = (&'static str, Vec<Vec<u8>>, fn(&[u8]) -> bool);

/// All of them.
pub fn rows() -> Vec<Row> {
    vec![
        ("frames", frames(), read_frames),
        ("hello", hellos(), read_hello),
        ("reason of a close", vec![b"a reason".to_vec(), "\u{1b}[2J\u{9b}\u{e9}".as_bytes().to_vec()], read_close),
    ]
}

const FRAME_MAX: usize = 64 << 10;
const OURS: Hello = Hello {
    versions: Versions::CURRENT,
    role: Role::Node,
    node: NodeId(1),
    incarnation: Incarnation(9),
    realm: RealmId([7; 32]),
};

fn frames() -> Vec<Vec<u8>> {
    let mut batch = vec![Bytes::from_static(b"a"), Bytes::from(vec![2; 300]), Bytes::from(vec![3; 5000])];
    let mut chunks = Vec::new();
    frame::encode_batch(&mut batch, &mut chunks);
    vec![chunks.concat(), frame::encode(Kind::Data, b"one").to_vec()]
}

fn read_frames(bytes: &[u8]) -> bool {
    let read = |cut: usize| {
        let mut decoder = Decoder::new(Kind::Data, FRAME_MAX);
        let mut out = Vec::new();
        let (a, b) = bytes.split_at(cut.min(bytes.len()));
        let fed = [a, b].iter().try_for_each(|piece| decoder.feed(Bytes::copy_from_slice(piece), &mut out));
        assert!(decoder.held() <= bytes.len() && out.iter().map(Bytes::len).sum::<usize>() <= bytes.len());
        (fed.and_then(|()| decoder.finish()).is_ok(), out)
    };
    let (good, out) = read(bytes.len() / 2);
    assert_eq!((good, &out), (read(0).0, &read(0).1), "how a stream is cut changes what is in it");
    if good {
        let (mut again, mut chunks) = (out, Vec::new());
        frame::encode_batch(&mut again, &mut chunks);
        assert_eq!(chunks.concat(), bytes);
    }
    good
}

fn hellos() -> Vec<Vec<u8>> {
    let user = Hello { role: Role::User, node: NodeId::NONE, incarnation: Incarnation(0), ..OURS };
    vec![OURS.to_bytes().to_vec(), user.to_bytes().to_vec()]
}

fn read_hello(bytes: &[u8]) -> bool {
    match Hello::read(bytes, &OURS) {
        Ok(hello) => {
            assert_eq!(Hello::read(&hello.to_bytes(), &OURS), Ok(hello));
            true
        }
        Err(_) => false,
    }
}

fn read_close(bytes: &[u8]) -> bool {
    let (code, reason) = bytes.split_first_chunk::<8>().unwrap_or((&[1; 8], bytes));
    let close = Close::from_wire(u64::from_le_bytes(*code), reason);
    assert!(!close.to_string().chars().any(char::is_control), "a reason could write to a terminal");
    true
}
