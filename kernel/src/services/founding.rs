//! Founds the realm: the root group's first entry, proposed by every founder until one is committed. Then has it written
//! down that this founder has begun, so that it is missed if its disk should ever come back empty.

use std::{sync::Arc, time::Duration};

use pando_abi::Errno;

use crate::{
    node::Kernel,
    root::{Founder, RootCommand},
};

pub(super) async fn work(kernel: &Arc<Kernel>) {
    let mut changes = kernel.root().changes();
    if kernel.parts.genesis.joined {
        return;
    }
    while !kernel.root().read(|root| root.is_founded()) {
        let genesis = &kernel.parts.genesis;
        let command = RootCommand::Found {
            members: genesis.nodes.iter().map(Founder::from).collect(),
            users: genesis.users.iter().map(|key| key.0).collect(),
        };
        // The smallest founder first; the others only if it does not.
        let patience = if genesis.nodes.first().is_some_and(|m| m.node == kernel.id()) { 50 } else { 2_000 };
        if tokio::time::timeout(Duration::from_millis(patience), changes.changed()).await.is_ok() {
            continue;
        }
        if let Err(why) = kernel.root_command(command).await {
            tracing::info!(%why, "the realm is not founded yet");
        }
    }
    // What is known here may be old: then the root group says so.
    while kernel.root().read(|root| root.member(kernel.id()).is_some_and(|member| member.begun == 0)) {
        let begin = RootCommand::Begin { node: kernel.id(), life: kernel.door().seed() | 1 };
        match kernel.root_command(begin).await {
            Err(why) if why.errno != Errno::EXISTS => tokio::time::sleep(Duration::from_secs(1)).await,
            _ => return,
        }
    }
}
