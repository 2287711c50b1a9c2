//! One connection to another node, from the first packet to the last: handshake, key, hello, then the live session.
//!
//! Owns: the order of these steps. Does not decide which connection counts; that is [`crate::session`], whose orders come
//! through a channel that closes when the link is forgotten.
//!
//! 1. Nothing is said or read before the proved key is known to be a member's (or a user's).
//! 2. Every end has a reason, and the reason is logged here and told to the other side.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use quinn::ConnectionError;
use tokio::sync::mpsc;

use super::node::{Node, doors::Answer};
use super::wire::Wire;
use super::{live, tls, user};
use crate::close::{Close, CloseCode};
use crate::frame::{self, Decoder, Kind};
use crate::hello::{HELLO_BYTES_MAX, Hello, Role};
use crate::identity::PublicKey;
use crate::member::Member;
use crate::session::LinkId;

/// What the machine wants done on a link.
pub(super) enum Order {
    Hello,
    Go,
    Up(Arc<Wire>),
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// This side refuses to go on.
    Refuse(Close),
    /// The other side has ended all its streams in good order.
    Closed,
    /// The other side closed the connection.
    Told(Close),
    /// Nobody closed it: it could not be made, or broke.
    Broke(String),
    /// This side has closed it already, for a reason that was logged then.
    Forgotten,
}

impl End {
    /// Why a connection that is closed is closed.
    pub fn of(connection: &quinn::Connection) -> End {
        match connection.close_reason() {
            Some(error) => End::from(error),
            None => End::Broke("a stream broke off".to_owned()),
        }
    }

    /// For people.
    pub fn reason(&self) -> String {
        match self {
            End::Refuse(close) => close.to_string(),
            End::Closed => "closed in good order".to_owned(),
            End::Told(close) => format!("the peer closed: {close}"),
            End::Broke(text) => text.clone(),
            End::Forgotten => "closed here".to_owned(),
        }
    }

    /// Whether trying again soon is of no use.
    pub fn is_stubborn(&self) -> bool {
        use CloseCode::{NotAllowed, Removed, UnknownKey, WrongNode, WrongRealm, WrongVersion};
        match self {
            End::Refuse(close) | End::Told(close) => {
                matches!(close.code, NotAllowed | Removed | UnknownKey | WrongNode | WrongRealm | WrongVersion)
            }
            _ => false,
        }
    }
}

impl End {
    /// Whether one side would not go on with the other, as against an end in good order or by bad luck.
    pub fn is_refusal(&self) -> bool {
        use CloseCode::{Closing, Duplicate, Replaced, Silent};
        match self {
            End::Refuse(close) | End::Told(close) => !matches!(close.code, Closing | Duplicate | Replaced | Silent),
            _ => false,
        }
    }
}

impl From<ConnectionError> for End {
    fn from(error: ConnectionError) -> End {
        match error {
            ConnectionError::ApplicationClosed(c) => End::Told(Close::from_wire(c.error_code.into_inner(), &c.reason)),
            ConnectionError::LocallyClosed => End::Forgotten,
            ConnectionError::Reset => End::Broke("the peer's process has restarted".to_owned()),
            ConnectionError::TimedOut => End::Broke("timed out".to_owned()),
            error => End::Broke(error.to_string()),
        }
    }
}

/// The first bidirectional stream: one frame after the other.
pub(super) struct Opening {
    pub send: quinn::SendStream,
    receive: quinn::RecvStream,
    decoder: Option<(Kind, Decoder)>,
}

impl Opening {
    fn new((send, receive): (quinn::SendStream, quinn::RecvStream)) -> Opening {
        Opening { send, receive, decoder: None }
    }

    /// The next frame, which has to be of `kind`. Can be dropped and called again.
    async fn frame(&mut self, kind: Kind, connection: &quinn::Connection) -> Result<Bytes, End> {
        let malformed =
            |e: &dyn std::fmt::Display| End::Refuse(Close::new(CloseCode::Malformed, format!("in the hello: {e}")));
        let mut out = Vec::new();
        loop {
            let piece = match self.receive.read_chunk(HELLO_BYTES_MAX, true).await {
                Ok(Some(chunk)) => chunk.bytes,
                Ok(None) => return Err(malformed(&frame::FrameError::Truncated)),
                Err(quinn::ReadError::ConnectionLost(_)) => return Err(End::of(connection)),
                Err(e) => return Err(malformed(&e)),
            };
            let decoder = match &mut self.decoder {
                Some((of, decoder)) if *of == kind => decoder,
                other => &mut other.insert((kind, Decoder::new(kind, HELLO_BYTES_MAX))).1,
            };
            decoder.feed(piece, &mut out).map_err(|e| malformed(&e))?;
            match out.len() {
                0 => {}
                1 => return Ok(out.remove(0)),
                _ => return Err(malformed(&"more than was asked for")),
            }
        }
    }

    async fn hello(&mut self, ours: &Hello, connection: &quinn::Connection) -> Result<Hello, End> {
        let bytes = self.frame(Kind::Hello, connection).await?;
        Hello::read(&bytes, ours).map_err(End::Refuse)
    }

    /// Says hello.
    pub async fn say(&mut self, ours: &Hello) -> Result<(), quinn::WriteError> {
        let hello = frame::encode(Kind::Hello, &ours.to_bytes());
        self.send.write_all(&hello).await
    }
}

/// Opens a connection's first stream as the dialler and says hello; gives what the other side says.
pub(crate) async fn greet(connection: &quinn::Connection, ours: &Hello) -> Result<Hello, End> {
    let streams = connection.open_bi().await?;
    let mut opening = Opening::new(streams);
    let said = opening.say(ours).await;
    said.map_err(|_| End::of(connection))?;
    opening.send.finish().ok();
    opening.hello(ours, connection).await
}

/// Dials a member and serves the connection to its end.
pub(super) async fn dial(node: Arc<Node>, link: LinkId, member: Member, mut orders: mpsc::Receiver<Order>) {
    let end = match connect(&node, link, &member, &mut orders).await {
        Err(end) => end,
        Ok(connection) => {
            let end = obey_dialled(&node, link, &member, &connection, &mut orders).await;
            close(&connection, &end);
            end
        }
    };
    node.link_ended(member.node, link, &end);
}

async fn connect(
    node: &Arc<Node>,
    link: LinkId,
    member: &Member,
    orders: &mut mpsc::Receiver<Order>,
) -> Result<quinn::Connection, End> {
    let connecting = node
        .endpoint
        .connect_with(node.dialling.clone(), member.addr, "pando.invalid")
        .map_err(|e| End::Broke(format!("cannot dial {}: {e}", member.addr)))?;
    let connection = tokio::select! {
        connected = connecting => connected?,
        // No order comes before the handshake, so this is the link being forgotten.
        _ = orders.recv() => return Err(End::Forgotten),
    };
    let end = match tls::peer_key(&connection) {
        Some(key) if key == member.key => {
            if node.dialled(member.node, link, &connection) {
                return Ok(connection);
            }
            End::Forgotten
        }
        key => End::Refuse(wrong_key(member, key)),
    };
    close(&connection, &end);
    Err(end)
}

fn wrong_key(member: &Member, found: Option<PublicKey>) -> Close {
    let found = found.map_or("none".to_owned(), |k| format!("{k:.16}"));
    let text = format!("expected {} with key {:.16}, found key {found}", member.node, member.key);
    Close::new(CloseCode::WrongNode, text)
}

async fn obey_dialled(
    node: &Arc<Node>,
    link: LinkId,
    member: &Member,
    connection: &quinn::Connection,
    orders: &mut mpsc::Receiver<Order>,
) -> End {
    let streams = match connection.open_bi().await {
        Ok(streams) => streams,
        Err(error) => return End::from(error),
    };
    let mut opening = Opening::new(streams);
    // The machine's first order is the hello; without it the other side does not know of the stream.
    match orders.recv().await {
        Some(Order::Hello) => {}
        _ => return End::Forgotten,
    }
    if opening.say(&node.ours).await.is_err() {
        return End::of(connection);
    }
    let hello = tokio::select! {
        hello = opening.hello(&node.ours, connection) => hello,
        _ = orders.recv() => return End::Forgotten,
    };
    match hello {
        Err(end) => return end,
        Ok(hello) if (hello.role, hello.node) != (Role::Node, member.node) => {
            let text = format!("dialled {}, and {} answers", member.node, hello.node);
            return End::Refuse(Close::new(CloseCode::WrongNode, text));
        }
        Ok(hello) => node.answered(member.node, link, &hello),
    }
    obey(node, connection, opening, orders, None).await
}

/// Accepts a connection and serves it to its end.
pub(super) async fn accept(node: Arc<Node>, incoming: quinn::Incoming) {
    let from = incoming.remote_address();
    let shown = incoming.remote_address_validated();
    let member = shown && node.members().members.iter().any(|m| m.addr == from);
    let permit = match node.doors.knock(shown, member) {
        Answer::In(place) => place,
        Answer::Show => {
            // Whoever is really there dials on with the token that this gives.
            return incoming.retry().unwrap_or_else(|e| e.into_incoming().refuse());
        }
        Answer::Full => {
            node.stranger_refused(from, None, &"too many connections are being opened");
            return incoming.refuse();
        }
    };
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(e) => return node.stranger_refused(from, None, &e),
    };
    let connected = tokio::time::timeout(node.limits.open_max, connecting).await;
    let connection = match connected {
        Ok(Ok(connection)) => connection,
        Ok(Err(e)) => return node.stranger_refused(from, None, &e),
        Err(_) => return node.stranger_refused(from, None, &"the handshake takes too long"),
    };
    let Some(key) = tls::peer_key(&connection) else {
        let end = End::Refuse(Close::new(CloseCode::UnknownKey, "no key was proved"));
        close(&connection, &end);
        return node.stranger_refused(from, None, &end.reason());
    };
    let met = tokio::time::timeout(node.limits.open_max, meet(&node, &connection, &key)).await;
    drop(permit);
    match met {
        Ok(Ok((Role::Node, hello, opening))) => {
            serve_node(&node, from, &key, &connection, hello, opening).await;
        }
        Ok(Ok((Role::User, _, opening))) => user::serve(&node, &key, &connection, opening).await,
        Ok(Err(end)) => {
            close(&connection, &end);
            node.stranger_refused(from, Some(&key), &end.reason());
        }
        Err(_) => {
            let end = End::Refuse(Close::new(CloseCode::Late, "no hello came"));
            close(&connection, &end);
            node.stranger_refused(from, Some(&key), &end.reason());
        }
    }
}

async fn meet(
    node: &Arc<Node>,
    connection: &quinn::Connection,
    key: &PublicKey,
) -> Result<(Role, Hello, Opening), End> {
    node.members().knows(key).map_err(End::Refuse)?;
    let mut opening = Opening::new(connection.accept_bi().await?);
    let hello = opening.hello(&node.ours, connection).await?;
    Ok((hello.role, hello, opening))
}

async fn serve_node(
    node: &Arc<Node>,
    from: SocketAddr,
    key: &PublicKey,
    connection: &quinn::Connection,
    hello: Hello,
    opening: Opening,
) {
    let (link, mut orders) = match node.accepted(key, connection, &hello) {
        Ok(adopted) => adopted,
        Err(refusal) => {
            let end = End::Refuse(refusal);
            close(connection, &end);
            return node.stranger_refused(from, Some(key), &end.reason());
        }
    };
    let peer = hello.node;
    let end = obey(node, connection, opening, &mut orders, Some((peer, link))).await;
    close(connection, &end);
    node.link_ended(peer, link, &end);
}

/// Carries out the machine's orders. `go`: the chooser's word may come on this link.
async fn obey(
    node: &Arc<Node>,
    connection: &quinn::Connection,
    mut opening: Opening,
    orders: &mut mpsc::Receiver<Order>,
    mut go: Option<(pando_abi::NodeId, LinkId)>,
) -> End {
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => {
                let said = match order {
                    None => return End::Forgotten,
                    Some(Order::Hello) => opening.say(&node.ours).await,
                    Some(Order::Go) => opening.send.write_all(&frame::encode(Kind::Go, &[1])).await,
                    Some(Order::Up(wire)) => {
                        opening.send.finish().ok();
                        return live::run(node, &wire).await;
                    }
                };
                if said.is_err() {
                    return End::of(connection);
                }
            }
            word = opening.frame(Kind::Go, connection), if go.is_some() => {
                match (word, go.take()) {
                    (Ok(_), Some((peer, link))) => node.go(peer, link),
                    (Err(end), _) => return end,
                    (Ok(_), None) => {}
                }
            }
            _ = connection.closed() => return End::of(connection),
        }
    }
}

/// Tells the other side how this side sees the end.
pub(crate) fn close(connection: &quinn::Connection, end: &End) {
    let (code, reason) = match end {
        End::Refuse(close) => (close.code, close.reason.as_str()),
        End::Closed | End::Told(_) | End::Broke(_) | End::Forgotten => (CloseCode::Closing, ""),
    };
    connection.close((code as u32).into(), reason.as_bytes());
}
