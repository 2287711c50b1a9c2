//! What one group has for another: in batches through the other's lane, in order, until it is heard.

use std::sync::{Arc, Weak};

use pando_abi::planted::{
    Bug,
    fail::{Point, pass},
    planted,
};
use pando_abi::{ActorId, Address, Errno, NodeId};
use tokio::sync::oneshot;

use super::AGAIN;
use crate::{
    lanes::{Fate, LaneItem},
    node::Kernel,
    outbox::{Item, Saying},
    replica::entry::Stamp,
};

/// Works off what one group has for another, in order.
pub(super) async fn pump_to_group(kernel: Weak<Kernel>, group: ActorId, to: Address) {
    loop {
        let Some(kernel) = kernel.upgrade() else { return };
        let items = kernel.leaders().front(group, to);
        let Some(last) = items.last().map(|item| item.seq) else { return };
        let heard = say(&kernel, group, to, items).await.filter(|_| !kernel.leaders().is_held());
        if let Some(seq) = heard {
            pass(Point::SaidHeard);
            kernel.leaders().pop(group, to, seq);
            kernel.lanes().acknowledge(group, to, seq);
        }
        if heard != Some(last) {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Says what can be said at once. The number of the last one that was heard, with all before it.
async fn say(kernel: &Arc<Kernel>, group: ActorId, to: Address, items: Vec<Item>) -> Option<u64> {
    let mut told = Vec::new();
    let mut heard = None;
    for (n, item) in items.into_iter().enumerate() {
        let seq = item.seq;
        match item.saying {
            // A spawn is the first that its receiver hears, and everything after it waits for it.
            Saying::Spawn(order) if told.is_empty() => {
                match kernel.create_group((*order).clone(), None).await {
                    Ok(_) => heard = Some(seq),
                    // It may have been decided, or will be: asked again.
                    Err(why) if matches!(why.errno, Errno::NO_QUORUM | Errno::INTERNAL) => {}
                    Err(why) => {
                        kernel.log(order.child, 2, format!("could not be created: {why}"));
                        kernel.unborn(&order, why.errno);
                        heard = Some(seq);
                    }
                }
                break;
            }
            Saying::Spawn(_) => break,
            Saying::Deliver(_) if planted(Bug::AckWithoutDelivery) && seq.is_multiple_of(8) => {
                let (fate, receiver) = oneshot::channel();
                let _ = fate.send(Fate::Handled { index: 0, leader: NodeId::NONE });
                told.push((seq, receiver));
            }
            Saying::Deliver(input) => {
                let (fate, receiver) = oneshot::channel();
                // What was before the first is known to be heard: it was taken out of the queue.
                let stamp = Some(Stamp { group: group.0, seq, begins: n == 0 });
                let item = LaneItem { from: Address::group(group), input, stamp, fate: Some(fate) };
                if kernel.lanes().push(to.id, item).is_err() {
                    break;
                }
                told.push((seq, receiver));
            }
        }
    }
    for (seq, fate) in told {
        match fate.await {
            Ok(Fate::Handled { .. } | Fate::Gone(_)) => heard = Some(seq),
            _ => break,
        }
    }
    heard
}
