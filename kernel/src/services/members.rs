//! Keeps the transport's member set as the root group has it: who is no longer a member is cut off at once.

use std::sync::Arc;

use crate::node::Kernel;

pub(super) async fn work(kernel: &Arc<Kernel>) {
    let mut changes = kernel.root().changes();
    let mut known = None;
    loop {
        let set = kernel.root().read(|root| root.is_founded().then(|| root.member_set()));
        if let Some(set) = set
            && known.as_ref() != Some(&set)
        {
            kernel.transport().set_members(Arc::new(set.clone()));
            known = Some(set);
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}
