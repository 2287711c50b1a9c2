//! The state root: one hash that two replicas share exactly if they are in the same state.
//!
//! Owns: the order in which state is hashed. Does not know images; a root does not change when their form does.
//!
//! 1. Everything that a later event could depend on is in it: pages, size, globals, handles, free slots, ids, counters, inbox.
//! 2. Nothing else is: not the node, not whether the actor is hot, not limits.
//! 3. Memory is hashed in chunks, pages and areas ([`crate::hashes`]), so that what one root costs goes with what changed since the last, and little with the memory.

use crate::{Module, shadow::Shadow, shell::Shell, table::Kind};

/// The root of an instance whose memory and globals are those of the shadow.
pub(crate) fn of(shell: &Shell, shadow: &mut Shadow, module: &Module) -> [u8; 32] {
    let state = &shell.store.data().state;
    let mut out = blake3::Hasher::new_derive_key("pando 2026 state root over pieces");
    out.update(&module.hash().0);
    number(&mut out, shadow.now().size() as u64);
    shadow.hash_areas(module, &mut out);
    number(&mut out, shadow.now().globals.len() as u64);
    for global in &shadow.now().globals {
        out.update(&global.to_le_bytes());
    }
    out.update(&state.id.0);
    number(&mut out, u64::from(state.replicas));
    number(&mut out, state.events);
    number(&mut out, u64::from(state.started));
    number(&mut out, u64::from(state.inbox.0) << 32 | u64::from(state.inbox.1));
    number(&mut out, state.table.len() as u64);
    for (handle, capability) in state.table.held() {
        number(&mut out, u64::from(handle.0));
        out.update(&capability.to_bytes());
    }
    for handle in state.table.free() {
        number(&mut out, u64::from(handle.0));
    }
    for (kind, last) in Kind::ALL.into_iter().zip(state.table.last()) {
        number(&mut out, last);
        number(&mut out, state.table.opened(kind).len() as u64);
        for id in state.table.opened(kind) {
            number(&mut out, *id);
        }
    }
    *out.finalize().as_bytes()
}

fn number(out: &mut blake3::Hasher, n: u64) {
    out.update(&n.to_le_bytes());
}
