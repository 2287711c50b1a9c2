//! What the root group promises, one by one.

use std::net::SocketAddr;

use pando_abi::{ActorId, Address, Errno, ExitKind, ModuleHash, NodeId, RealmId, SpawnSpec, limits};
use pando_raft::{Entry, Machine};

use super::*;

pub(super) const REALM: RealmId = RealmId([9; 32]);

pub(super) fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub(super) fn key(n: u8) -> [u8; 32] {
    [n; 32]
}

pub(super) fn id(n: u8) -> ActorId {
    ActorId([n; 16])
}

pub(super) fn module(n: u8) -> ModuleHash {
    ModuleHash([n; 32])
}

pub(super) fn founding(nodes: u32) -> RootCommand {
    let members =
        (1..=nodes).map(|n| Founder { node: NodeId(n), key: key(n as u8), addr: addr(7000 + n as u16) }).collect();
    RootCommand::Found { members, users: vec![key(200)] }
}

pub(super) fn group(n: u8) -> NewGroup {
    NewGroup {
        id: id(n),
        module: module(1),
        spec: SpawnSpec::new().to_bytes(),
        args: vec![n; 3],
        handles: vec![[n; 64]],
        parent: [7; 64],
        realm: false,
    }
}

pub(super) fn create(n: u8, replicas: u8, name: Option<&str>) -> RootCommand {
    RootCommand::CreateGroup {
        group: Box::new(group(n)),
        replicas,
        preferred: vec![],
        alive: vec![1, 2, 3],
        name: name.map(str::to_owned),
    }
}

fn register(name: &str, address: Address) -> RootCommand {
    RootCommand::RegisterName { name: name.to_owned(), address, module: module(1) }
}

pub(super) fn end(n: u8) -> RootCommand {
    RootCommand::EndGroup { id: id(n), kind: ExitKind::Killed as u16, code: 0, message: "by hand".into() }
}

/// A realm of three nodes that knows module 1.
pub(super) fn realm() -> Root {
    let mut root = Root::new(REALM);
    assert_eq!(root.command(1, founding(3)), RootOutcome::Done);
    let put = RootCommand::PutModule { hash: module(1), label: "counter".into(), size: 100 };
    assert_eq!(root.command(2, put), RootOutcome::Done);
    root
}

/// Applies, and demands that a refusal changes nothing and that the rules hold.
pub(super) fn check(root: &mut Root, index: u64, command: RootCommand, expected: Result<(), Errno>) -> RootOutcome {
    let before = root.clone();
    let outcome = root.command(index, command);
    assert_eq!(outcome.errno().map_or(Ok(()), Err), expected, "{outcome:?}");
    if expected.is_err() {
        assert_eq!(*root, before);
    }
    root.check().unwrap();
    outcome
}

pub(super) fn remove(node: u32) -> RootCommand {
    RootCommand::RemoveMember { node: NodeId(node), alive: vec![1, 2, 3], lost: false }
}

pub(super) fn forget(node: u32) -> RootCommand {
    RootCommand::ForgetMember { node: NodeId(node) }
}

fn actor(node: u32, n: u8) -> Address {
    Address::actor(NodeId(node), id(n))
}

fn entry(seq: u64, command: &RootCommand) -> Entry {
    Entry { origin: [5; 16], incarnation: 6, seq, payload: command.encode(), ..Entry::default() }
}

#[test]
fn before_the_founding_nothing_is_done() {
    let mut root = Root::new(REALM);
    check(&mut root, 1, RootCommand::AddUser { key: key(1) }, Err(Errno::REFUSED));
    check(&mut root, 2, create(1, 1, None), Err(Errno::REFUSED));
    assert!(!root.is_founded());
}

#[test]
fn the_first_founding_counts_and_only_the_same_one_may_be_repeated() {
    let mut root = Root::new(REALM);
    check(&mut root, 1, founding(3), Ok(()));
    let version = root.version();
    assert_eq!((root.voters().len(), root.next_node(), root.is_user(&key(200))), (3, NodeId(4), true));
    // In another order, with other addresses: the same founding.
    let RootCommand::Found { mut members, users } = founding(3) else { unreachable!() };
    members.reverse();
    members[0].addr = addr(1);
    check(&mut root, 2, RootCommand::Found { members, users }, Ok(()));
    assert_eq!((root.version(), root.member(NodeId(3)).unwrap().addr), (version, addr(7003)));
    check(&mut root, 3, founding(2), Err(Errno::EXISTS));
}

#[test]
fn a_founding_needs_nodes_with_numbers_and_keys_of_their_own() {
    let founder = |node, n| Founder { node: NodeId(node), key: key(n), addr: addr(1) };
    for members in [
        vec![],
        vec![founder(0, 1)],
        vec![founder(1, 1), founder(1, 2)],
        vec![founder(1, 1), founder(2, 1)],
        vec![founder(u32::MAX, 1)],
    ] {
        check(&mut Root::new(REALM), 1, RootCommand::Found { members, users: vec![] }, Err(Errno::BAD_REQUEST));
    }
}

#[test]
fn the_number_of_a_node_that_left_is_never_given_again() {
    let mut root = realm();
    let add = |n| RootCommand::AddMember { key: key(n), addr: addr(1), role: Role::Voter };
    let member = |n| RootOutcome::Member { node: NodeId(n) };
    assert_eq!(check(&mut root, 3, add(4), Ok(())), member(4));
    // The same key is the same node.
    assert_eq!(check(&mut root, 4, add(4), Ok(())), member(4));
    check(&mut root, 5, remove(4), Ok(()));
    check(&mut root, 5, forget(4), Ok(()));
    check(&mut root, 6, remove(4), Ok(()));
    check(&mut root, 7, remove(5), Err(Errno::NOT_FOUND));
    // Even for the same key.
    assert_eq!(check(&mut root, 8, add(4), Ok(())), member(5));
    let observe = RootCommand::AddMember { key: key(4), addr: addr(1), role: Role::Observer };
    check(&mut root, 9, observe, Err(Errno::EXISTS));
}

#[test]
fn who_may_connect_follows_the_members() {
    let mut root = realm();
    check(&mut root, 3, RootCommand::SetAddr { node: NodeId(2), addr: addr(9) }, Ok(()));
    check(&mut root, 4, RootCommand::SetAddr { node: NodeId(8), addr: addr(9) }, Err(Errno::NOT_FOUND));
    check(&mut root, 5, RootCommand::AddUser { key: key(201) }, Ok(()));
    let observer = RootCommand::AddMember { key: key(4), addr: addr(4), role: Role::Observer };
    check(&mut root, 6, observer, Ok(()));
    check(&mut root, 7, remove(1), Ok(()));
    check(&mut root, 7, forget(1), Ok(()));
    let set = root.member_set();
    let members: Vec<_> = set.members.iter().map(|m| (m.node.0, m.key.0, m.addr.port())).collect();
    assert_eq!(members, [(2, key(2), 9), (3, key(3), 7003), (4, key(4), 4)]);
    assert_eq!(set.users.iter().map(|user| user.0).collect::<Vec<_>>(), [key(200), key(201)]);
    assert_eq!((set.realm, root.voters()), (REALM, vec![NodeId(2), NodeId(3)]));
}

#[test]
fn a_name_has_one_holder() {
    let mut root = realm();
    check(&mut root, 3, register("hits", actor(1, 1)), Ok(()));
    let version = root.version();
    check(&mut root, 4, register("hits", actor(1, 1)), Ok(()));
    assert_eq!(root.version(), version);
    check(&mut root, 5, register("hits", actor(1, 2)), Err(Errno::EXISTS));
    let unregister = |holder| RootCommand::UnregisterName { name: "hits".into(), holder };
    check(&mut root, 6, unregister(Some(actor(1, 2))), Err(Errno::DENIED));
    check(&mut root, 7, unregister(Some(actor(1, 1))), Ok(()));
    check(&mut root, 8, unregister(None), Err(Errno::NOT_FOUND));
    check(&mut root, 9, register("hits", actor(1, 2)), Ok(()));
    assert_eq!(root.lookup("hits").unwrap().address, actor(1, 2));
}

#[test]
fn names_are_letters_digits_and_four_signs() {
    let mut root = realm();
    let longest = "x".repeat(limits::NAME_BYTES_MAX);
    for (index, name) in ["a", "A-b_c.d/9", &longest].into_iter().enumerate() {
        check(&mut root, 3 + index as u64, register(name, actor(1, 1)), Ok(()));
    }
    let longer = "x".repeat(limits::NAME_BYTES_MAX + 1);
    for name in ["", "a b", "é", "a\n", "a:b", &longer, &"é".repeat(200)] {
        let outcome = check(&mut root, 9, register(name, actor(1, 1)), Err(Errno::BAD_REQUEST));
        let RootOutcome::Refused { text, .. } = outcome else { unreachable!() };
        assert!(text.len() < 200 && !text.contains('\n'), "{text:?}");
    }
}

#[test]
fn names_are_listed_by_prefix_and_by_holder() {
    let mut root = realm();
    for (index, name) in ["b/2", "a", "b/1", "b", "c"].into_iter().enumerate() {
        check(&mut root, 3 + index as u64, register(name, actor(1 + index as u32 % 2, 1)), Ok(()));
    }
    let names = |prefix| root.names(prefix).map(|entry| entry.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names(""), ["a", "b", "b/1", "b/2", "c"]);
    assert_eq!(names("b/"), ["b/1", "b/2"]);
    assert_eq!(names("x"), [""; 0]);
    assert_eq!(root.names_of(actor(1, 1)).collect::<Vec<_>>(), ["b/1", "b/2", "c"]);
    check(&mut root, 9, RootCommand::UnregisterAddress { address: actor(1, 1) }, Ok(()));
    let left: Vec<_> = root.names("").map(|entry| entry.name.as_str()).collect();
    assert_eq!(left, ["a", "b"]);
}

#[test]
fn nothing_that_is_not_there_can_hold_a_name() {
    let mut root = realm();
    check(&mut root, 3, register("a", actor(9, 1)), Err(Errno::NOT_FOUND));
    check(&mut root, 4, register("a", actor(0, 1)), Err(Errno::BAD_REQUEST));
    check(&mut root, 5, register("a", Address::group(id(1))), Err(Errno::NOT_FOUND));
    check(&mut root, 6, create(1, 1, None), Ok(()));
    check(&mut root, 7, register("a", Address::group(id(1))), Ok(()));
    check(&mut root, 8, end(1), Ok(()));
    assert_eq!(root.lookup("a"), None);
    check(&mut root, 9, register("a", Address::group(id(1))), Err(Errno::DEAD));
    check(&mut root, 10, register("b", actor(3, 1)), Ok(()));
    check(&mut root, 11, remove(3), Ok(()));
    check(&mut root, 12, forget(3), Ok(()));
    assert_eq!(root.lookup("b"), None);
}

#[test]
fn of_several_modules_with_one_label_the_latest_is_meant() {
    let mut root = realm();
    let put = |n, label: &str| RootCommand::PutModule { hash: module(n), label: label.into(), size: 100 };
    let meant = |root: &Root| root.module_by_label("counter").map(|module| module.hash.0[0]);
    check(&mut root, 3, put(2, "counter"), Ok(()));
    assert_eq!(meant(&root), Some(2));
    check(&mut root, 4, put(1, "counter"), Ok(()));
    assert_eq!(meant(&root), Some(1));
    // Put again without a label it keeps the one it has, and nothing changes.
    let version = root.version();
    check(&mut root, 5, put(1, ""), Ok(()));
    check(&mut root, 6, put(1, "counter"), Ok(()));
    assert_eq!((meant(&root), root.version()), (Some(1), version));
    check(&mut root, 7, put(1, "other"), Ok(()));
    assert_eq!((meant(&root), root.modules().count()), (Some(2), 2));
    check(&mut root, 8, put(3, ""), Ok(()));
    assert_eq!(root.module_by_label(""), None);
}

#[test]
fn a_module_that_lies_about_itself_is_refused() {
    let mut root = realm();
    let put = |n, label: &str, size| RootCommand::PutModule { hash: module(n), label: label.into(), size };
    check(&mut root, 3, put(1, "counter", 101), Err(Errno::BAD_REQUEST));
    check(&mut root, 4, put(0, "zero", 1), Err(Errno::BAD_REQUEST));
    check(&mut root, 5, put(2, "bell\u{7}", 1), Err(Errno::BAD_REQUEST));
    check(&mut root, 6, put(2, "large", limits::MODULE_BYTES_MAX as u64 + 1), Err(Errno::LIMIT));
}

#[test]
fn a_group_is_created_placed_and_named_in_one_step_or_not_at_all() {
    let mut root = realm();
    let outcome = check(&mut root, 7, create(1, 3, Some("hits")), Ok(()));
    let record = root.group(id(1)).unwrap();
    assert_eq!(outcome, RootOutcome::Group { record: Box::new(record.clone()) });
    assert_eq!((record.voters.as_slice(), record.created_at, record.ended.is_none()), (&[1, 2, 3][..], 7, true));
    assert_eq!(root.lookup("hits").unwrap().address, record.address());
    assert_eq!(root.groups_of(NodeId(2)).map(|group| group.id).collect::<Vec<_>>(), [id(1)]);

    check(&mut root, 8, create(2, 1, Some("hits")), Err(Errno::EXISTS));
    check(&mut root, 8, create(2, 1, Some("no name")), Err(Errno::BAD_REQUEST));
    check(&mut root, 8, create(2, 0, None), Err(Errno::BAD_REQUEST));
    check(&mut root, 8, create(2, 8, None), Err(Errno::BAD_REQUEST));
    assert_eq!(root.group(id(2)), None);
}

#[test]
fn a_group_that_cannot_be_is_refused_with_the_mend() {
    let mut root = realm();
    let outcome = check(&mut root, 3, create(1, 4, None), Err(Errno::REFUSED));
    let expected = RootOutcome::Refused {
        errno: Errno::REFUSED.code(),
        text: "4 replicas need 4 voting nodes that are up, and there are 3 (n1, n2, n3)".into(),
        mend: "start another node, or ask for 3 replicas or fewer".into(),
    };
    assert_eq!(outcome, expected);
    let with = |change: fn(&mut NewGroup)| {
        let mut group = group(1);
        change(&mut group);
        let (preferred, alive) = (vec![], vec![1, 2, 3]);
        RootCommand::CreateGroup { group: Box::new(group), replicas: 1, preferred, alive, name: None }
    };
    check(&mut root, 4, with(|group| group.module = module(2)), Err(Errno::NO_MODULE));
    check(&mut root, 5, with(|group| group.spec[50] = 9), Err(Errno::BAD_REQUEST));
    check(&mut root, 6, with(|group| group.spec[0] = 9), Err(Errno::BAD_REQUEST));
    check(&mut root, 7, with(|group| group.args = vec![0; limits::MESSAGE_BYTES_MAX + 1]), Err(Errno::LIMIT));
    check(
        &mut root,
        8,
        with(|group| group.handles = vec![[0; 64]; limits::MESSAGE_HANDLES_MAX + 1]),
        Err(Errno::LIMIT),
    );
}

#[test]
fn the_same_id_is_the_same_group_while_it_lives_and_dead_afterwards() {
    let mut root = realm();
    let first = check(&mut root, 3, create(1, 2, None), Ok(()));
    let version = root.version();
    assert_eq!(check(&mut root, 4, create(1, 2, None), Ok(())), first);
    assert_eq!(root.version(), version);
    let mut stranger = group(1);
    stranger.parent = [8; 64];
    let (preferred, alive) = (vec![], vec![1, 2, 3]);
    let stranger = RootCommand::CreateGroup { group: Box::new(stranger), replicas: 2, preferred, alive, name: None };
    check(&mut root, 5, stranger, Err(Errno::EXISTS));
    check(&mut root, 6, end(1), Ok(()));
    check(&mut root, 7, create(1, 2, None), Err(Errno::DEAD));
}

#[test]
fn a_group_that_ended_is_remembered_without_its_arguments_and_the_first_end_counts() {
    let mut root = realm();
    check(&mut root, 3, create(1, 3, Some("hits")), Ok(()));
    check(&mut root, 4, register("other", Address::group(id(1))), Ok(()));
    let message = "é".repeat(ENDED_MESSAGE_BYTES_MAX);
    let fault = RootCommand::EndGroup { id: id(1), kind: ExitKind::Fault as u16, code: -3, message };
    check(&mut root, 5, fault, Ok(()));
    check(&mut root, 6, end(1), Ok(()));
    assert_eq!((root.group(id(1)), root.names("").count(), root.load(NodeId(1))), (None, 0, 0));
    let group = root.ended(id(1)).unwrap();
    let ended = group.ended.as_ref().unwrap();
    assert_eq!((ended.exit_kind(), ended.code, ended.at), (ExitKind::Fault, -3, 5));
    assert_eq!((ended.message.len(), group.args.len(), group.handles.len()), (ENDED_MESSAGE_BYTES_MAX, 0, 0));
    check(&mut root, 7, end(2), Err(Errno::NOT_FOUND));
    check(&mut root, 8, create(3, 1, None), Ok(()));
    let unknown = RootCommand::EndGroup { id: id(3), kind: 99, code: 0, message: String::new() };
    check(&mut root, 9, unknown, Err(Errno::BAD_REQUEST));
}

#[test]
fn only_so_many_ended_groups_are_remembered_the_latest_ones() {
    let mut root = realm();
    let ident = |n: u32| {
        let mut id = [1; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        ActorId(id)
    };
    let count = ENDED_MAX as u32 + 2;
    for n in 0..count {
        let mut group = group(1);
        group.id = ident(n);
        let (preferred, alive) = (vec![], vec![1, 2, 3]);
        let create = RootCommand::CreateGroup { group: Box::new(group), replicas: 1, preferred, alive, name: None };
        assert_eq!(root.command(10 + 2 * n as u64, create).errno(), None);
        let end = RootCommand::EndGroup { id: ident(n), kind: 0, code: 0, message: String::new() };
        assert_eq!(root.command(11 + 2 * n as u64, end), RootOutcome::Done);
    }
    root.check().unwrap();
    let latest: Vec<ActorId> = root.ended_groups().map(|group| group.id).collect();
    assert_eq!((latest.len(), latest[0], latest[ENDED_MAX - 1]), (ENDED_MAX, ident(count - 1), ident(2)));
}

#[test]
fn arguments_of_all_groups_together_are_bounded() {
    let mut root = realm();
    let create = |n: u8| {
        let mut group = group(n);
        group.args = vec![n; limits::MESSAGE_BYTES_MAX];
        RootCommand::CreateGroup { group: Box::new(group), replicas: 1, preferred: vec![], alive: vec![1], name: None }
    };
    let fit = (ARGS_BYTES_MAX / limits::MESSAGE_BYTES_MAX) as u8;
    for n in 0..fit {
        assert_eq!(root.command(3, create(n)).errno(), None);
    }
    check(&mut root, 4, create(fit), Err(Errno::LIMIT));
    check(&mut root, 5, end(0), Ok(()));
    check(&mut root, 6, create(fit), Ok(()));
}

#[test]
fn voters_are_members_that_vote_each_named_once() {
    let mut root = realm();
    let observer = RootCommand::AddMember { key: key(4), addr: addr(4), role: Role::Observer };
    check(&mut root, 3, observer, Ok(()));
    check(&mut root, 4, create(1, 1, None), Ok(()));
    let set = |voters: &[u32]| RootCommand::SetVoters { id: id(1), voters: voters.to_vec() };
    check(&mut root, 5, set(&[4]), Err(Errno::REFUSED));
    check(&mut root, 5, set(&[5]), Err(Errno::NOT_FOUND));
    check(&mut root, 5, set(&[]), Err(Errno::BAD_REQUEST));
    check(&mut root, 5, set(&[1, 1]), Err(Errno::BAD_REQUEST));
    check(&mut root, 5, set(&[3, 1]), Ok(()));
    let first = root.group(id(1)).unwrap().voters.clone();
    assert_eq!(root.group(id(1)).unwrap().wanted, [1, 3]);
    check(&mut root, 5, RootCommand::Seated { id: id(1), voters: vec![1, 3], at: 4 }, Ok(()));
    assert_eq!(root.group(id(1)).unwrap().voter_ids(), [NodeId(1), NodeId(3)]);
    assert_eq!(([1, 2, 3].map(|node| root.load(NodeId(node))), first.len()), ([1, 0, 1], 1));
    // An observer holds nothing of a new group either, even if it is preferred.
    let (preferred, alive) = (vec![4], vec![1, 2, 3, 4]);
    let create = RootCommand::CreateGroup { group: Box::new(group(2)), replicas: 1, preferred, alive, name: None };
    check(&mut root, 6, create, Ok(()));
    assert_eq!(root.group(id(2)).unwrap().voters, [2]);
    check(&mut root, 7, RootCommand::SetVoters { id: id(9), voters: vec![1] }, Err(Errno::NOT_FOUND));
}

#[test]
fn a_repeated_key_gets_its_first_outcome_whatever_became_of_things_since() {
    let mut root = realm();
    let one = entry(1, &register("hits", actor(1, 1)));
    let two = entry(2, &register("hits", actor(1, 2)));
    assert_eq!(root.apply(3, &one), RootOutcome::Done);
    let refused = root.apply(4, &two);
    assert_eq!(refused.errno(), Some(Errno::EXISTS));
    let gone = entry(3, &RootCommand::UnregisterName { name: "hits".into(), holder: None });
    assert_eq!(root.apply(5, &gone), RootOutcome::Done);
    let after = root.clone();
    assert_eq!(root.apply(6, &one), RootOutcome::Done);
    assert_eq!(root.apply(7, &two), refused);
    assert_eq!(root.apply(8, &gone), RootOutcome::Done);
    assert_eq!((root.lookup("hits"), &root), (None, &after));
}

#[test]
fn a_repeated_creation_gets_the_group_as_it_is_now_or_hears_that_it_is_dead() {
    let mut root = realm();
    let create = entry(1, &create(1, 3, None));
    assert!(matches!(root.apply(3, &create), RootOutcome::Group { .. }));
    root.command(4, RootCommand::SetVoters { id: id(1), voters: vec![1] });
    let RootOutcome::Group { record } = root.apply(5, &create) else { unreachable!() };
    assert_eq!(record.wanted, [1]);
    root.command(6, end(1));
    let RootOutcome::Refused { errno, text, .. } = root.apply(7, &create) else { unreachable!() };
    assert_eq!((errno, text.as_str()), (Errno::DEAD.code(), "group/01010101 has ended: killed"));
}

#[test]
fn malformed_commands_change_nothing_and_are_refused_alike_everywhere() {
    let (mut a, mut b) = (realm(), realm());
    let good = create(1, 3, Some("hits")).encode();
    let mut payloads = vec![vec![], vec![0xff; 200], vec![0; 4096], vec![0; COMMAND_BYTES_MAX + 1]];
    payloads.extend((0..good.len()).step_by(7).map(|len| good[..len].to_vec()));
    for (seq, payload) in payloads.into_iter().enumerate() {
        let before = a.clone();
        let entry = Entry { origin: [5; 16], seq: 1 + seq as u64, payload, ..Entry::default() };
        let outcome = a.apply(seq as u64, &entry);
        // At another place in memory.
        let _shift = vec![0u8; 24 * seq];
        let copy = Entry { payload: entry.payload.clone(), ..entry };
        assert_eq!(b.apply(seq as u64, &copy), outcome);
        assert_eq!((outcome.errno(), &a), (Some(Errno::BAD_REQUEST), &before));
    }
}

#[test]
fn commands_and_outcomes_come_back_as_they_went() {
    let mut root = realm();
    for command in [
        founding(3),
        RootCommand::SetAddr { node: NodeId(1), addr: "[::1]:9".parse().unwrap() },
        RootCommand::UnregisterName { name: "a".into(), holder: Some(actor(2, 3)) },
        RootCommand::UnregisterName { name: "a".into(), holder: None },
        register("x", Address::service(1)),
        create(1, 3, Some("hits")),
        end(1),
    ] {
        assert_eq!(RootCommand::decode(&command.encode()), Ok(command.clone()));
        let outcome = root.command(3, command);
        assert_eq!(RootOutcome::decode(&outcome.encode()), Ok(outcome));
    }
    let mut largest = group(9);
    largest.args = vec![1; limits::MESSAGE_BYTES_MAX];
    largest.handles = vec![[2; 64]; limits::MESSAGE_HANDLES_MAX];
    let largest = RootCommand::CreateGroup {
        group: Box::new(largest),
        replicas: 3,
        preferred: vec![1; limits::NODES_MAX],
        alive: (1..=limits::NODES_MAX as u32).collect(),
        name: Some("x".repeat(limits::NAME_BYTES_MAX)),
    };
    assert_eq!(RootCommand::decode(&largest.encode()), Ok(largest.clone()));
    let outcome = root.command(4, largest);
    assert!(matches!(outcome, RootOutcome::Group { .. }));
    assert_eq!(RootOutcome::decode(&outcome.encode()), Ok(outcome));
}

#[test]
fn a_snapshot_of_a_damaged_or_foreign_state_is_refused_and_leaves_the_machine_as_it_was() {
    let mut root = realm();
    root.command(3, create(1, 3, Some("hits")));
    root.apply(4, &entry(1, &register("other", actor(1, 1))));
    let image = root.snapshot();
    assert_eq!(Root::from_snapshot(REALM, &image).as_ref(), Ok(&root));
    assert_eq!(Root::from_snapshot(RealmId([1; 32]), &image), Err(ImageError::Realm(REALM)));
    assert_eq!(Root::from_snapshot(REALM, &[]), Err(ImageError::Foreign));
    let mut later = image.clone();
    later[8] = 9;
    assert_eq!(Root::from_snapshot(REALM, &later), Err(ImageError::Format(9)));

    let mut machine = RootMachine::new(RootView::new(REALM));
    machine.apply(1, &entry(1, &founding(2)));
    let before = machine.view().snapshot();
    let (mut refused, mut unseen) = (0, 0);
    for at in 0..image.len() {
        let mut damaged = image.clone();
        damaged[at] ^= 0x10;
        match machine.restore(&damaged) {
            Err(_) => {
                refused += 1;
                assert_eq!(machine.view().snapshot(), before);
            }
            // A bit that carries nothing: the state is the same.
            Ok(()) => {
                unseen += 1;
                assert_eq!(*machine.view().snapshot(), root);
                machine.restore(&before.snapshot()).unwrap();
            }
        }
    }
    assert!(refused > unseen, "{refused} refused, {unseen} unseen");
}

#[test]
fn readers_see_a_change_before_its_proposer_hears_of_it_and_keep_what_they_took() {
    let view = RootView::new(REALM);
    let mut machine = RootMachine::new(view.clone());
    let mut changes = view.changes();
    let kept = view.snapshot();
    let applied = machine.apply(1, &entry(1, &founding(3)));
    assert_eq!(RootOutcome::decode(&applied.outcome), Ok(RootOutcome::Done));
    assert_eq!(applied.effects_digest, *blake3::hash(&applied.outcome).as_bytes());
    assert!(view.read(Root::is_founded) && !kept.is_founded());
    assert!(changes.has_changed().unwrap());
    assert_eq!((*changes.borrow_and_update(), view.version()), (1, 1));
    // A repeat rings no bell.
    machine.apply(2, &entry(2, &founding(3)));
    assert!(!changes.has_changed().unwrap());
    // Without a reader the state is changed in place.
    drop(kept);
    let place = std::sync::Arc::as_ptr(&view.snapshot());
    machine.apply(3, &entry(3, &RootCommand::AddUser { key: key(1) }));
    assert_eq!(std::sync::Arc::as_ptr(&view.snapshot()), place);
    // A machine that begins anew begins with nothing.
    let machine = RootMachine::new(view.clone());
    assert!(!machine.view().read(Root::is_founded));
}

#[test]
fn the_hash_is_of_the_state_and_moves_with_everything_in_it() {
    let mut machine = RootMachine::new(RootView::new(REALM));
    let mut seen = vec![machine.batch_end()];
    let commands = [
        founding(3),
        RootCommand::SetAddr { node: NodeId(1), addr: addr(1) },
        RootCommand::AddUser { key: key(9) },
        RootCommand::PutModule { hash: module(1), label: "counter".into(), size: 1 },
        create(1, 3, Some("hits")),
        create(1, 3, None),
        end(1),
    ];
    for (seq, command) in commands.iter().enumerate() {
        machine.apply(1 + seq as u64, &entry(1 + seq as u64, command));
        let hash = machine.batch_end();
        assert!(!seen.contains(&hash), "{command:?}");
        assert_eq!(machine.batch_end(), hash);
        seen.push(hash);
    }
    // What repeats changes nothing.
    machine.apply(9, &entry(7, &commands[6]));
    assert_eq!(machine.batch_end(), seen[7]);
}
