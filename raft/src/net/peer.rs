//! One replica's way to one other: openraft's questions in our packets.
//!
//! 1. Every question is bounded: by the soft TTL that openraft gives with it, or, if the peer's disk has to write, by [`WRITE_MIN`].
//! 2. A peer that denies what it acknowledged under the same leader has lost it, and is reported.
//! 3. A snapshot goes in chunks below a frame, one unanswered at a time, each bounded by that TTL. The receiver says which: what
//!    it has already is not sent again. While it goes, its files are pinned.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use pando_abi::NodeId;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{AskError, Link};
use crate::codec::wire::{Answer, Ask};
use crate::disk::Disk;
use crate::disk::snapshots::incoming::{WANTED_BYTES, WANTED_MAX};
use crate::disk::snapshots::kept::Reader;
use crate::entry::GroupId;
use crate::replica::{Notice, blocking};
use crate::types::{Image, LogId, SnapshotOf, Types, Vote};

/// A peer that has to write has this long at least: the soft TTL of an append is that of a heartbeat, and a disk may take
/// longer without anything being wrong. What was eaten on the way is found out after it.
const WRITE_MIN: Duration = Duration::from_secs(1);
/// Bytes of a manifest in one frame.
pub(crate) const CHUNK_BYTES: usize = 512 << 10;

/// Makes the ways of one group.
#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) group: GroupId,
    pub(crate) link: Arc<Link>,
    pub(crate) notices: mpsc::UnboundedSender<Notice>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) acked: Acked,
}

/// The last position that each peer acknowledged, and under which leader: on any of the ways to it, for heartbeats go one and
/// entries another.
pub(crate) type Acked = Arc<Mutex<BTreeMap<NodeId, (Vote, LogId)>>>;

/// A way to one node.
pub(crate) struct Peer {
    group: GroupId,
    link: Arc<Link>,
    disk: Arc<Disk>,
    notices: mpsc::UnboundedSender<Notice>,
    to: NodeId,
    acked: Acked,
}

impl RaftNetworkFactory<Types> for Peers {
    type Network = Peer;
    async fn new_client(&mut self, target: u64, _: &()) -> Peer {
        Peer {
            group: self.group,
            link: self.link.clone(),
            disk: self.disk.clone(),
            notices: self.notices.clone(),
            to: NodeId(target as u32),
            acked: self.acked.clone(),
        }
    }
}

fn unexpected(answer: Answer) -> RPCError<Types> {
    match answer {
        // Worth a pause: it will not change at once.
        Answer::Unknown | Answer::Fenced { .. } | Answer::Stopped { .. } | Answer::Failed { .. } => {
            RPCError::Unreachable(Unreachable::from_string(format!("{answer:?}")))
        }
        other => RPCError::Network(NetworkError::from_string(format!("unexpected answer {other:?}"))),
    }
}

impl Peer {
    async fn ask(&self, ask: Ask, bulk: bool, timeout: Duration) -> Result<Answer, RPCError<Types>> {
        self.link.ask(self.to, self.group, ask, bulk, timeout).await.map_err(|e| match e {
            AskError::Down => RPCError::Unreachable(Unreachable::new(&e)),
            AskError::Timeout => RPCError::Network(NetworkError::new(&e)),
        })
    }

    /// Remembers what the peer has, under this leader.
    fn acknowledged(&self, vote: Vote, last: Option<LogId>) {
        let mut acked = self.acked.lock();
        let before = acked.get(&self.to).filter(|(under, _)| *under == vote).map(|(_, at)| *at);
        match last.max(before) {
            Some(at) => _ = acked.insert(self.to, (vote, at)),
            None => _ = acked.remove(&self.to),
        }
    }

    /// The peer does not have `prev`. If it had, its disk has lost it: openraft would try for ever in silence.
    fn denied(&self, vote: Vote, prev: LogId) {
        if self.acked.lock().get(&self.to).is_some_and(|(under, at)| *under == vote && prev <= *at) {
            let lost = Notice::Lost { group: self.group, node: u64::from(self.to.0), index: prev.index };
            // The node is closing if nobody listens.
            let _ = self.notices.send(lost);
        }
    }

    async fn ask_vote(&self, ask: Ask, option: RPCOption) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.ask(ask, false, option.soft_ttl()).await? {
            Answer::Voted { vote, granted, last } => {
                Ok(VoteResponse { vote: vote.into(), vote_granted: granted, last_log_id: last.map(Into::into) })
            }
            other => Err(unexpected(other)),
        }
    }

    async fn send_snapshot(&self, vote: Vote, image: Image, ttl: Duration) -> Result<Vote, RPCError<Types>> {
        let reader = Arc::new(Reader::new(self.disk.snapshots.files()));
        let (name, total) = (image.image, image.bytes.len());
        let manifest = |offset: usize| {
            let bytes = image.bytes.get(offset..total.min(offset + CHUNK_BYTES)).unwrap_or_default().to_vec();
            Ask::Manifest { vote: vote.into(), image: name, total: total as u64, offset: offset as u64, bytes }
        };
        let mut ask = manifest(0);
        loop {
            ask = match self.ask(ask, true, ttl).await? {
                Answer::ManifestNext { offset } if offset as usize <= total => manifest(offset as usize),
                Answer::PartsNext { parts } if parts.len() <= WANTED_MAX => {
                    let (reader, image) = (reader.clone(), image.clone());
                    let read = blocking(move || read(&reader, &image, parts)).await.flatten();
                    let parts = read.map_err(|e| self.unread(&e))?;
                    Ask::Parts { vote: vote.into(), image: name, parts }
                }
                Answer::SnapshotDone { vote } => return Ok(vote.into()),
                Answer::Higher { vote } => return Ok(vote.into()),
                other => return Err(unexpected(other)),
            };
        }
    }

    /// A part that cannot be sent: of a damaged snapshot, which is written anew.
    fn unread(&self, e: &std::io::Error) -> RPCError<Types> {
        self.disk.unless_damage("a snapshot could not be read", e);
        tracing::error!(group = %self.group, %e, "a snapshot cannot be sent and is written again");
        self.disk.snapshots.distrust(self.group);
        // The node is closing if nobody listens.
        let _ = self.notices.send(Notice::Rewrite { group: self.group });
        RPCError::Unreachable(Unreachable::from_string(e.to_string()))
    }
}

/// The parts that a peer asks for, as many as fit; one at least, unless they are none.
pub(crate) fn read(reader: &Reader, image: &Image, wanted: Vec<u32>) -> std::io::Result<Vec<(u32, Vec<u8>)>> {
    let (mut parts, mut room) = (Vec::new(), WANTED_BYTES);
    for part in wanted {
        let bytes = reader.part(image, part as usize)?;
        match room.checked_sub(bytes.len()) {
            None if !parts.is_empty() => break,
            left => room = left.unwrap_or(0),
        }
        parts.push((part, bytes));
    }
    Ok(parts)
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = Image;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let ask = Ask::Append {
            vote: rpc.vote.into(),
            prev: rpc.prev_log_id.map(Into::into),
            entries: rpc.entries.iter().map(Into::into).collect(),
            commit: rpc.leader_commit.map(Into::into),
        };
        let end = rpc.entries.last().map(|e| e.log_id).or(rpc.prev_log_id);
        let ttl = if rpc.entries.is_empty() { option.soft_ttl() } else { option.soft_ttl().max(WRITE_MIN) };
        match self.ask(ask, false, ttl).await? {
            Answer::Appended => {
                self.acknowledged(rpc.vote, end);
                Ok(AppendEntriesResponse::Success)
            }
            Answer::AppendedUpTo { last } => Ok(AppendEntriesResponse::PartialSuccess(last.map(Into::into))),
            // openraft unwraps `prev` here; a peer that claims a conflict with nothing is lying.
            Answer::Conflict if let Some(prev) = rpc.prev_log_id => {
                self.denied(rpc.vote, prev);
                Ok(AppendEntriesResponse::Conflict)
            }
            Answer::Higher { vote } => Ok(AppendEntriesResponse::HigherVote(vote.into())),
            other => Err(unexpected(other)),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let (vote, last) = (rpc.vote.into(), rpc.last_log_id.map(Into::into));
        self.ask_vote(Ask::Vote { vote, last, transfer: rpc.leadership_transfer }, option).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let (vote, last) = (rpc.vote.into(), rpc.last_log_id.map(Into::into));
        self.ask_vote(Ask::PreVote { vote, last }, option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            sent = self.send_snapshot(vote, snapshot.snapshot, option.soft_ttl()) => Ok(SnapshotResponse::new(sent?)),
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let ask = Ask::Transfer {
            from: (*req.from_leader()).into(),
            to: *req.to_node_id(),
            last: req.last_log_id().map(|id| (*id).into()),
        };
        match self.ask(ask, false, option.soft_ttl()).await? {
            Answer::Done => Ok(Ok(())),
            other => Err(unexpected(other)),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        None
    }
}
