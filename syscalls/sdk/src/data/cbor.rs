//! CBOR, as much of it as the contract uses (RFC 8949).
//!
//! A codec of its own because a guest carries it: this one is a kilobyte where a complete one is twelve.
//!
//! ```text
//! item = front [argument of 1, 2, 4 or 8 bytes, big-endian] [content]
//! front: | major type, 3 bits | 0-23: the argument; 24, 25, 26, 27: it follows in 1, 2, 4, 8 bytes |
//! ```
//!
//! 1. Lengths are definite: an item whose length comes at its end is malformed here.
//! 2. Nothing is allocated, and nothing recurses.

use crate::prelude::*;

pub(crate) const UNSIGNED: u8 = 0;
pub(crate) const NEGATIVE: u8 = 1;
pub(crate) const BYTES: u8 = 2;
pub(crate) const TEXT: u8 = 3;
pub(crate) const LIST: u8 = 4;
pub(crate) const MAP: u8 = 5;
const TAG: u8 = 6;
const OTHER: u8 = 7;

const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
const UNDEFINED: u8 = 0xf7;
const F32: u8 = 0xfa;
const F64: u8 = 0xfb;

/// The front of an item with its argument, in as few bytes as it takes.
pub(crate) fn put(out: &mut Vec<u8>, major: u8, argument: u64) {
    let (size, bytes) = match argument {
        0..24 => return out.push(major << 5 | argument as u8),
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 8),
    };
    out.push(major << 5 | size);
    out.extend_from_slice(&argument.to_be_bytes()[8 - bytes..]);
}

pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    // The argument of a negative number n is -1 - n, which is its complement.
    if value < 0 { put(out, NEGATIVE, !value as u64) } else { put(out, UNSIGNED, value as u64) }
}

pub(crate) fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { TRUE } else { FALSE });
}

pub(crate) fn put_null(out: &mut Vec<u8>) {
    out.push(NULL);
}

pub(crate) fn put_f32(out: &mut Vec<u8>, value: f32) {
    out.push(F32);
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.push(F64);
    out.extend_from_slice(&value.to_be_bytes());
}

/// Takes items from the front of its bytes. What does not fit is `None`, and then nothing is taken.
#[derive(Clone)]
pub(crate) struct Items<'b> {
    pub(crate) bytes: &'b [u8],
}

impl<'b> Items<'b> {
    /// The major type of the next item.
    pub(crate) fn major(&self) -> Option<u8> {
        self.bytes.first().map(|front| front >> 5)
    }

    /// The next item's front: major type and argument.
    pub(crate) fn front(&mut self) -> Option<(u8, u64)> {
        let (front, rest) = self.bytes.split_first()?;
        let size = front & 31;
        let following = match size {
            0..24 => 0,
            24..28 => 1 << (size - 24),
            _ => return None,
        };
        let (argument, rest) = rest.split_at_checked(following)?;
        let number = argument.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        self.bytes = rest;
        Some((front >> 5, if following == 0 { size.into() } else { number }))
    }

    /// The argument of the next item, if that has this major type.
    pub(crate) fn of(&mut self, major: u8) -> Option<u64> {
        if self.major() == Some(major) { self.front().map(|(_, argument)| argument) } else { None }
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        let before = self.clone();
        let number = match self.front() {
            Some((UNSIGNED, n)) => i64::try_from(n).ok(),
            Some((NEGATIVE, n)) => i64::try_from(n).ok().map(|n| !n),
            _ => None,
        };
        if number.is_none() {
            *self = before;
        }
        number
    }

    /// Bytes or text.
    pub(crate) fn content(&mut self, major: u8) -> Option<&'b [u8]> {
        let before = self.clone();
        let content = self.of(major).and_then(|len| self.bytes.split_at_checked(usize::try_from(len).ok()?));
        match content {
            Some((content, rest)) => {
                self.bytes = rest;
                Some(content)
            }
            None => {
                *self = before;
                None
            }
        }
    }

    fn one_of(&mut self, a: u8, b: u8) -> Option<u8> {
        let (front, rest) = self.bytes.split_first()?;
        if *front != a && *front != b {
            return None;
        }
        self.bytes = rest;
        Some(*front)
    }

    pub(crate) fn bool(&mut self) -> Option<bool> {
        self.one_of(TRUE, FALSE).map(|front| front == TRUE)
    }

    pub(crate) fn null(&mut self) -> bool {
        self.one_of(NULL, UNDEFINED).is_some()
    }

    /// A float of either size; a whole number will do.
    pub(crate) fn float(&mut self) -> Option<f64> {
        let before = self.clone();
        let is_float = matches!(self.bytes.first(), Some(&(F32 | F64)));
        let wide = self.bytes.first() == Some(&F64);
        let number = match self.front() {
            Some((OTHER, bits)) if is_float && wide => Some(f64::from_bits(bits)),
            Some((OTHER, bits)) if is_float => Some(f32::from_bits(bits as u32).into()),
            Some((UNSIGNED, n)) => Some(n as f64),
            Some((NEGATIVE, n)) => Some(-1.0 - n as f64),
            _ => None,
        };
        if number.is_none() {
            *self = before;
        }
        number
    }

    /// The bytes of the next item, whatever it is, with all that is in it.
    pub(crate) fn item(&mut self) -> Option<&'b [u8]> {
        let before = self.clone();
        let mut left = 1u64;
        while left > 0 {
            left -= 1;
            let passed = self.pass();
            let Some(inside) = passed.and_then(|inside| left.checked_add(inside)) else {
                *self = before;
                return None;
            };
            left = inside;
        }
        Some(&before.bytes[..before.bytes.len() - self.bytes.len()])
    }

    /// Goes over a front and its content; how many items are in it.
    fn pass(&mut self) -> Option<u64> {
        let (major, argument) = self.front()?;
        match major {
            BYTES | TEXT => {
                self.bytes = self.bytes.get(usize::try_from(argument).ok()?..)?;
                Some(0)
            }
            LIST => Some(argument),
            MAP => argument.checked_mul(2),
            TAG => Some(1),
            _ => Some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out);
        out
    }

    #[test]
    fn it_writes_what_another_codec_writes() {
        for n in [0, 1, 23, 24, 255, 256, 65_535, 65_536, u32::MAX.into(), 1 << 32, i64::MAX] {
            for n in [n, !n] {
                assert_eq!(written(|out| put_signed(out, n)), minicbor::to_vec(n).unwrap(), "{n}");
                assert_eq!(Items { bytes: &minicbor::to_vec(n).unwrap() }.signed(), Some(n));
            }
        }
        assert_eq!(written(|out| put(out, UNSIGNED, u64::MAX)), minicbor::to_vec(u64::MAX).unwrap());
        assert_eq!(written(|out| put_bool(out, true)), minicbor::to_vec(true).unwrap());
        assert_eq!(written(|out| put_f32(out, 1.5)), minicbor::to_vec(1.5f32).unwrap());
        assert_eq!(written(|out| put_f64(out, -0.1)), minicbor::to_vec(-0.1f64).unwrap());
        assert_eq!(written(put_null), minicbor::to_vec(Option::<u8>::None).unwrap());
    }

    #[test]
    fn numbers_that_are_too_large_are_none() {
        assert_eq!(Items { bytes: &minicbor::to_vec(u64::MAX).unwrap() }.signed(), None);
        assert_eq!(Items { bytes: &[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff] }.signed(), None);
        let items = &mut Items { bytes: &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0] };
        assert_eq!(items.content(BYTES), None);
        assert_eq!(items.bytes.len(), 10, "what does not fit is not taken");
    }

    #[test]
    fn an_item_is_gone_over_as_a_whole() {
        let inside = minicbor::to_vec(vec![("a", vec![1, -2]), ("b", vec![])]).unwrap();
        let bytes = [&inside[..], &[0xf6]].concat();
        let mut items = Items { bytes: &bytes };
        assert_eq!(items.item(), Some(&inside[..]));
        assert!(items.null() && items.bytes.is_empty());
    }

    #[test]
    fn no_bytes_panic_or_take_long() {
        let mut seed = 1u64;
        for _ in 0..100_000 {
            let bytes: Vec<u8> = (0..12)
                .map(|_| {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (seed >> 33) as u8
                })
                .collect();
            let mut items = Items { bytes: &bytes };
            let _ = items.clone().signed();
            let _ = items.clone().float();
            let _ = items.clone().content(TEXT);
            while items.item().is_some_and(|item| !item.is_empty()) {}
        }
        // Lists that claim more items than there can be.
        assert_eq!(Items { bytes: &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff] }.item(), None);
        assert_eq!(Items { bytes: &[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff] }.item(), None);
        assert_eq!(Items { bytes: &[0x9f, 0xff] }.item(), None);
    }
}
