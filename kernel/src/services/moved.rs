//! Hears where plain actors live: of those whose new node is gone already, whoever watches them is told; those who lived here
//! before this boot are taken out of the realm's book.
//!
//! 1. The loss of a node is told by its session's end to those who knew then who lived there; to all others, here, as soon as they
//!    know.

use std::{collections::BTreeMap, sync::Arc};

use pando_abi::{Address, NodeId};

use crate::{input::Moved, node::Kernel, root::MovedEntry};

pub(super) async fn work(kernel: &Arc<Kernel>) {
    let mut changes = kernel.root().changes();
    // What stood there when this node began concerns nobody here: who asks for such an actor is answered.
    let mut known: BTreeMap<Address, u64> = marks(kernel);
    let mut ending: BTreeMap<Address, u64> = BTreeMap::new();
    loop {
        let rows: Vec<MovedEntry> = match kernel.root().has_moves() {
            true => kernel.root().read(|root| root.moves().copied().collect()),
            false => Vec::new(),
        };
        ending.retain(|address, mark| rows.iter().any(|row| row.address == *address && row.mark == *mark));
        for row in &rows {
            let own = row.node == kernel.id();
            // It ended with the boot in which it came, or never came.
            if own && row.life != kernel.incarnation().0 && ending.insert(row.address, row.mark) != Some(row.mark) {
                kernel.end_moved(row.address, row.mark);
            }
            let news = known.get(&row.address) != Some(&row.mark);
            if news && !own && kernel.paths().life(row.node).is_none_or(|life| life.0 != row.life) {
                kernel.tell_lost(NodeId::NONE, Moved { away: Vec::new(), here: vec![row.address] });
            }
        }
        known = rows.iter().map(|row| (row.address, row.mark)).collect();
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn marks(kernel: &Kernel) -> BTreeMap<Address, u64> {
    kernel.root().read(|root| root.moves().map(|row| (row.address, row.mark)).collect())
}
