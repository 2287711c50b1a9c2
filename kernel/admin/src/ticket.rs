//! A ticket: what a person carries from a realm to a machine that shall become one of its nodes.
//!
//! Owns: its text. Does not know: whether it is good; the realm's root group says so.
//!
//! ```text
//! pando1 and, in base32 (RFC 4648, small letters, no padding):
//!  0       32                64      65
//!  | realm | seed of its key | count | node u32, key 32, 4 or 6, address, port u16 | ... | check u32
//! ```
//!
//! 1. The seed is drawn where the ticket is asked for and travels in the ticket only: nodes know the public half.
//! 2. Whoever has the text can have one node admitted, once, until it expires. It names the keys of the nodes to ask, so that
//!    nobody else can take it from who shows it.
//! 3. A mistyped text is seen as one before anything is asked.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use pando_abi::{NodeId, RealmId};
use pando_transport::{Identity, Member, PublicKey};

use crate::protocol::Contact;

const FRONT: &str = "pando1";
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Characters of a ticket at most.
const TEXT_MAX: usize = 2_048;
/// Nodes in a ticket at most.
const NODES_MAX: usize = 16;

/// What may be shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The realm.
    pub realm: RealmId,
    /// Nodes that admit.
    pub nodes: Vec<Member>,
    seed: [u8; 32],
}

/// Never prints the seed.
impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({:.8}, {} nodes)", self.realm, self.nodes.len())
    }
}

/// Text that is no ticket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this is not a ticket, or not all of one: it begins with `pando1` and is copied as a whole")]
pub struct NoTicket;

impl Ticket {
    /// The secret of a ticket to come.
    ///
    /// # Errors
    /// If the system gives no randomness.
    #[expect(
        clippy::disallowed_methods,
        reason = "a secret is drawn where it is made, before anything of it is replicated"
    )]
    pub fn draw() -> Result<[u8; 32], getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(seed)
    }

    /// The key that whoever has the secret can prove.
    pub fn key(seed: [u8; 32]) -> PublicKey {
        Identity::from_seed(seed).public()
    }

    /// The ticket of a realm that knows its key.
    pub fn new(realm: RealmId, seed: [u8; 32], nodes: Vec<Member>) -> Ticket {
        Ticket { realm, nodes, seed }
    }

    /// Proves the ticket.
    pub fn identity(&self) -> Identity {
        Identity::from_seed(self.seed)
    }
}

impl Contact {
    /// As a member of the realm.
    pub fn member(&self) -> Option<Member> {
        let node = NodeId(self.node);
        let addr = self.addr.parse().ok()?;
        (node != NodeId::NONE).then_some(Member { node, key: PublicKey(self.key), addr })
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.nodes.get(..NODES_MAX).unwrap_or(&self.nodes);
        let mut bytes = [self.realm.0, self.seed].concat();
        bytes.push(nodes.len() as u8);
        for member in nodes {
            bytes.extend_from_slice(&member.node.0.to_le_bytes());
            bytes.extend_from_slice(&member.key.0);
            match member.addr.ip() {
                IpAddr::V4(ip) => {
                    bytes.push(4);
                    bytes.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    bytes.push(6);
                    bytes.extend_from_slice(&ip.octets());
                }
            }
            bytes.extend_from_slice(&member.addr.port().to_le_bytes());
        }
        bytes.extend_from_slice(&check(&bytes).to_le_bytes());
        f.write_str(FRONT)?;
        f.write_str(&encode(&bytes))
    }
}

impl FromStr for Ticket {
    type Err = NoTicket;

    fn from_str(text: &str) -> Result<Ticket, NoTicket> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).take(TEXT_MAX).collect();
        let bytes = decode(text.strip_prefix(FRONT).ok_or(NoTicket)?).ok_or(NoTicket)?;
        let (bytes, sum) = bytes.split_last_chunk::<4>().ok_or(NoTicket)?;
        if check(bytes) != u32::from_le_bytes(*sum) {
            return Err(NoTicket);
        }
        let mut reader = Reader(bytes);
        let (realm, seed, count) = (reader.take()?, reader.take()?, u8::from_le_bytes(reader.take()?));
        let mut nodes = Vec::new();
        for _ in 0..count {
            let (node, key) = (NodeId(u32::from_le_bytes(reader.take()?)), PublicKey(reader.take()?));
            let ip = match reader.take()? {
                [4] => IpAddr::V4(Ipv4Addr::from(reader.take::<4>()?)),
                [6] => IpAddr::V6(Ipv6Addr::from(reader.take::<16>()?)),
                _ => return Err(NoTicket),
            };
            let addr = SocketAddr::new(ip, u16::from_le_bytes(reader.take()?));
            nodes.push(Member { node, key, addr });
        }
        let whole = reader.0.is_empty() && (1..=NODES_MAX).contains(&nodes.len());
        if whole { Ok(Ticket { realm: RealmId(realm), nodes, seed }) } else { Err(NoTicket) }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], NoTicket> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(NoTicket)?;
        self.0 = rest;
        Ok(*taken)
    }
}

/// FNV-1a (Fowler, Noll, Vo): it only has to see a slip of the hand.
fn check(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[expect(clippy::indexing_slicing, reason = "five bits are a number below 32, and there are 32 letters")]
fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    let (mut held, mut bits) = (0u32, 0);
    for byte in bytes {
        (held, bits) = (held << 8 | u32::from(*byte), bits + 8);
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(LETTERS[(held >> bits) as usize & 31]));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        out.push(char::from(LETTERS[(held << (5 - bits)) as usize & 31]));
    }
    out
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 5 / 8);
    let (mut held, mut bits) = (0u32, 0);
    for letter in text.bytes() {
        let value = LETTERS.iter().position(|known| *known == letter.to_ascii_lowercase())?;
        (held, bits) = (held << 5 | value as u32, bits + 5);
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(nodes: u8) -> Ticket {
        let member = |n: u8| Member {
            node: NodeId(n.into()),
            key: PublicKey([n; 32]),
            addr: if n.is_multiple_of(2) { "[::1]:7000" } else { "10.0.0.7:65535" }.parse().unwrap(),
        };
        Ticket::new(RealmId([7; 32]), [9; 32], (1..=nodes).map(member).collect())
    }

    #[test]
    fn a_ticket_comes_back_as_it_went_also_in_lines_and_capitals() {
        for nodes in 1..=3 {
            let text = ticket(nodes).to_string();
            assert_eq!(text.parse(), Ok(ticket(nodes)), "{text}");
            let (left, right) = text.split_at(40);
            assert_eq!(format!(" {left}\n  {}\n", right.to_uppercase()).parse(), Ok(ticket(nodes)));
        }
    }

    #[test]
    fn a_slip_of_the_hand_is_seen() {
        let text = ticket(2).to_string();
        assert_eq!("".parse::<Ticket>(), Err(NoTicket));
        for at in FRONT.len()..text.len() {
            assert_eq!(text[..at].parse::<Ticket>(), Err(NoTicket), "cut at {at}");
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'a' { b'q' } else { b'a' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert_eq!(wrong.parse::<Ticket>(), Err(NoTicket), "{at}");
        }
    }

    #[test]
    fn the_secret_is_in_the_text_and_nowhere_else() {
        let ticket = ticket(1);
        assert_eq!(ticket.identity().public(), Ticket::key([9; 32]));
        assert!(!format!("{ticket:?}").contains("9, 9"));
    }
}
