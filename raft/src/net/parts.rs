//! Packets longer than a frame, cut and put together again. Pure.
//!
//! 1. What waits for its missing parts is bounded per peer, in packets and in bytes; the oldest goes first.
//! 2. Parts may come in any order and more than once.

use std::collections::BTreeMap;

use crate::codec::wire::{PACKET_BYTES_MAX, Packet};

/// Bytes of packet in one part: with its header it fits a frame.
pub(crate) const PART_BYTES: usize = 512 << 10;
const PARTS_MAX: usize = PACKET_BYTES_MAX.div_ceil(PART_BYTES);
/// Packets of one peer that wait for parts.
const WAITING_MAX: usize = 64;
/// Bytes of one peer that wait for the rest of their packets.
const WAITING_BYTES_MAX: usize = 2 * PACKET_BYTES_MAX;

/// The frames of an encoded packet, in order.
pub(crate) fn cut(id: u64, packet: Vec<u8>) -> Vec<Vec<u8>> {
    if packet.len() <= crate::FRAME_BYTES_MAX {
        return vec![packet];
    }
    let parts = packet.len().div_ceil(PART_BYTES) as u32;
    let part = |(n, bytes): (usize, &[u8])| Packet::Part { id, part: n as u32, parts, bytes: bytes.to_vec() }.encode();
    packet.chunks(PART_BYTES).enumerate().map(part).collect()
}

/// Puts the parts of one peer together.
#[derive(Default)]
pub(crate) struct Assembler {
    waiting: BTreeMap<u64, Waiting>,
    clock: u64,
    bytes: usize,
}

struct Waiting {
    since: u64,
    parts: Vec<Option<Vec<u8>>>,
    bytes: usize,
}

impl Assembler {
    /// Takes a part; gives the whole packet if that was the last one missing.
    pub(crate) fn take(&mut self, id: u64, part: u32, parts: u32, bytes: Vec<u8>) -> Result<Option<Vec<u8>>, String> {
        let (part, parts) = (part as usize, parts as usize);
        if !(2..=PARTS_MAX).contains(&parts) || part >= parts || bytes.len() > PART_BYTES {
            return Err(format!("part {part} of {parts} with {} bytes", bytes.len()));
        }
        self.clock += 1;
        let since = self.clock;
        let entry = self.waiting.entry(id).or_insert_with(|| Waiting { since, parts: vec![None; parts], bytes: 0 });
        if entry.parts.len() != parts {
            return Err(format!("part of {parts}, but its packet has {}", entry.parts.len()));
        }
        if let Some(place @ None) = entry.parts.get_mut(part) {
            entry.bytes += bytes.len();
            self.bytes += bytes.len();
            *place = Some(bytes);
        }
        if entry.parts.iter().all(Option::is_some) {
            let whole = self.waiting.remove(&id).map(|w| {
                self.bytes -= w.bytes;
                w.parts.into_iter().flatten().flatten().collect()
            });
            return Ok(whole);
        }
        while self.waiting.len() > WAITING_MAX || self.bytes > WAITING_BYTES_MAX {
            let oldest = self.waiting.iter().min_by_key(|(_, w)| w.since).map(|(id, _)| *id);
            match oldest.and_then(|id| self.waiting.remove(&id)) {
                Some(gone) => self.bytes -= gone.bytes,
                None => break,
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_frame(a: &mut Assembler, frame: &[u8]) -> Option<Vec<u8>> {
        match Packet::decode(frame, crate::FRAME_BYTES_MAX).unwrap() {
            Packet::Part { id, part, parts, bytes } => a.take(id, part, parts, bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_long_packet_comes_back_whole_in_any_order_and_doubled() {
        let packet: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
        let frames = cut(7, packet.clone());
        assert!(frames.len() > 2 && frames.iter().all(|f| f.len() <= crate::FRAME_BYTES_MAX));
        let mut a = Assembler::default();
        let (first, rest) = frames.split_first().unwrap();
        for frame in rest.iter().rev() {
            assert_eq!(take_frame(&mut a, frame), None);
            assert_eq!(take_frame(&mut a, frame), None);
        }
        assert_eq!(take_frame(&mut a, first), Some(packet));
        assert_eq!(a.bytes, 0);
    }

    #[test]
    fn parts_that_never_complete_are_bounded() {
        let mut a = Assembler::default();
        for id in 0..1000 {
            assert_eq!(a.take(id, 0, 2, vec![0; PART_BYTES]).unwrap(), None);
            assert!(a.bytes <= WAITING_BYTES_MAX && a.waiting.len() <= WAITING_MAX);
        }
        assert!(a.take(1, 5, 2, vec![]).is_err() && a.take(1, 0, u32::MAX, vec![]).is_err());
    }
}
