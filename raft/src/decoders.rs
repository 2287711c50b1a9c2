//! What of this crate reads bytes of other nodes and of disks, each with valid bytes to start from, for tests that damage them.
//!
//! A row is a name, valid bytes, and a function that reads bytes and says whether they were taken. It panics if a promise is broken:
//! what is taken is written and read again as it was.

use bytes::Bytes;

use crate::codec::record::{
    FenceRecord, GroupRecord, LogIdRecord, LogRecord, MembershipRecord, PayloadRecord, VoteRecord, decode_entry,
    encode_entry,
};
use crate::codec::wire::{Answer, Ask, Packet};
use crate::codec::{decode, encode};
use crate::disk::promises::{LivesRecord, WitnessRecord, decode_lives, decode_witness};
use crate::disk::snapshots::form::{Manifest, Meta, PartRow, Place, pack, unpack};
use crate::entry::Entry;
use crate::groups::GroupCopy;
use crate::lives::{Life, Lives, Mark};
use crate::net::parts::Assembler;
use crate::types::Membership;

/// A name, valid bytes, a reader.
pub type Row = (&'static str, Vec<Vec<u8>>, fn(&[u8]) -> bool);

/// All of them.
pub fn rows() -> Vec<Row> {
    vec![
        ("raft packet", packets().iter().map(Packet::encode).collect(), read_packet),
        ("raft log entry", records().iter().map(encode).collect(), read_log_entry),
        ("raft group record", groups(), read_group),
        ("raft fence record", vec![fence()], read_fence),
        ("what a disk knows of itself", vec![encode(&lives())], |bytes| decode_lives(bytes).is_ok()),
        ("what a node has told", vec![encode(&witness())], |bytes| decode_witness(bytes).is_ok()),
        ("raft snapshot manifest", vec![encode(&manifest())], read_manifest),
        ("raft snapshot", vec![snapshot()], read_snapshot),
        ("copy of a group", vec![copy().to_bytes().to_vec()], read_copy),
        ("raft snapshot with its sum put right", vec![snapshot()], read_summed_snapshot),
    ]
}

fn at(index: u64) -> LogIdRecord {
    LogIdRecord { term: 3, index }
}

fn vote() -> VoteRecord {
    VoteRecord { term: 3, node: 1, committed: true }
}

fn membership() -> MembershipRecord {
    MembershipRecord { configs: vec![vec![1, 2, 3], vec![2, 3, 4]], nodes: vec![1, 2, 3, 4] }
}

fn meta() -> Meta {
    let (chain, root) = ([1; 32], [2; 32]);
    Meta { last: Some(at(70)), membership_at: Some(at(2)), membership: membership(), chain, root, root_index: 64 }
}

fn manifest() -> Manifest {
    let part = |n: u8| PartRow { name: [n; 32], len: 65_536 - u32::from(n) };
    Manifest { meta: meta(), parts: (0..4).map(part).collect() }
}

fn snapshot() -> Vec<u8> {
    let places = (0..4).map(|n| Place { file: 3, at: n * 65_536 }).collect();
    pack(&encode(&manifest()), &places)
}

fn copy() -> GroupCopy {
    GroupCopy::new(meta(), vec![Bytes::from_static(&[5; 70]), Bytes::new(), Bytes::from_static(b"the end")])
}

fn entry() -> Entry {
    Entry { origin: [5; 16], incarnation: 6, seq: 7, time_ns: 8, seed: 9, epoch: 1, kind: 2, payload: vec![4; 90] }
}

fn records() -> Vec<LogRecord> {
    let payloads = [
        PayloadRecord::Blank,
        PayloadRecord::Checkpoint,
        PayloadRecord::Skip { index: 2 },
        PayloadRecord::Entry(entry()),
        PayloadRecord::Membership(membership()),
    ];
    payloads.into_iter().zip(5..).map(|(payload, index)| LogRecord { at: at(index), payload }).collect()
}

fn packets() -> Vec<Packet> {
    let ask = |ask| Packet::Ask { id: 1, group: [6; 16], ask };
    let answer = |answer| Packet::Answer { id: 1, answer };
    vec![
        ask(Ask::Append { vote: vote(), prev: Some(at(4)), entries: records(), commit: Some(at(4)) }),
        ask(Ask::Vote { vote: vote(), last: Some(at(4)), transfer: false }),
        ask(Ask::Manifest { vote: vote(), image: [3; 32], total: 90, offset: 3, bytes: vec![1; 40] }),
        ask(Ask::Parts { vote: vote(), image: [3; 32], parts: vec![(2, vec![1; 40]), (5, vec![])] }),
        answer(Answer::PartsNext { parts: vec![2, 5, 9] }),
        ask(Ask::Propose { entry: entry(), timeout_ms: 500 }),
        ask(Ask::ChangeMembers { voters: vec![1, 2, 3], learners: vec![4], timeout_ms: 500 }),
        ask(Ask::Seat { index: 12 }),
        ask(Ask::Readmit),
        answer(Answer::Removed),
        answer(Answer::Voted { vote: vote(), granted: true, last: Some(at(4)) }),
        answer(Answer::Committed { index: 9, term: 3, outcome: vec![2; 30] }),
        answer(Answer::Fenced { why: "another root".into() }),
        ask(Ask::Fate { index: 64 }),
        answer(Answer::Fate { deadly: true, applied: false }),
        ask(Ask::Lend { least: 64 }),
        ask(Ask::LentManifest { image: [3; 32], offset: 40 }),
        ask(Ask::LentParts { image: [3; 32], parts: vec![2, 5, 9] }),
        answer(Answer::Lent { image: [3; 32], total: 90 }),
        answer(Answer::LentBytes { bytes: vec![1; 40] }),
        answer(Answer::LentParts { parts: vec![(2, vec![1; 40]), (5, vec![])] }),
        Packet::Fenced { group: [6; 16], index: 64, why: "another root".into(), rebuilding: true },
        Packet::Attest { group: [6; 16], index: 64, chain: [1; 32], root: [2; 32] },
        Packet::Rest { group: [6; 16], term: 3, index: 64, word: Some(([1; 32], [2; 32])) },
        Packet::Wake { group: [6; 16] },
        Packet::Lives { lives: lives().lives.0 },
        Packet::Heard { mark: Mark { life: 7, count: 9 }, known: false },
        Packet::Forgot { group: [6; 16] },
        Packet::Part { id: 1, part: 1, parts: 3, bytes: vec![8; 64] },
    ]
}

fn groups() -> Vec<Vec<u8>> {
    let group = |founders, fenced| encode(&GroupRecord { region: 4, founders, fenced, joining: false });
    vec![group(vec![1, 2, 3], None), group(vec![], Some("why".into()))]
}

fn read_copy(bytes: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(copy) = GroupCopy::from_bytes(&bytes) else { return false };
    let again = GroupCopy::from_bytes(&copy.to_bytes());
    assert_eq!(again.ok().map(|again| again.image()), Some(copy.image()));
    true
}

fn read_packet(bytes: &[u8]) -> bool {
    let Ok(packet) = Packet::decode(bytes, crate::FRAME_BYTES_MAX) else { return false };
    assert_eq!(Packet::decode(&packet.encode(), usize::MAX).as_ref(), Ok(&packet));
    match packet {
        Packet::Part { id, part, parts, bytes } => _ = Assembler::default().take(id, part, parts, bytes),
        Packet::Ask { ask: Ask::Append { entries, .. }, .. } => {
            entries.into_iter().for_each(|record| _ = record.into_entry());
        }
        _ => {}
    }
    true
}

fn read_log_entry(bytes: &[u8]) -> bool {
    let Ok(entry) = decode_entry(bytes) else { return false };
    let again = encode_entry(&entry);
    assert_eq!(decode_entry(&again).ok().as_ref().map(encode_entry), Some(again), "what was written is read");
    true
}

fn fence() -> Vec<u8> {
    encode(&FenceRecord {
        index: 128,
        since: 64,
        times: 2,
        why: "another root".into(),
        mended: true,
        members: vec![1, 2, 3],
    })
}

fn lives() -> LivesRecord {
    let life = |life, count, lost| Life { last: Mark { life, count }, lost };
    LivesRecord { lives: Lives(vec![life(7, 9, false), life(8, 40, true), life(9, 41, false)]), old: true }
}

fn witness() -> WitnessRecord {
    WitnessRecord { mark: Mark { life: 7, count: 9 }, absent: false }
}

fn read_fence(bytes: &[u8]) -> bool {
    decode::<FenceRecord>("fence record", bytes, 1 << 16).is_ok()
}

fn read_group(bytes: &[u8]) -> bool {
    decode::<GroupRecord>("group", bytes, 1 << 16).is_ok()
}

fn read_manifest(bytes: &[u8]) -> bool {
    let Ok(manifest) = Manifest::read(bytes) else { return false };
    assert_eq!(Manifest::read(&encode(&manifest)).as_ref(), Ok(&manifest));
    _ = Membership::try_from(manifest.meta.membership);
    true
}

fn read_snapshot(bytes: &[u8]) -> bool {
    let Ok((bytes, manifest, places)) = unpack(bytes) else { return false };
    let again = pack(bytes, &places);
    assert_eq!(unpack(&again), Ok((bytes, manifest.clone(), places)));
    _ = Membership::try_from(manifest.meta.membership);
    true
}

/// The sum says that the disk is well, not that its writer was.
fn read_summed_snapshot(bytes: &[u8]) -> bool {
    let mut bytes = bytes.to_vec();
    if let Some((head, rest)) = bytes.split_first_chunk_mut::<16>() {
        head[12..16].copy_from_slice(&crc32fast::hash(rest).to_le_bytes());
    }
    read_snapshot(&bytes)
}
