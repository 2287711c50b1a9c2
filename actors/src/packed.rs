//! An actor asleep on its own node: the same as an image, in fewer bytes and less time.
//!
//! Owns: a form that nobody but this process ever reads. What leaves the process is an [`crate::image`].
//!
//! ```text
//!  flags, replicas, home, id and node if they are others, numbers ..., capabilities ..., globals ..., the memory's delta to the end
//! ```
//!
//! 1. What [`pack`] wrote, [`unpack`] gives back: the same actor.
//! 2. Numbers take as many bytes as they need, seven bits in each; what is usually zero takes a bit or one byte.
//! 3. Bytes that [`pack`] did not write are refused and never trusted with an allocation.

use pando_abi::{ActorId, Address, Handle, Home, NodeId, Rights};

use crate::{
    CapKind, Capability,
    guest::State,
    image::Rested,
    table::{Kind, Table},
};

mod bits {
    pub(super) const UNDO: u8 = 1;
    pub(super) const STARTED: u8 = 2;
    /// The id is another one than the address says: a later life.
    pub(super) const OTHER_ID: u8 = 4;
    /// It lives on another node than the address says.
    pub(super) const OTHER_NODE: u8 = 8;

    pub(super) const HOME: u8 = 3;
    pub(super) const REPLY: u8 = 4;
    /// The address is the actor's own.
    pub(super) const OWN: u8 = 8;
    pub(super) const GRANT: u8 = 16;
    pub(super) const BADGE: u8 = 32;
    pub(super) const TOKEN: u8 = 64;
}

/// The bytes.
pub(crate) fn pack(state: &State, body: &Rested) -> Box<[u8]> {
    let mut out = Vec::with_capacity(256 + body.delta.len());
    let other = state.id != state.home.id;
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let moved = state.node != state.home.node;
    out.push(
        flag(state.undo, bits::UNDO)
            | flag(state.started, bits::STARTED)
            | flag(other, bits::OTHER_ID)
            | flag(moved, bits::OTHER_NODE),
    );
    out.push(state.replicas);
    out.push(state.home.home as u8);
    place(&mut out, state.home);
    if other {
        out.extend_from_slice(&state.id.0);
    }
    if moved {
        number(&mut out, state.node.0.into());
    }
    let table = &state.table;
    for n in [state.events, state.inbox.0.into(), state.inbox.1.into(), body.memory_bytes as u64] {
        number(&mut out, n);
    }
    for n in table.last() {
        number(&mut out, n);
    }
    number(&mut out, table.len() as u64);
    for (handle, held) in table.held() {
        number(&mut out, handle.0.into());
        capability(&mut out, held, state.home);
    }
    number(&mut out, table.free().count() as u64);
    table.free().for_each(|handle| number(&mut out, handle.0.into()));
    for kind in Kind::ALL {
        let ids = table.opened(kind);
        number(&mut out, ids.len() as u64);
        ids.iter().for_each(|id| number(&mut out, *id));
    }
    for global in &body.globals {
        number(&mut out, *global as u64);
        number(&mut out, (*global >> 64) as u64);
    }
    out.extend_from_slice(&body.delta);
    out.into()
}

/// The actor in what [`pack`] wrote. `globals`: how many its module has.
pub(crate) fn unpack(bytes: &[u8], globals: usize) -> Option<(State, Rested)> {
    let mut rest = Reader(bytes);
    let flags = rest.byte()?;
    let replicas = rest.byte()?;
    let home = Home::from_u32(rest.byte()?.into())?;
    let home = rest.place(home)?;
    let id = if flags & bits::OTHER_ID == 0 { home.id } else { ActorId(rest.sixteen()?) };
    let node = if flags & bits::OTHER_NODE == 0 { home.node } else { NodeId(rest.small()?) };
    let events = rest.number()?;
    let inbox = (rest.small()?, rest.small()?);
    let memory_bytes = usize::try_from(rest.number()?).ok()?;
    let last = [rest.number()?, rest.number()?, rest.number()?, rest.number()?];
    let held = rest.list(|rest| Some((Handle(rest.small()?), rest.capability(home)?)))?;
    let free = rest.list(|rest| rest.small().map(Handle))?;
    let open = [
        rest.list(Reader::number)?,
        rest.list(Reader::number)?,
        rest.list(Reader::number)?,
        rest.list(Reader::number)?,
    ];
    let table = Table::from_parts(held.into_iter(), free.into_iter(), last, open)?;
    let mut values = Vec::with_capacity(globals);
    for _ in 0..globals {
        values.push(u128::from(rest.number()?) | u128::from(rest.number()?) << 64);
    }
    let (undo, started) = (flags & bits::UNDO != 0, flags & bits::STARTED != 0);
    let state = State { id, home, node, replicas, undo, events, started, inbox, table };
    Some((state, Rested { memory_bytes, globals: values, delta: rest.0.to_vec() }))
}

fn number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn place(out: &mut Vec<u8>, address: Address) {
    number(out, address.node.0.into());
    out.extend_from_slice(&address.id.0);
}

fn capability(out: &mut Vec<u8>, held: &Capability, own: Address) {
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    out.push(
        held.address.home as u8
            | flag(held.kind == CapKind::Reply, bits::REPLY)
            | flag(held.address == own, bits::OWN)
            | flag(held.grant != 0, bits::GRANT)
            | flag(held.badge != 0, bits::BADGE)
            | flag(held.token != 0, bits::TOKEN),
    );
    if held.address != own {
        place(out, held.address);
    }
    number(out, held.rights.0.into());
    for n in [held.grant, held.badge, held.token] {
        if n != 0 {
            number(out, n);
        }
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn sixteen(&mut self) -> Option<[u8; 16]> {
        let (front, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*front)
    }

    fn number(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn place(&mut self, home: Home) -> Option<Address> {
        Some(Address { home, node: NodeId(self.small()?), id: ActorId(self.sixteen()?) })
    }

    fn capability(&mut self, own: Address) -> Option<Capability> {
        let flags = self.byte()?;
        let kind = if flags & bits::REPLY == 0 { CapKind::Actor } else { CapKind::Reply };
        let home = Home::from_u32((flags & bits::HOME).into())?;
        let address = if flags & bits::OWN == 0 { self.place(home)? } else { own };
        let rights = Rights(self.small()?);
        let mut given = |bit: u8| if flags & bit == 0 { Some(0) } else { self.number() };
        let (grant, badge, token) = (given(bits::GRANT)?, given(bits::BADGE)?, given(bits::TOKEN)?);
        Some(Capability { kind, address, rights, grant, badge, token })
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let len = usize::try_from(self.number()?).ok()?;
        // Each takes a byte at least.
        let mut all = Vec::with_capacity(len.min(self.0.len()));
        for _ in 0..len {
            all.push(one(self)?);
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u8) -> Address {
        Address::actor(NodeId(u32::from(n)), ActorId([n; 16]))
    }

    fn body(delta: &[u8]) -> Rested {
        Rested { memory_bytes: 65_536, globals: vec![7, u128::MAX], delta: delta.to_vec() }
    }

    fn state() -> State {
        let mut table = Table::default();
        let reply = Capability::reply(at(2), 1 << 60);
        let granted = Capability { grant: 5 << 32, badge: u64::MAX, ..Capability::actor(at(1), Rights::PEER) };
        let all = [
            Capability::actor(at(1), Rights::ALL),
            Capability::actor(Address::service(1), Rights::NONE),
            reply,
            granted,
        ];
        let handles: Vec<Handle> = all.into_iter().filter_map(|c| table.insert(c)).collect();
        table.remove(handles[1]);
        table.open(Kind::Call);
        table.open(Kind::Timer);
        table.forget_log();
        State {
            id: ActorId([9; 16]),
            home: at(1),
            node: NodeId(300),
            replicas: 3,
            undo: true,
            events: 1 << 40,
            started: true,
            inbox: (8192, 57_344),
            table,
        }
    }

    #[test]
    fn an_actor_that_was_packed_is_the_same() {
        let (state, body) = (state(), body(b"a delta"));
        let (again, rested) = unpack(&pack(&state, &body), 2).unwrap();
        assert_eq!(format!("{again:?}"), format!("{state:?}"));
        assert_eq!((rested.memory_bytes, rested.globals, rested.delta), (body.memory_bytes, body.globals, body.delta));
    }

    #[test]
    fn an_actor_that_has_just_been_born_is_small() {
        let birth = crate::Birth {
            id: at(1).id,
            home: at(1),
            parent: Capability::actor(at(2), Rights::CHILD_TO_PARENT),
            realm: None,
            node: NodeId(1),
            replicas: 0,
            undo: false,
        };
        assert!(pack(&State::new(&birth), &body(&[])).len() < 150);
    }

    #[test]
    fn bytes_that_were_cut_are_refused() {
        let packed = pack(&state(), &body(&[]));
        for len in 0..packed.len() {
            assert!(unpack(&packed[..len], 2).is_none(), "{len} bytes");
        }
    }
}
