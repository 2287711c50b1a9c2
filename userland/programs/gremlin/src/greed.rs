//! Wanting more than there is.

use pando::{Call, prelude::*};

use crate::Storm;

/// Does it again and again, until it is told to stop, or has been done so often.
pub(crate) fn until_told(most: Option<u64>, mut one: impl FnMut() -> pando::Result<()>) -> Storm {
    let mut got = 0;
    while most.is_none_or(|most| got < most) {
        match one() {
            Ok(()) => got += 1,
            Err(error) => return Storm { got, told: Some(error.errno().name().to_string()) },
        }
    }
    Storm { got, told: None }
}

/// Messages of so many bytes.
pub(crate) fn flood(target: &Handle, count: u32, bytes: u32) -> Storm {
    let filling = vec![b'x'; bytes as usize];
    until_told(Some(count.into()), || Call::<()>::new(target, "ignore", (filling.clone(),)).send())
}

/// Megabytes, until there are no more.
pub(crate) fn memory(kept: &mut Vec<Vec<u8>>) -> u64 {
    let mut got = 0;
    loop {
        let mut piece: Vec<u8> = Vec::new();
        if kept.try_reserve(1).is_err() || piece.try_reserve_exact(1 << 20).is_err() || got == 4_096 {
            return got;
        }
        piece.resize(1 << 20, 0xa5);
        kept.push(piece);
        got += 1;
    }
}
