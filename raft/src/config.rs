//! What a node's groups are opened with.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pando_abi::NodeId;

use crate::files::Files;

/// Called once, when the disk can no longer be trusted. It should end the process and need not
/// return. The text says what failed.
pub type Fatal = Arc<dyn Fn(String) + Send + Sync>;

/// Replicas of a node that may be awake without hurry.
pub const AWAKE_WELL: usize = 16;
/// No group rests sooner than this after its last work, but if [`Config::rest_idle`] says so.
pub const REST_SOONEST: Duration = Duration::from_millis(50);

/// See [`Config::new`] for the defaults. The log is always synced; there is no switch for it.
#[derive(Clone)]
pub struct Config {
    /// The folder that holds log and snapshots. Locked while open, made if missing.
    pub dir: PathBuf,
    /// This node. A wiped folder must come back under a number that was never used before.
    pub node: NodeId,
    /// How often a leader shows that it lives, per group.
    pub heartbeat: Duration,
    /// The shortest silence after which a follower stands for election. Taken as three quarters of
    /// `election_max` if it is less: a leader's lease and a synced vote must fit in.
    pub election_min: Duration,
    /// The longest. At least four heartbeats.
    pub election_max: Duration,
    /// Entries after which a snapshot is taken and the log before it is dropped.
    pub snapshot_every: u64,
    /// Entries kept behind a snapshot, so that a replica that is a little behind needs none.
    pub log_keep: u64,
    /// Indexes at which replicas compare chain and root: the multiples of this. The same on every node.
    pub attest_every: u64,
    /// After this long without entries, a leader with unattested ones proposes a checkpoint. Zero: never.
    pub checkpoint_idle: Duration,
    /// After this long without work a group rests: its members send each other no heartbeats, and trust the sessions
    /// between their nodes ([`crate::Groups::peer_up`], [`crate::Groups::peer_down`]). Zero: never. Where more than
    /// [`AWAKE_WELL`] replicas of a node are awake they rest sooner, as many times as there are more, down to [`REST_SOONEST`]: what
    /// they send must not grow with how many were asked of late.
    pub rest_idle: Duration,
    /// After this long at rest a replica that does not lead is on the disk alone, until it is wanted. Zero: never.
    pub sleep_idle: Duration,
    /// Proposals of this node that wait at once. One more is `Overloaded`.
    pub in_flight_max: usize,
    /// Bytes of payload of the proposals that wait at once.
    pub in_flight_bytes_max: usize,
    /// Bytes of one log file.
    pub log_file_bytes: u64,
    /// Bytes of log after which old files are rewritten and dropped.
    pub log_bytes: u64,
    /// A number that no earlier boot of this node had: an answer to one of those fits no question of this one.
    pub boot: u64,
    /// Where log and snapshots lie. `None`: the system's files.
    pub files: Option<Arc<dyn Files>>,
    /// What happens when the disk fails.
    pub fatal: Fatal,
}

impl Config {
    /// Heartbeat 100 ms, election 675-900 ms, rest after 1 s, sleep after 30 s of it, snapshot every 4,096 entries, attestation every 64;
    /// a failed sync aborts the process.
    #[expect(clippy::disallowed_methods, reason = "two boots of a node must differ; the number is in no log")]
    pub fn new(dir: impl Into<PathBuf>, node: NodeId) -> Config {
        Config {
            dir: dir.into(),
            node,
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(675),
            election_max: Duration::from_millis(900),
            snapshot_every: 4096,
            log_keep: 1024,
            attest_every: 256,
            checkpoint_idle: Duration::from_secs(2),
            rest_idle: Duration::from_secs(1),
            sleep_idle: Duration::from_secs(30),
            in_flight_max: 4096,
            in_flight_bytes_max: 64 << 20,
            log_file_bytes: 32 << 20,
            log_bytes: 256 << 20,
            boot: RandomState::new().build_hasher().finish(),
            files: None,
            fatal: Arc::new(|why| {
                tracing::error!(%why, "the disk failed: ending the process");
                std::process::abort();
            }),
        }
    }

    /// A sentence for the first thing that cannot work, if any.
    pub(crate) fn check(&self) -> Result<(), String> {
        let rules = [
            (self.node != NodeId::NONE, "node must not be 0"),
            (self.heartbeat >= Duration::from_millis(10), "heartbeat must be at least 10 ms"),
            (self.heartbeat * 4 <= self.election_max, "election_max must be at least four heartbeats"),
            (self.election_min < self.election_max, "election_min must be less than election_max"),
            (self.snapshot_every > 0, "snapshot_every must not be 0"),
            (self.attest_every > 0, "attest_every must not be 0"),
            (self.in_flight_max > 0, "in_flight_max must not be 0"),
            (
                self.log_file_bytes > 0 && self.log_file_bytes <= self.log_bytes,
                "log_bytes must be at least log_file_bytes, which must not be 0",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, broken)) => Err((*broken).to_string()),
            None => Ok(()),
        }
    }
}
