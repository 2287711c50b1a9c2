//! What the root group promises about who is one of the realm's nodes and who holds what, one by one.

use pando_abi::{Errno, NodeId};

use super::{
    promises::{REALM, addr, check, create, end, forget, id, key, realm, remove},
    *,
};

const ALL: [u32; 5] = [1, 2, 3, 4, 5];

fn ticket(n: u8) -> RootCommand {
    RootCommand::AddTicket { key: key(n), expires_ns: 100, now_ns: 10 }
}

fn admit(ticket: u8, node: u8, now_ns: u64) -> RootCommand {
    RootCommand::Admit { ticket: key(ticket), key: key(node), addr: addr(u16::from(node)), now_ns }
}

fn member(node: u32) -> RootOutcome {
    RootOutcome::Member { node: NodeId(node) }
}

/// A realm of `nodes` nodes that knows module 1, and a group of three.
fn wide(nodes: u8) -> Root {
    let mut root = realm();
    for n in 4..=nodes {
        check(&mut root, 3, RootCommand::AddMember { key: key(n), addr: addr(1), role: Role::Voter }, Ok(()));
    }
    check(&mut root, 4, create(1, 3, Some("hits")), Ok(()));
    root
}

fn wanted(root: &Root) -> Vec<u32> {
    root.group(id(1)).unwrap().wanted.clone()
}

fn drain(node: u32, drained: bool) -> RootCommand {
    RootCommand::Drain { node: NodeId(node), drained }
}

fn mend(alive: &[u32]) -> RootCommand {
    RootCommand::Mend { alive: alive.to_vec() }
}

fn seated(voters: &[u32], at: u64) -> RootCommand {
    RootCommand::Seated { id: id(1), voters: voters.to_vec(), at }
}

fn numbers(nodes: Vec<NodeId>) -> Vec<u32> {
    nodes.into_iter().map(|node| node.0).collect()
}

#[test]
fn a_ticket_admits_one_node_and_tells_it_its_number_as_often_as_it_asks() {
    let mut root = realm();
    check(&mut root, 3, admit(50, 4, 10), Err(Errno::DENIED));
    check(&mut root, 4, ticket(50), Ok(()));
    // Who has it may connect, and is no user.
    assert!(root.member_set().users.iter().any(|user| user.0 == key(50)) && !root.is_user(&key(50)));
    check(&mut root, 5, admit(50, 4, 100), Err(Errno::DENIED));
    check(&mut root, 6, admit(50, 2, 99), Err(Errno::EXISTS));
    assert_eq!(check(&mut root, 7, admit(50, 4, 99), Ok(())), member(4));
    // The answer was lost; it is asked again, even after the ticket's time.
    assert_eq!(check(&mut root, 8, admit(50, 4, 500), Ok(())), member(4));
    check(&mut root, 9, admit(50, 5, 99), Err(Errno::DENIED));
    // The node goes, and its ticket is nobody's.
    check(&mut root, 10, remove(4), Ok(()));
    check(&mut root, 11, forget(4), Ok(()));
    check(&mut root, 12, admit(50, 4, 99), Err(Errno::DENIED));
    check(&mut root, 13, ticket(51), Ok(()));
    assert_eq!(check(&mut root, 14, admit(51, 4, 20), Ok(())), member(5), "the same machine, another number");
}

#[test]
fn tickets_are_bounded_and_those_that_are_no_longer_good_make_room() {
    let mut root = realm();
    for n in 0..TICKETS_MAX as u8 {
        check(&mut root, 3, ticket(60 + n), Ok(()));
    }
    check(&mut root, 4, ticket(59), Err(Errno::LIMIT));
    let later = RootCommand::AddTicket { key: key(59), expires_ns: 300, now_ns: 200 };
    check(&mut root, 5, later, Ok(()));
    assert_eq!(root.member_set().users.len(), 2);
}

#[test]
fn a_number_begins_once_and_never_on_another_disk() {
    let mut root = realm();
    let begin = |node: u32, life: u64| RootCommand::Begin { node: NodeId(node), life };
    check(&mut root, 3, begin(2, 7), Ok(()));
    check(&mut root, 4, begin(2, 7), Ok(()));
    let refused = check(&mut root, 5, begin(2, 8), Err(Errno::EXISTS));
    let RootOutcome::Refused { text, mend, .. } = refused else { unreachable!() };
    assert!(text.starts_with("n2 has taken part before") && mend.contains("`remove-node n2`"), "{text}; {mend}");
    check(&mut root, 6, begin(9, 7), Err(Errno::NOT_FOUND));
    check(&mut root, 7, begin(3, 0), Err(Errno::BAD_REQUEST));
}

#[test]
fn at_most_five_vote_in_the_root_group_and_who_is_away_gives_the_seat_to_another() {
    let mut root = wide(7);
    assert_eq!((numbers(root.seats()), numbers(root.followers())), (vec![1, 2, 3, 4, 5], vec![6, 7]));
    check(&mut root, 9, RootCommand::MarkAway { node: NodeId(2), away: true }, Ok(()));
    assert_eq!(numbers(root.seats()), [1, 3, 4, 5, 6]);
    check(&mut root, 9, RootCommand::MarkAway { node: NodeId(2), away: false }, Ok(()));
    check(&mut root, 9, drain(1, true), Ok(()));
    assert_eq!((numbers(root.seats()), numbers(root.followers())), (vec![2, 3, 4, 5, 6], vec![1, 7]));
    // Among three nobody else could take it.
    let mut root = realm();
    check(&mut root, 3, RootCommand::MarkAway { node: NodeId(2), away: true }, Ok(()));
    assert_eq!(numbers(root.seats()), [1, 2, 3]);
}

#[test]
fn what_is_wanted_becomes_so_when_the_leader_says_it_and_not_by_an_older_word() {
    let mut root = wide(4);
    assert_eq!(root.group(id(1)).unwrap().voters, wanted(&root));
    let spare = ALL.into_iter().find(|n| !wanted(&root).contains(n)).unwrap();
    let leaving = wanted(&root)[0];
    let reseat = RootCommand::Reseat { id: id(1), add: vec![spare], remove: vec![leaving] };
    check(&mut root, 5, reseat.clone(), Ok(()));
    let version = root.version();
    check(&mut root, 6, reseat, Ok(()));
    assert_eq!(root.version(), version, "asked twice is asked once");
    assert_eq!((root.moving_groups().count(), root.groups_of(NodeId(leaving)).count()), (1, 1));
    let new = wanted(&root);
    check(&mut root, 7, seated(&new, 40), Ok(()));
    assert_eq!((root.moving_groups().count(), root.groups_of(NodeId(leaving)).count()), (0, 0));
    check(&mut root, 8, seated(&[leaving], 39), Ok(()));
    check(&mut root, 8, seated(&[leaving], 40), Ok(()));
    assert_eq!(root.group(id(1)).unwrap().voters, new);
    check(&mut root, 9, RootCommand::Reseat { id: id(1), add: vec![], remove: new }, Err(Errno::REFUSED));
    check(&mut root, 9, RootCommand::Reseat { id: id(1), add: vec![9], remove: vec![] }, Err(Errno::NOT_FOUND));
    check(&mut root, 9, RootCommand::Reseat { id: id(8), add: vec![1], remove: vec![] }, Err(Errno::NOT_FOUND));
}

#[test]
fn a_node_that_is_alive_and_holds_a_group_is_drained_before_it_is_removed() {
    let mut root = wide(4);
    let node = wanted(&root)[0];
    let out = RootCommand::RemoveMember { node: NodeId(node), alive: ALL.to_vec(), lost: true };
    check(&mut root, 5, out.clone(), Err(Errno::REFUSED));
    check(&mut root, 6, drain(node, true), Ok(()));
    assert!(root.wants_mending(&ALL));
    check(&mut root, 7, mend(&ALL), Ok(()));
    assert!(!wanted(&root).contains(&node) && wanted(&root).len() == 3 && !root.wants_mending(&ALL));
    assert_eq!((root.wanted_on(NodeId(node)), root.load(NodeId(node))), (0, 1));
    let new = wanted(&root);
    check(&mut root, 8, seated(&new, 9), Ok(()));
    check(&mut root, 9, out, Ok(()));
    check(&mut root, 10, forget(node), Ok(()));
    assert_eq!((root.member(NodeId(node)), root.next_node()), (None, NodeId(5)));
}

#[test]
fn a_node_that_is_gone_loses_its_replicas_to_others_and_is_forgotten_once_nothing_counts_on_it() {
    let mut root = wide(4);
    let node = wanted(&root)[1];
    let alive: Vec<u32> = (1..=4).filter(|n| *n != node).collect();
    let out = RootCommand::RemoveMember { node: NodeId(node), alive: alive.clone(), lost: false };
    check(&mut root, 5, out.clone(), Ok(()));
    check(&mut root, 6, out, Ok(()));
    check(&mut root, 7, forget(node), Err(Errno::REFUSED));
    check(&mut root, 8, mend(&alive), Ok(()));
    assert_eq!(wanted(&root), alive);
    check(&mut root, 9, forget(node), Err(Errno::REFUSED));
    check(&mut root, 10, seated(&alive, 9), Ok(()));
    check(&mut root, 11, forget(node), Ok(()));
    check(&mut root, 12, drain(node, true), Err(Errno::NOT_FOUND));
}

#[test]
fn without_room_a_group_goes_on_with_fewer_and_gets_its_number_back_with_the_next_node() {
    let mut root = wide(3);
    let alive = [1, 3];
    let out = RootCommand::RemoveMember { node: NodeId(2), alive: alive.to_vec(), lost: false };
    check(&mut root, 5, out, Ok(()));
    check(&mut root, 6, mend(&alive), Ok(()));
    assert_eq!((wanted(&root), root.wants_mending(&alive)), (vec![1, 3], false));
    check(&mut root, 7, seated(&alive, 9), Ok(()));
    check(&mut root, 8, forget(2), Ok(()));
    check(&mut root, 9, ticket(50), Ok(()));
    assert_eq!(check(&mut root, 10, admit(50, 2, 20), Ok(())), member(4));
    // It has to be up for that.
    assert!(!root.wants_mending(&alive) && root.wants_mending(&[1, 3, 4]));
    check(&mut root, 11, mend(&[1, 3, 4]), Ok(()));
    assert_eq!(wanted(&root), [1, 3, 4]);
}

#[test]
fn a_node_that_is_away_keeps_its_replica_until_another_can_take_it() {
    let mut root = wide(3);
    check(&mut root, 5, RootCommand::MarkAway { node: NodeId(2), away: true }, Ok(()));
    check(&mut root, 6, mend(&[1, 3]), Ok(()));
    assert_eq!(wanted(&root), [1, 2, 3]);
    check(&mut root, 7, RootCommand::AddMember { key: key(4), addr: addr(1), role: Role::Voter }, Ok(()));
    check(&mut root, 8, mend(&[1, 3, 4]), Ok(()));
    assert_eq!(wanted(&root), [1, 3, 4]);
    // A person's word is not taken back by a node that is seen again.
    check(&mut root, 9, drain(3, true), Ok(()));
    check(&mut root, 10, RootCommand::MarkAway { node: NodeId(3), away: false }, Ok(()));
    assert_eq!(root.member(NodeId(3)).unwrap().standing, Standing::Drained);
    check(&mut root, 11, drain(3, false), Ok(()));
    assert_eq!(root.member(NodeId(3)).unwrap().standing, Standing::Present);
}

#[test]
fn nothing_new_is_placed_on_a_node_that_is_drained_and_the_last_one_cannot_be() {
    let mut root = realm();
    check(&mut root, 3, drain(1, true), Ok(()));
    check(&mut root, 4, create(1, 3, None), Err(Errno::REFUSED));
    check(&mut root, 5, create(1, 2, None), Ok(()));
    assert_eq!(wanted(&root), [2, 3]);
    check(&mut root, 6, RootCommand::Reseat { id: id(1), add: vec![1], remove: vec![] }, Err(Errno::REFUSED));
    check(&mut root, 7, drain(2, true), Ok(()));
    check(&mut root, 8, drain(3, true), Err(Errno::REFUSED));
}

#[test]
fn what_ends_with_a_removed_node_ends_only_on_a_persons_word() {
    let mut root = realm();
    check(&mut root, 3, create(1, 1, Some("alone")), Ok(()));
    let node = wanted(&root)[0];
    let alive: Vec<u32> = (1..=3).filter(|n| *n != node).collect();
    let out = |lost| RootCommand::RemoveMember { node: NodeId(node), alive: alive.clone(), lost };
    let refused = check(&mut root, 4, out(false), Err(Errno::REFUSED));
    let RootOutcome::Refused { text, mend, .. } = refused else { unreachable!() };
    assert!(text.contains("alone") && mend.contains("--lost"), "{text}; {mend}");
    check(&mut root, 5, out(true), Ok(()));
    assert_eq!((root.lookup("alone"), root.load(NodeId(node))), (None, 0));
    let ended = root.ended(id(1)).unwrap().ended.clone().unwrap();
    assert_eq!(ended.exit_kind(), pando_abi::ExitKind::QuorumLost);
    check(&mut root, 6, forget(node), Ok(()));
    check(&mut root, 7, end(1), Ok(()));
}

#[test]
fn the_last_node_of_a_realm_cannot_be_removed() {
    let mut root = realm();
    check(&mut root, 3, remove(1), Ok(()));
    check(&mut root, 4, remove(2), Ok(()));
    check(&mut root, 5, remove(3), Err(Errno::REFUSED));
    assert_eq!(numbers(root.seats()), [3]);
}

#[test]
fn all_of_it_is_in_a_snapshot() {
    let mut root = wide(4);
    for command in [ticket(50), drain(4, true), RootCommand::SetReplaceAfter { ms: 5 }, admit(50, 9, 20)] {
        check(&mut root, 9, command, Ok(()));
    }
    let again = Root::from_snapshot(REALM, &root.snapshot()).unwrap();
    assert_eq!((&again, again.hash()), (&root, root.hash()));
    assert_eq!((again.replace_after_ms(), again.ticket(&key(50)).unwrap().used), (5, NodeId(5)));
}
