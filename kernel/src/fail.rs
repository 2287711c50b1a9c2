//! A planted fault: a host that dies of what it handles. Only in builds with the feature `planted`.
//!
//! `PANDO_POISON=BYTES` ends the process when a group's guest is to handle a body that has these bytes.

use std::sync::OnceLock;

/// Ends the process if it shall die of this event.
pub(crate) fn before_handling(event: &pando_actors::Event<'_>) {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let deadly = BYTES.get_or_init(|| std::env::var("PANDO_POISON").unwrap_or_default().into_bytes());
    if !deadly.is_empty()
        && event.flags & pando_abi::event::flags::REPLICATED != 0
        && event.body.windows(deadly.len()).any(|part| part == &deadly[..])
    {
        std::process::abort();
    }
}
