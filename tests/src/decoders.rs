//! Everything that reads bytes of others, and ways to damage bytes.
//!
//! Owns: the list of all decoders, each with valid bytes to start from (every crate has its own rows in `decoders.rs`), and how
//! a hostile input comes out of a valid one. Does not know: how many inputs are tried, and what memory is; see
//! `tests/tests/decoders.rs` and `--bin hostile`.
//!
//! 1. An input depends on its seed alone.

mod images;

use pando_abi::{EventHeader, SpawnSpec, exit::ExitRecord};
use pando_admin::{ActorRow, Level, LogLine, NodeRow, Reply, Request, SequenceKey, SpawnRequest};
use pando_interface::Interface;

use crate::{dice::Dice, guests};

/// A name, valid bytes, a reader that says whether bytes were taken and panics when a promise is broken.
pub type Row = (&'static str, Vec<Vec<u8>>, fn(&[u8]) -> bool);

/// Every decoder.
pub fn rows() -> Vec<Row> {
    let mut rows = pando_transport::decoders::rows();
    rows.extend(pando_raft::decoders::rows());
    rows.extend(pando_actors::decoders::rows(["tally", "sentinel", "imp"].map(guests::wasm).into()));
    rows.extend(pando_kernel::decoders::rows());
    rows.extend([
        ("admin request", requests().iter().map(Request::encode).collect(), read_request as fn(&[u8]) -> bool),
        ("admin reply", replies().iter().map(Reply::encode).collect(), read_reply),
        ("spawn spec", vec![SpawnSpec::new().to_bytes().to_vec()], read_spec),
        ("event header", vec![header().to_bytes().to_vec()], read_header),
        ("exit record", vec![ExitRecord { kind: 2, reserved: 0, code: -7 }.to_bytes().to_vec()], read_exit),
        ("interface text", interfaces(), read_interface),
        ("CBOR value", values(), read_value),
        ("image put into an actor", images::samples(), images::read),
    ]);
    rows
}

/// One change to bytes: what, where, and with which number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damage {
    /// Which kind of change.
    pub kind: u8,
    /// Where: taken modulo what there is.
    pub at: u32,
    /// The number that it needs.
    pub value: u64,
}

/// Numbers that decoders tend to stumble over.
const ODD: [u64; 10] = [0, 1, 7, 8, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, u64::MAX];

impl Damage {
    /// Any.
    pub fn throw(dice: &mut Dice) -> Damage {
        Damage { kind: dice.throw() as u8, at: dice.throw() as u32, value: dice.throw() }
    }

    /// Does it.
    pub fn apply(self, bytes: &mut Vec<u8>) {
        let Damage { kind, at, value } = self;
        let len = bytes.len();
        let at = if len == 0 { 0 } else { at as usize % len };
        let span = 1 + (value >> 32) as usize % 24;
        let end = len.min(at + span);
        let mut write = |new: &[u8]| {
            let fits = new.len().min(len - at);
            bytes[at..at + fits].copy_from_slice(&new[..fits]);
        };
        match kind % 10 {
            0 | 1 if len > 0 => bytes[at] ^= 1 << (value % 8),
            2 => write(&[value as u8]),
            3 => write(&(ODD[value as usize % ODD.len()] as u32).to_le_bytes()),
            4 => write(&ODD[value as usize % ODD.len()].to_le_bytes()),
            // A length or an offset that is a little off.
            5 => {
                let old = bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_le_bytes);
                let new = old.wrapping_add((value % 65) as i32 - 32);
                let fits = (len - at).min(4);
                bytes[at..at + fits].copy_from_slice(&new.to_le_bytes()[..fits]);
            }
            6 => bytes.truncate(at),
            7 => _ = bytes.drain(at..end),
            8 => {
                let copy = bytes[at..end].to_vec();
                let to = value as usize % (len + 1);
                bytes.splice(to..to, copy);
            }
            _ => {
                let noise: Vec<u8> = value.to_le_bytes().into_iter().cycle().take(span).collect();
                bytes.splice(at..at, noise);
            }
        }
    }
}

/// A hostile input for a decoder: mostly valid bytes with a few changes, now and then noise.
pub fn input(samples: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    if dice.percent(10) || samples.is_empty() {
        let len = dice.below(300);
        return (0..len).map(|_| dice.throw() as u8).collect();
    }
    let mut bytes = samples[dice.below(samples.len() as u64) as usize].clone();
    if dice.percent(5) {
        // The front of one and the end of another.
        let other = &samples[dice.below(samples.len() as u64) as usize];
        let (front, back) = (dice.below(bytes.len() as u64 + 1), dice.below(other.len() as u64 + 1));
        bytes.truncate(front as usize);
        bytes.extend_from_slice(&other[back as usize..]);
    }
    for _ in 0..dice.below(5) {
        Damage::throw(dice).apply(&mut bytes);
    }
    bytes
}

/// Bytes of memory that a decoder may take for so many bytes: the bytes once more for their alignment, the values that they become,
/// and what an error says. A text of 64 KiB at most is cut into tokens, which take more than a letter; a module's validator has room for
/// the locals of one function, of which WebAssembly allows 50,000.
pub fn memory_max(name: &str, len: usize) -> usize {
    match name {
        "interface text" => (64 << 10) + 160 * len,
        "module" => (4 << 20) + 48 * len,
        _ => (64 << 10) + 48 * len,
    }
}

fn requests() -> Vec<Request> {
    let key = SequenceKey { origin: [7; 16], incarnation: 8, seq: 9 };
    let (target, body, handles) = ("hits".to_owned(), vec![1, 2, 3], vec!["a".to_owned(), "n1/7f".to_owned()]);
    let spawn = SpawnRequest {
        module: [1; 32],
        name: Some("hits".into()),
        node: Some(2),
        replicas: 3,
        restart: 1,
        priority: 1,
        memory_bytes: 1 << 20,
        handler_ms: 100,
        args: vec![0x80],
        realm: true,
        key,
    };
    vec![
        Request::Hello,
        Request::Ps { node: Some(1) },
        Request::PutModule { label: "counter".into(), wasm: vec![0; 80] },
        Request::Spawn(spawn),
        Request::Call {
            target: target.clone(),
            body: body.clone(),
            handles: handles.clone(),
            flags: 1,
            deadline_ms: 50,
            key,
        },
        Request::Send { target: target.clone(), body, handles, key },
        Request::Link { a: "a".into(), b: "b".into(), unlink: false },
        Request::Log { target: Some(target.clone()), tail: 10, follow: true },
        Request::Move { target: target.clone(), node: 3 },
        Request::Vacate,
        Request::Voters { target, nodes: vec![1, 2, 3] },
    ]
}

fn replies() -> Vec<Reply> {
    let text = |s: &str| s.to_owned();
    let node = NodeRow {
        node: 1,
        addr: text("127.0.0.1:7000"),
        key: text("ab"),
        up: true,
        incarnation: 5,
        root_leader: true,
        voter: true,
        standing: text("present"),
        this: false,
    };
    let actor = ActorRow {
        address: text("n1/7f3a2b10"),
        id: text("7f3a2b10"),
        name: text("hits"),
        module: text("counter"),
        node: 1,
        voters: vec![1, 2, 3],
        wanted: vec![1, 2, 3],
        state: text("running"),
        mailbox: 1,
        memory: 2,
        events: 3,
        restarts: 4,
        index: 5,
    };
    let line = LogLine { time_ns: 1, node: 2, level: 3, source: text("hits"), text: text("a line") };
    vec![
        Reply::Nodes(vec![node.clone(), node]),
        Reply::Moved { from: 1, to: 2, bytes: 3, paused_us: 4 },
        Reply::Vacated { moved: 3, stay: vec![(text("ping"), text("why"))] },
        Reply::Actors { rows: vec![actor.clone(), actor], silent: vec![3] },
        Reply::Answer {
            status: 0,
            body: vec![1; 9],
            level: Level::Linear,
            index: 7,
            node: 1,
            handles: vec![text("a")],
        },
        Reply::Details(vec![(text("state"), text("running")), (text("links"), text("0"))]),
        Reply::Log(vec![line.clone(), line]),
        Reply::refused(pando_abi::Errno::LIMIT, "a sentence", "a mend"),
    ]
}

fn read_request(bytes: &[u8]) -> bool {
    let Ok(request) = Request::decode(bytes) else { return false };
    assert_eq!(Request::decode(&request.encode()).ok().as_ref(), Some(&request));
    true
}

fn read_reply(bytes: &[u8]) -> bool {
    let Ok(reply) = Reply::decode(bytes) else { return false };
    assert_eq!(Reply::decode(&reply.encode()).ok().as_ref(), Some(&reply));
    true
}

fn header() -> EventHeader {
    EventHeader {
        kind: 1,
        flags: 8,
        handle_count: 3,
        status: 7,
        time_ns: 1,
        token: 2,
        badge: 3,
        reply: 4,
        body_len: 5,
        seed: 6,
    }
}

fn read_header(bytes: &[u8]) -> bool {
    EventHeader::from_bytes(bytes).is_some_and(|header| {
        assert_eq!(header.to_bytes()[..], bytes[..EventHeader::SIZE]);
        true
    })
}

fn read_spec(bytes: &[u8]) -> bool {
    SpawnSpec::from_bytes(bytes).is_some_and(|spec| {
        assert_eq!(SpawnSpec::from_bytes(&spec.to_bytes()), Some(spec));
        true
    })
}

fn read_exit(bytes: &[u8]) -> bool {
    ExitRecord::from_bytes(bytes).is_some()
}

fn interfaces() -> Vec<Vec<u8>> {
    let deep = format!("actor Deep\nfn f(a: {}u8{})\n", "list<".repeat(2_000), ">".repeat(2_000));
    let whole = "actor Counter\n/// Adds.\nfn add(by: i64, to: option<list<text>>) -> result<(i64, map<text, Point>)>\n\
                 query value() -> i64;\nrecord Point { x: f64, y: f64 }\nenum Shape { Circle(f64), Square { side: f64 }, Empty }\n";
    vec![whole.as_bytes().to_vec(), b"service Realm\nfn register(name: text, who: actor)\n".to_vec(), deep.into_bytes()]
}

fn read_interface(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    Interface::parse(text).is_ok()
}

fn values() -> Vec<Vec<u8>> {
    vec![
        vec![0x82, 0x63, b'a', b'd', b'd', 0x05],
        vec![0xa1, 0x61, b'x', 0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0],
        vec![0x9f, 0x41, 0x07, 0xff],
        [vec![0x81; 4_000], vec![0]].concat(),
        // Promises of very long strings and lists.
        vec![0x5b, 0, 0, 0, 0x10, 0, 0, 0, 0],
        vec![0x9b, 0, 0, 0, 0x10, 0, 0, 0, 0],
    ]
}

fn read_value(bytes: &[u8]) -> bool {
    pando_interface::decode(bytes).is_ok()
}
