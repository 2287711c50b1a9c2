//! What people write and whom they mean: names, addresses, prefixes of ids.

use std::sync::Arc;

use pando_abi::{Address, Errno, Home, NodeId};
use pando_admin::Request;

use crate::{node::Kernel, realm::Refusal};

/// Of those that a prefix fits, as many are named.
const FITS_SHOWN: usize = 4;

/// Finds whom a target means: a name, `n1/7f3a2b10`, `group/7f3a2b10`, or a prefix of an id that fits one only. Who has
/// ended on this node is found for as long as its end is remembered, if nobody who lives fits: what is asked of it then
/// says how it ended.
///
/// # Errors
/// Nobody, or more than one.
pub(super) fn find(kernel: &Arc<Kernel>, target: &str) -> Result<Address, Refusal> {
    if let Some(address) = kernel.root().read(|root| root.lookup(target).map(|entry| entry.address)) {
        return Ok(address);
    }
    let (place, prefix) = match target.split_once('/') {
        Some((place, prefix)) => (Some(place), prefix),
        None => (None, target),
    };
    let hex = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_hexdigit());
    let known = place.is_none_or(|p| p == "group" || node_of(p).is_some());
    if !hex || !known {
        return Err(nothing(kernel, target));
    }
    let prefix = prefix.to_ascii_lowercase();
    let fits = |id: pando_abi::ActorId| id.to_string().starts_with(&prefix);
    let mut found: Vec<Address> = Vec::new();
    if place.is_none_or(|p| p != "group") {
        found.extend(kernel.cells().all().iter().map(|c| c.address()).filter(|a| fits(a.id)));
        let away = kernel.root().read(|root| root.moves().map(|row| row.address).collect::<Vec<_>>());
        found.extend(away.into_iter().filter(|a| fits(a.id)));
        found.sort_unstable();
        found.dedup();
    }
    if place.is_none_or(|p| p == "group") {
        found.extend(
            kernel.root().read(|root| root.groups().map(|g| g.address()).filter(|a| fits(a.id)).collect::<Vec<_>>()),
        );
    }
    if found.is_empty() && place.is_none_or(|p| p != "group") {
        found.extend(
            kernel.cells().ended().into_iter().filter(|id| fits(*id)).map(|id| Address::actor(kernel.id(), id)),
        );
    }
    match found[..] {
        [one] => Ok(one),
        [] => Err(nothing(kernel, target)),
        _ => {
            let some: Vec<String> = found.iter().take(FITS_SHOWN).map(Address::to_string).collect();
            let more = if found.len() > some.len() { ", ..." } else { "" };
            let text = format!("`{target}` fits {} actors: {}{more}", found.len(), some.join(", "));
            Err(Refusal::new(Errno::NOT_FOUND, text, "write more digits of the id; `ps` shows them"))
        }
    }
}

fn nothing(kernel: &Arc<Kernel>, target: &str) -> Refusal {
    let near = kernel.root().read(|root| {
        let near = root.names("").map(|n| (distance(&n.name, target), n.name.clone())).min();
        near.filter(|(d, _)| *d <= 2).map(|(_, name)| name)
    });
    let mend = match near {
        Some(name) => format!("did you mean `{name}`?"),
        None => "`ps` shows what runs and `names` what is named; an id's address is written n1/7f3a2b10".to_owned(),
    };
    Refusal::new(Errno::NOT_FOUND, format!("nothing is named `{target}`"), mend)
}

/// `n3` as a number.
pub(super) fn node_of(text: &str) -> Option<NodeId> {
    let number = text.strip_prefix('n')?.parse().ok()?;
    (number > 0).then_some(NodeId(number))
}

/// Levenshtein's distance, for names short enough to be typed.
#[expect(clippy::indexing_slicing, reason = "`row` is one longer than `b`, and `j` is a place in `b`")]
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The node that has to answer, if it is another one: what only the actor's own node can say or find.
pub(super) fn other_node(kernel: &Arc<Kernel>, request: &Request) -> Option<NodeId> {
    let node = match request {
        Request::Ps { node: Some(node) } => Some(NodeId(*node)),
        Request::Spawn(spawn) if spawn.replicas == 0 => spawn.node.map(NodeId).or_else(|| instead(kernel)),
        Request::Call { target, .. }
        | Request::Outcome { target, .. }
        | Request::Locate { target }
        | Request::Name { target: Some(target), .. } => written_node(kernel, target),
        // Its own node says when it is done, or that there is nobody.
        Request::Send { target, .. }
        | Request::Kill { target }
        | Request::Upgrade { target, .. }
        | Request::Inspect { target }
        | Request::Interface { target } => written_node(kernel, target).or_else(|| named_node(kernel, target)),
        // The node by which its messages come leads the move.
        Request::Move { target, .. } => {
            find(kernel, target).ok().map(|address| kernel.led_by(address)).or_else(|| written_node(kernel, target))
        }
        Request::Link { a, b, .. } => written_node(kernel, a).or_else(|| written_node(kernel, b)),
        _ => None,
    };
    let member = |n: &NodeId| kernel.root().read(|root| root.member(*n).is_some());
    node.filter(|n| *n != kernel.id()).filter(member)
}

/// Who takes a plain actor if this node shall hold nothing.
fn instead(kernel: &Arc<Kernel>) -> Option<NodeId> {
    let up = kernel.nodes_up();
    kernel.root().read(|root| {
        let may = |node: NodeId| root.member(node).is_some_and(|member| member.is_placeable());
        if may(kernel.id()) { None } else { up.into_iter().find(|node| may(*node)) }
    })
}

/// The node in `n3/7f3a2b10`: only it knows which ids begin so.
fn written_node(kernel: &Arc<Kernel>, target: &str) -> Option<NodeId> {
    let named = kernel.root().read(|root| root.lookup(target).is_some());
    if named {
        return None;
    }
    let (place, prefix) = target.split_once('/')?;
    let node = node_of(place)?;
    // Where it lives, if it has moved.
    let prefix = prefix.to_ascii_lowercase();
    let away = kernel.root().read(|root| {
        let fits = |address: Address| address.node == node && address.id.to_string().starts_with(&prefix);
        root.moves().find(|row| fits(row.address)).map(|row| row.node)
    });
    Some(away.unwrap_or(node))
}

fn named_node(kernel: &Arc<Kernel>, target: &str) -> Option<NodeId> {
    let address = kernel.root().read(|root| root.lookup(target).map(|entry| entry.address))?;
    (address.home == Home::Node).then(|| kernel.lives(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_what_people_mistype() {
        for (a, b, d) in [("hits", "hits", 0), ("hits", "hist", 2), ("hits", "hit", 1), ("", "abc", 3)] {
            assert_eq!(distance(a, b), d, "{a} {b}");
        }
    }

    #[test]
    fn node_numbers_are_written_with_an_n() {
        assert_eq!(node_of("n3"), Some(NodeId(3)));
        for bad in ["3", "n", "n0", "nx", "group", ""] {
            assert_eq!(node_of(bad), None, "{bad}");
        }
    }
}
