//! Commands of every kind and a state that has had them, for tests that damage bytes.

use std::net::SocketAddr;

use pando_abi::{ActorId, Address, ExitKind, ModuleHash, NodeId, RealmId, SpawnSpec};

use super::{Founder, MovedEntry, NewGroup, Role, Root, RootCommand};

/// Commands, what each was answered, and the state afterwards.
pub(crate) fn samples() -> (Vec<Vec<u8>>, Vec<Vec<u8>>, Root) {
    let mut root = Root::new(RealmId([9; 32]));
    let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let module = ModuleHash([1; 32]);
    let founder = |n: u32| Founder { node: NodeId(n), key: [n as u8; 32], addr: addr(7000 + n as u16) };
    let group = |n: u8| NewGroup {
        id: ActorId([n; 16]),
        module,
        spec: SpawnSpec::new().to_bytes(),
        args: vec![n; 20],
        handles: vec![[0; 64]],
        parent: [0; 64],
        realm: true,
    };
    let create = |n: u8, name: &str| RootCommand::CreateGroup {
        group: Box::new(group(n)),
        replicas: 3,
        preferred: vec![2],
        alive: vec![1, 2, 3],
        name: Some(name.to_owned()),
    };
    let actor = Address::actor(NodeId(2), ActorId([3; 16]));
    let moved =
        |address, n| MovedEntry { address, node: NodeId(n), life: 4, via: NodeId(2), via_life: 5, mark: n.into() };
    let commands = [
        RootCommand::Found { members: (1..=4).map(founder).collect(), users: vec![[200; 32]] },
        RootCommand::PutModule { hash: module, label: "counter".into(), size: 100 },
        RootCommand::AddUser { key: [201; 32] },
        RootCommand::AddMember { key: [9; 32], addr: addr(9), role: Role::Observer },
        RootCommand::SetAddr { node: NodeId(1), addr: "[::1]:9".parse().unwrap_or(addr(8)) },
        create(1, "hits"),
        create(2, "misses"),
        create(3, "hits"),
        RootCommand::RegisterName { name: "a/b".into(), address: actor, module },
        RootCommand::RegisterName { name: "c".into(), address: actor, module },
        RootCommand::UnregisterName { name: "c".into(), holder: Some(actor) },
        RootCommand::SetVoters { id: ActorId([1; 16]), voters: vec![1, 3] },
        RootCommand::EndGroup {
            id: ActorId([2; 16]),
            kind: ExitKind::Killed as u16,
            code: 0,
            message: "by hand".into(),
        },
        RootCommand::RemoveMember { node: NodeId(4), alive: vec![1, 2, 3], lost: false },
        RootCommand::UnregisterAddress { address: Address::actor(NodeId(1), ActorId([8; 16])) },
        RootCommand::MoveActor { to: moved(actor, 3), from: NodeId(2), before: 0 },
        RootCommand::MoveActor {
            to: moved(Address::actor(NodeId(1), ActorId([5; 16])), 2),
            from: NodeId(1),
            before: 0,
        },
        RootCommand::EndMoved { address: Address::actor(NodeId(1), ActorId([5; 16])), mark: 2 },
        RootCommand::ForgetMove { address: actor, mark: 3 },
    ];
    let encoded = commands.iter().map(RootCommand::encode).collect();
    let outcomes =
        commands.into_iter().zip(1..).map(|(command, index)| root.command(index, command).encode()).collect();
    (encoded, outcomes, root)
}
