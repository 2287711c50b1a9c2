//! Foreign bytes: whatever they are, they are read or refused.

use proptest::prelude::*;

use super::record::{
    FenceRecord, GroupRecord, LogIdRecord, LogRecord, MembershipRecord, PayloadRecord, VoteRecord, decode_entry,
};
use super::wire::{Answer, Ask, Packet};
use super::{decode, encode};
use crate::FRAME_BYTES_MAX;
use crate::disk::snapshots::form::{Manifest, Meta, PartRow, Place, pack, unpack};
use crate::entry::Entry;

fn entries() -> impl Strategy<Value = Entry> {
    let payload = prop::collection::vec(any::<u8>(), 0..200);
    (any::<[u8; 16]>(), any::<[u64; 4]>(), any::<u32>(), any::<u16>(), payload).prop_map(
        |(origin, [incarnation, seq, time_ns, seed], epoch, kind, payload)| Entry {
            origin,
            incarnation,
            seq,
            time_ns,
            seed,
            epoch,
            kind,
            payload,
        },
    )
}

fn positions() -> impl Strategy<Value = LogIdRecord> {
    (any::<u64>(), any::<u64>()).prop_map(|(term, index)| LogIdRecord { term, index })
}

fn votes() -> impl Strategy<Value = VoteRecord> {
    (any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(term, node, committed)| VoteRecord { term, node, committed })
}

fn members() -> impl Strategy<Value = MembershipRecord> {
    let nodes = || prop::collection::vec(any::<u64>(), 0..5);
    (prop::collection::vec(nodes(), 0..4), nodes()).prop_map(|(configs, nodes)| MembershipRecord { configs, nodes })
}

fn records() -> impl Strategy<Value = LogRecord> {
    let payload = prop_oneof![
        Just(PayloadRecord::Blank),
        Just(PayloadRecord::Checkpoint),
        entries().prop_map(PayloadRecord::Entry),
        members().prop_map(PayloadRecord::Membership),
    ];
    (positions(), payload).prop_map(|(at, payload)| LogRecord { at, payload })
}

fn packets() -> impl Strategy<Value = Packet> {
    let group = any::<[u8; 16]>();
    let text = "[a-z ]{0,30}";
    let ask = prop_oneof![
        (votes(), prop::option::of(positions()), prop::collection::vec(records(), 0..5), prop::option::of(positions()))
            .prop_map(|(vote, prev, entries, commit)| Ask::Append { vote, prev, entries, commit }),
        (votes(), prop::option::of(positions()), any::<bool>()).prop_map(|(vote, last, transfer)| Ask::Vote {
            vote,
            last,
            transfer
        }),
        (entries(), any::<u64>()).prop_map(|(entry, timeout_ms)| Ask::Propose { entry, timeout_ms }),
        Just(Ask::Join),
        Just(Ask::Leave),
        any::<u64>().prop_map(|index| Ask::Seat { index }),
        any::<u64>().prop_map(|least| Ask::Lend { least }),
        (any::<[u8; 32]>(), any::<u64>()).prop_map(|(image, offset)| Ask::LentManifest { image, offset }),
        (any::<[u8; 32]>(), prop::collection::vec(any::<u32>(), 0..9))
            .prop_map(|(image, parts)| Ask::LentParts { image, parts }),
        Just(Ask::Compare),
    ];
    let answer = prop_oneof![
        votes().prop_map(|vote| Answer::Higher { vote }),
        text.prop_map(|why| Answer::Fenced { why }),
        prop::option::of(any::<u64>()).prop_map(|leader| Answer::NotLeader { leader }),
        (any::<[u8; 32]>(), any::<u64>()).prop_map(|(image, total)| Answer::Lent { image, total }),
        prop::collection::vec(any::<u8>(), 0..99).prop_map(|bytes| Answer::LentBytes { bytes }),
        prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..99)), 0..9)
            .prop_map(|parts| Answer::LentParts { parts }),
    ];
    prop_oneof![
        (any::<u64>(), group, ask).prop_map(|(id, group, ask)| Packet::Ask { id, group, ask }),
        (any::<u64>(), answer).prop_map(|(id, answer)| Packet::Answer { id, answer }),
        (group, any::<u64>(), text, any::<bool>()).prop_map(|(group, index, why, rebuilding)| Packet::Fenced {
            group,
            index,
            why,
            rebuilding
        }),
    ]
}

fn read_as_everything(bytes: &[u8]) {
    // Only that these return is promised.
    let _ = Packet::decode(bytes, FRAME_BYTES_MAX);
    let _ = decode_entry(bytes);
    let _ = decode::<GroupRecord>("group", bytes, 1 << 16);
    let _ = decode::<FenceRecord>("fence record", bytes, 1 << 16);
    let _ = unpack(bytes);
    let _ = Manifest::read(bytes);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        read_as_everything(&bytes);
        read_as_everything(&[&[super::wire::VERSION], bytes.as_slice()].concat());
    }

    #[test]
    fn a_packet_is_read_as_it_was_written(packet in packets()) {
        prop_assert_eq!(Packet::decode(&packet.encode(), FRAME_BYTES_MAX), Ok(packet));
    }

    #[test]
    fn a_damaged_packet_is_read_or_refused(packet in packets(), at in any::<prop::sample::Index>(), bit in 0..8u8, cut in any::<bool>()) {
        let mut bytes = packet.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if cut {
            bytes.truncate(at);
        }
        read_as_everything(&bytes);
    }

    #[test]
    fn a_log_entry_means_something_or_is_refused(record in records()) {
        // Members that contradict themselves are refused, never a panic in openraft.
        let read = decode_entry(&encode(&record));
        if !matches!(record.payload, PayloadRecord::Membership(_)) {
            prop_assert_eq!(LogRecord::from(&read.unwrap()), record);
        }
    }

    #[test]
    fn a_damaged_snapshot_is_refused(names in prop::collection::vec(any::<[u8; 32]>(), 0..30), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let membership = MembershipRecord { configs: vec![vec![1, 2]], nodes: vec![1, 2] };
        let meta = Meta { last: None, membership_at: None, membership, chain: [1; 32], root: [2; 32], root_index: 64 };
        let places: Vec<Place> = (0..names.len() as u64).map(|n| Place { file: n % 3, at: n * 70 }).collect();
        let manifest = Manifest { meta, parts: names.into_iter().map(|name| PartRow { name, len: 70 }).collect() };
        let bytes = encode(&manifest);
        let mut file = pack(&bytes, &places);
        prop_assert_eq!(unpack(&file).unwrap(), (&bytes[..], manifest, places));
        let at = at.index(file.len());
        file[at] ^= 1 << bit;
        prop_assert!(unpack(&file).is_err());
    }
}

#[test]
fn an_overlong_frame_is_refused_before_it_is_looked_at() {
    let frame = vec![super::wire::VERSION; FRAME_BYTES_MAX + 2];
    let refused = Packet::decode(&frame, FRAME_BYTES_MAX).unwrap_err();
    assert_eq!(refused, super::Malformed::TooLong { len: FRAME_BYTES_MAX + 1, max: FRAME_BYTES_MAX });
}
