//! Answering other nodes.
//!
//! 1. A peer speaks only for itself: a vote it sends names it.
//! 2. What openraft would panic on is refused before it gets there.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse};
use openraft::{ReadPolicy, Snapshot};
use pando_abi::NodeId;
use pando_abi::planted::{Bug, planted};

use super::node::Node;
use crate::attest::Word;
use crate::codec::Malformed;
use crate::codec::record::{LogIdRecord, LogRecord, VoteRecord};
use crate::codec::wire::{Answer, Ask, Packet, group_of};
use crate::disk::snapshots::form::Meta;
use crate::disk::snapshots::incoming::{Next, Piece, WANTED_MAX};
use crate::entry::GroupId;
use crate::net::warn;
use crate::replica::apply::openraft_meta;
use crate::replica::rest::Spot;
use crate::replica::{GroupRaft, Replica, blocking};
use crate::status::GroupEvent;
use crate::types::{Types, Vote};

/// The longest a peer can make this node work on one of its questions.
const SERVE_MAX: Duration = Duration::from_secs(60);

/// No log is this long: arithmetic on indexes and terms from a peer stays far from its end.
const NUMBER_MAX: u64 = 1 << 62;

/// What a peer sent makes no sense.
struct Nonsense(String);

impl From<Malformed> for Nonsense {
    fn from(e: Malformed) -> Self {
        Nonsense(e.to_string())
    }
}

fn nonsense<T>(why: &str) -> Result<T, Nonsense> {
    Err(Nonsense(why.to_string()))
}

/// Takes a frame. Never blocks.
pub(crate) fn receive(node: &Arc<Node>, from: NodeId, frame: &[u8]) {
    if node.closed.load(Ordering::Relaxed) {
        return;
    }
    match node.link.receive(from, frame) {
        Some(Packet::Ask { id, group, ask }) => {
            let bulk = matches!(
                ask,
                Ask::Manifest { .. } | Ask::Parts { .. } | Ask::LentManifest { .. } | Ask::LentParts { .. }
            );
            let task = node.clone();
            node.runtime.spawn(async move {
                match serve(&task, from, group_of(group), ask).await {
                    Ok(answer) => drop(task.link.send(from, &Packet::Answer { id, answer }, bulk)),
                    Err(Nonsense(why)) => drop(warn(from, &why)),
                }
            });
        }
        Some(Packet::Attest { group, index, chain, root }) => {
            if let Some(replica) = node.replica(group_of(group)) {
                replica.core.listen(from, index, Word { chain, root });
            }
        }
        Some(Packet::Fenced { group, index, why, rebuilding }) => {
            let (group, peer) = (group_of(group), u64::from(from.0));
            let news = node.replica(group).is_some_and(|replica| {
                // It leads no longer, if it did.
                replica.distrust(from);
                replica.core.is_member(peer) && replica.core.note_fenced(peer, index, &why, rebuilding)
            });
            if news {
                let _ = node.events.send(match rebuilding {
                    true => GroupEvent::Rebuilding { group, node: from },
                    false => GroupEvent::Fenced { group, node: from, why },
                });
            }
        }
        Some(Packet::Rest { group, term, index, word }) => {
            let word = word.map(|(chain, root)| Word { chain, root });
            node.rest_offered(group_of(group), Spot { term, leader: u64::from(from.0), index }, word);
        }
        Some(Packet::Rests { group, term, index, agrees }) => {
            node.rest_taken(from, group_of(group), term, index, agrees);
        }
        Some(Packet::Lives { lives }) => node.hear_lives(from, lives),
        Some(Packet::Heard { mark, known }) => node.hear_of_lives(from, mark, known),
        Some(Packet::Forgot { group }) => node.has_forgotten(group_of(group), from),
        Some(Packet::Wake { group }) => {
            if let Some(replica) = node.replica(group_of(group))
                && replica.core.is_member(u64::from(from.0))
            {
                replica.work();
            }
        }
        // Answers and parts end in the link.
        Some(Packet::Answer { .. } | Packet::Part { .. }) | None => {}
    }
}

async fn serve(node: &Arc<Node>, from: NodeId, group: GroupId, ask: Ask) -> Result<Answer, Nonsense> {
    if let Ask::Join = ask {
        return Ok(match node.join_for_peer(group).await {
            Ok(()) => Answer::Done,
            Err(why) => Answer::Failed { why },
        });
    }
    let counts = counts_on_the_disk(&ask);
    if counts {
        node.meeting.ends().await;
    }
    let Some(replica) = node.replica(group) else { return Ok(Answer::Unknown) };
    if counts && replica.in_doubt.load(Ordering::Relaxed) {
        return Ok(Answer::Failed { why: "its disk has forgotten what it promised".into() });
    }
    if replica.is_asleep() {
        if let Some(answer) = node.answer_asleep(&replica, from, &ask) {
            return Ok(answer);
        }
        node.rouse(&replica).await;
    }
    let Some(raft) = replica.running() else {
        let why = replica.core.halted().unwrap_or_default();
        return Ok(if replica.core.is_fenced() { Answer::Fenced { why } } else { Answer::Stopped { why } });
    };
    // Whoever has not caught up with its own joining may know members that are none any more.
    let elects = matches!(ask, Ask::Vote { .. } | Ask::PreVote { .. } | Ask::Transfer { .. });
    if elects && replica.joining.load(Ordering::Relaxed) {
        return Ok(Answer::Failed { why: "it is joining still and does not vote".into() });
    }
    // Who is wrong must not lead.
    if elects && replica.core.correct(from) {
        return Ok(Answer::Failed { why: "what it has is not what a majority has".into() });
    }
    // What it says to a replica that rests there is nothing new.
    let known = known_at(&ask);
    let wakes = match &ask {
        Ask::Append { .. } => true,
        Ask::PreVote { .. } if node.doubts(&replica) => return Ok(refused(&replica)),
        Ask::Vote { .. } | Ask::PreVote { .. } | Ask::Transfer { .. } => true,
        Ask::Manifest { .. } | Ask::Parts { .. } => true,
        Ask::ReadIndex { .. } | Ask::Leave | Ask::Readmit | Ask::Seat { .. } | Ask::Lend { .. } | Ask::Compare => {
            replica.work();
            false
        }
        // Who writes or changes wakes it there.
        Ask::Propose { .. } | Ask::ChangeMembers { .. } | Ask::Join => false,
        Ask::LentManifest { .. } | Ask::LentParts { .. } | Ask::Fate { .. } => false,
    };
    let answer = answer(node, &replica, raft, from, ask).await;
    match answer {
        // Afterwards, so that who was just heard from is not stood against; and who has come to rest meanwhile rests on.
        Ok(_) if wakes && (known.is_none() || known != replica.rest.spot()) => replica.wake(),
        Ok(Answer::Appended) => replica.rest.heard(),
        _ => {}
    }
    answer
}

/// Is what the answer says good only if the disk remembers what it has promised before?
fn counts_on_the_disk(ask: &Ask) -> bool {
    matches!(
        ask,
        Ask::Append { .. }
            | Ask::Vote { .. }
            | Ask::PreVote { .. }
            | Ask::Transfer { .. }
            | Ask::Manifest { .. }
            | Ask::Parts { .. }
    )
}

/// The spot at which a replica would rest to which a leader has nothing more to say than this.
pub(super) fn known_at(ask: &Ask) -> Option<Spot> {
    let Ask::Append { vote, prev: Some(prev), entries, commit: Some(commit) } = ask else { return None };
    let nothing = entries.is_empty() && prev.index == commit.index;
    nothing.then_some(Spot { term: vote.term, leader: vote.node, index: commit.index })
}

/// The answer of who still has a leader.
pub(super) fn refused(replica: &Replica) -> Answer {
    let log = &replica.core.log;
    match log.vote() {
        Some(vote) => Answer::Voted { vote: vote.into(), granted: false, last: None },
        None => Answer::Failed { why: "there is a leader".into() },
    }
}

async fn answer(
    node: &Arc<Node>,
    replica: &Arc<Replica>,
    raft: &GroupRaft,
    from: NodeId,
    ask: Ask,
) -> Result<Answer, Nonsense> {
    match ask {
        Ask::Append { vote, prev, entries, commit } => append(raft, from, vote, prev, entries, commit).await,
        Ask::Vote { vote, last, transfer } => {
            plausible(vote, &[last])?;
            let mut request = VoteRequest::new(candidate(from, vote)?, last.map(Into::into));
            request.leadership_transfer = transfer;
            Ok(raft.vote(request).await.map_or_else(stopped, voted))
        }
        Ask::PreVote { vote, last } => {
            plausible(vote, &[last])?;
            let request = VoteRequest::new(candidate(from, vote)?, last.map(Into::into));
            Ok(raft.pre_vote(request).await.map_or_else(stopped, voted))
        }
        Ask::Manifest { vote, image, total, offset, bytes } => {
            leader(from, vote)?;
            plausible(vote, &[])?;
            snapshot(replica, raft, vote.into(), image, Piece::Manifest { total, offset, bytes }).await
        }
        Ask::Parts { vote, image, parts } => {
            leader(from, vote)?;
            plausible(vote, &[])?;
            snapshot(replica, raft, vote.into(), image, Piece::Parts(parts)).await
        }
        Ask::Transfer { from: vote, to, last } => {
            leader(from, vote)?;
            plausible(vote, &[last])?;
            let request = TransferLeaderRequest::new(vote.into(), to, last.map(Into::into));
            Ok(match raft.handle_transfer_leader(request).await {
                Ok(Ok(())) => Answer::Done,
                Ok(Err(e)) => Answer::Failed { why: e.to_string() },
                Err(e) => stopped(e),
            })
        }
        Ask::Propose { entry, timeout_ms } => {
            let timeout = Duration::from_millis(timeout_ms).min(SERVE_MAX);
            Ok(node.propose_for_peer(replica, entry, timeout).await)
        }
        Ask::ReadIndex { timeout_ms } => {
            let timeout = Duration::from_millis(timeout_ms).min(SERVE_MAX);
            Ok(read_index(raft, timeout).await)
        }
        Ask::ChangeMembers { voters, learners, timeout_ms } => {
            let timeout = Duration::from_millis(timeout_ms).min(SERVE_MAX);
            Ok(node.change_for_peer(replica, &voters, &learners, timeout).await)
        }
        Ask::Leave => Ok(node.may_leave(replica, raft, from).await),
        Ask::Readmit => Ok(node.readmit_for_peer(replica, from).await),
        Ask::Seat { index } => Ok(match node.seat(replica, index).await {
            Ok(()) => Answer::Done,
            Err(why) => Answer::Failed { why },
        }),
        Ask::Join => Ok(Answer::Done),
        Ask::Lend { least } => {
            // Who asks is fenced.
            replica.distrust(from);
            Ok(node.lend(replica, raft, from, least).await)
        }
        Ask::LentManifest { image, offset } => Ok(node.lent_manifest(replica, image, offset)),
        Ask::LentParts { image, parts } if parts.len() > WANTED_MAX => {
            nonsense(&format!("{} parts of {:.8} asked for at once", parts.len(), pando_abi::ModuleHash(image)))
        }
        Ask::LentParts { image, parts } => Ok(node.lent_parts(replica, image, parts).await),
        Ask::Compare => Ok(node.compare(replica, raft).await),
        Ask::Fate { index } => {
            let (deadly, applied) = replica.core.fate(index);
            Ok(Answer::Fate { deadly, applied })
        }
    }
}

pub(crate) fn stopped(e: impl std::fmt::Display) -> Answer {
    Answer::Stopped { why: e.to_string() }
}

fn voted(response: VoteResponse<Types>) -> Answer {
    Answer::Voted {
        vote: response.vote.into(),
        granted: response.vote_granted || planted(Bug::VoteForAll),
        last: response.last_log_id.map(Into::into),
    }
}

fn plausible(vote: VoteRecord, positions: &[Option<LogIdRecord>]) -> Result<(), Nonsense> {
    let far = |at: &LogIdRecord| at.term > NUMBER_MAX || at.index > NUMBER_MAX;
    if vote.term > NUMBER_MAX || positions.iter().flatten().any(far) {
        return nonsense("a number beyond reason");
    }
    Ok(())
}

/// The vote of a candidate that speaks for itself.
fn candidate(from: NodeId, vote: VoteRecord) -> Result<Vote, Nonsense> {
    if vote.node != u64::from(from.0) || vote.committed {
        return nonsense("a vote that is not its sender's candidacy");
    }
    Ok(vote.into())
}

/// The vote of a leader that speaks for itself.
fn leader(from: NodeId, vote: VoteRecord) -> Result<(), Nonsense> {
    if vote.node != u64::from(from.0) || !vote.committed {
        return nonsense("a leader's message under a vote that is not its sender's");
    }
    Ok(())
}

async fn append(
    raft: &GroupRaft,
    from: NodeId,
    vote: VoteRecord,
    prev: Option<LogIdRecord>,
    entries: Vec<LogRecord>,
    commit: Option<LogIdRecord>,
) -> Result<Answer, Nonsense> {
    leader(from, vote)?;
    plausible(vote, &[prev, commit])?;
    let first = prev.map_or(0, |id| id.index.saturating_add(1));
    let mut term = prev.map_or(0, |id| id.term);
    for (entry, index) in entries.iter().zip(first..) {
        if entry.at.index != index || entry.at.term < term || entry.at.term > vote.term {
            return nonsense("entries out of order");
        }
        term = entry.at.term;
    }
    let entries = entries.into_iter().map(LogRecord::into_entry).collect::<Result<Vec<_>, _>>()?;
    let request = AppendEntriesRequest {
        vote: vote.into(),
        prev_log_id: prev.map(Into::into),
        entries,
        leader_commit: commit.map(Into::into),
    };
    Ok(match raft.append_entries(request).await {
        Ok(AppendEntriesResponse::Success) => Answer::Appended,
        Ok(AppendEntriesResponse::PartialSuccess(last)) => Answer::AppendedUpTo { last: last.map(Into::into) },
        Ok(AppendEntriesResponse::Conflict) => Answer::Conflict,
        Ok(AppendEntriesResponse::HigherVote(vote)) => Answer::Higher { vote: vote.into() },
        Err(e) => stopped(e),
    })
}

/// Where a snapshot from a peer stands. `None`: nowhere where a snapshot can.
pub(crate) fn position(meta: &Meta) -> Option<LogIdRecord> {
    let last = meta.last?;
    let far = last.term > NUMBER_MAX || last.index > NUMBER_MAX;
    let unordered = meta.membership_at.is_some_and(|at| (at.term, at.index) > (last.term, last.index));
    (!far && !unordered).then_some(last)
}

async fn snapshot(
    replica: &Arc<Replica>,
    raft: &GroupRaft,
    vote: Vote,
    image: [u8; 32],
    piece: Piece,
) -> Result<Answer, Nonsense> {
    // A deposed leader hears so at once, and cannot disturb what a newer one sends.
    if let Some(mine) = replica.core.log.vote()
        && mine.leader_id.term > vote.leader_id.term
    {
        return Ok(Answer::Higher { vote: mine.into() });
    }
    let (core, incoming) = (replica.core.clone(), replica.incoming.clone());
    let taken = blocking(move || {
        let taken = core.disk.snapshots.receive(core.group, &mut incoming.lock(), image, piece);
        taken.inspect_err(|e| core.disk.unless_damage("a snapshot could not be taken in", e))
    });
    let whole = match taken.await.flatten().map_err(|e| Nonsense(e.to_string()))? {
        Next::Manifest(offset) => return Ok(Answer::ManifestNext { offset }),
        Next::Parts(parts) => return Ok(Answer::PartsNext { parts }),
        Next::Nonsense(why) => return nonsense(why),
        Next::Whole(whole) => whole,
    };
    let meta = whole.meta();
    if position(meta).is_none_or(|last| last.term > vote.leader_id.term) {
        return nonsense("a snapshot from beyond its sender's term");
    }
    let snapshot = Snapshot { meta: openraft_meta(meta)?, snapshot: whole };
    Ok(match raft.install_full_snapshot(vote, snapshot).await {
        Ok(response) => Answer::SnapshotDone { vote: response.vote.into() },
        Err(e) => stopped(e),
    })
}

/// The index that a linear read must wait for, if this node leads and reaches a quorum.
pub(crate) async fn read_index(raft: &GroupRaft, timeout: Duration) -> Answer {
    use openraft::errors::{LinearizableReadError, RaftError};
    if planted(Bug::LeaseRead) {
        use openraft::async_runtime::WatchReceiver;
        let applied = raft.metrics().borrow_watched().last_applied.map_or(0, |id| id.index);
        return Answer::Read { index: applied };
    }
    match tokio::time::timeout(timeout, raft.get_read_log_id(ReadPolicy::ReadIndex)).await {
        Ok(Ok((read, _))) => Answer::Read { index: read.log_id().index },
        Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to)))) => {
            Answer::NotLeader { leader: to.leader_id }
        }
        Ok(Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)))) | Err(_) => {
            Answer::NotLeader { leader: None }
        }
        Ok(Err(RaftError::Fatal(e))) => stopped(e),
    }
}
