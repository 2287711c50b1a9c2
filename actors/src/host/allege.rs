//! A guest's pointers are allegations until they are checked, here.
//!
//! 1. A span of no bytes is never looked at, wherever it points.
//! 2. What [`Span::bytes`] gives lies in the memory that it was given.

use pando_abi::Call;

use super::{No, misuse};

/// A pointer and a length, or a count, as the guest passed them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(super) at: u32,
    pub(super) len: u32,
}

impl Span {
    pub(super) fn new(at: i32, len: i32) -> Span {
        Span { at: at as u32, len: len as u32 }
    }

    /// The bytes, of which there may be at most `max`. `what` names them in the sentence of a fault.
    #[inline(always)]
    pub(super) fn bytes<'m>(self, memory: &'m [u8], max: usize, call: Call, what: &str) -> Result<&'m [u8], No> {
        let len = self.len as usize;
        if len > max {
            return misuse(format!("`{}` was given {what} of {len} bytes; the limit is {max}", call.name()));
        }
        self.any_bytes(memory, call, what)
    }

    /// The same without a limit: for what is cut.
    #[inline(always)]
    pub(super) fn any_bytes<'m>(self, memory: &'m [u8], call: Call, what: &str) -> Result<&'m [u8], No> {
        if self.len == 0 {
            return Ok(&[]);
        }
        let (at, len) = (self.at as usize, self.len as usize);
        match at.checked_add(len).and_then(|end| memory.get(at..end)) {
            Some(bytes) => Ok(bytes),
            None => misuse(format!(
                "`{}` was given {what} of {len} bytes at {at:#x}, which leaves the memory of {:#x} bytes",
                call.name(),
                memory.len()
            )),
        }
    }

    /// So many little-endian words of 4 bytes, at most `max`.
    pub(super) fn words<'m>(
        self,
        memory: &'m [u8],
        max: usize,
        call: Call,
        what: &str,
    ) -> Result<impl ExactSizeIterator<Item = u32> + Clone + use<'m>, No> {
        let count = self.len as usize;
        if count > max {
            return misuse(format!("`{}` was given {count} {what}; the limit is {max}", call.name()));
        }
        // At most `max` words, so this does not overflow.
        let bytes = Span { at: self.at, len: self.len * 4 }.any_bytes(memory, call, what)?;
        let (words, _) = bytes.as_chunks::<4>();
        Ok(words.iter().map(|w| u32::from_le_bytes(*w)))
    }
}

/// The part of `bytes` that is kept, as text; other bytes than UTF-8 become U+FFFD.
pub(super) fn text(bytes: &[u8], max: usize) -> String {
    let cut = bytes.get(..max).unwrap_or(bytes);
    // A character that the cut goes through is left out, not replaced.
    let cut = match std::str::from_utf8(cut) {
        #[expect(clippy::indexing_slicing, reason = "what is valid is a part of it")]
        Err(e) if bytes.len() > max && e.error_len().is_none() => &cut[..e.valid_up_to()],
        _ => cut,
    };
    String::from_utf8_lossy(cut).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_must_lie_in_the_memory_unless_it_is_empty() {
        let memory = [7u8; 16];
        let check = |at, len| Span::new(at, len).any_bytes(&memory, Call::Send, "a body").map(<[u8]>::len).ok();
        for (at, len, expected) in [
            (0, 16, Some(16)),
            (15, 1, Some(1)),
            (16, 1, None),
            (1, 16, None),
            (-1, 1, None),
            (-1, -1, None),
            (4, -1, None),
            (-1, 0, Some(0)),
        ] {
            assert_eq!(check(at, len), expected, "{at} {len}");
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(text("aé".as_bytes(), 2), "a");
        assert_eq!(text("aé".as_bytes(), 3), "aé");
        assert_eq!(text(b"a\xff", 2), "a\u{fffd}");
        assert_eq!(text(b"a\xc3", 2), "a\u{fffd}");
    }
}
