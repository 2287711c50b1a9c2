//! What happens after an end: restart policy as data, decided purely.
//!
//! 1. `killed` and `shutdown` are final whatever the policy says.
//! 2. More than `restarts_max` restarts within `window_ns` are not borne: the last end stands.

#![allow(missing_docs, reason = "what rkyv derives has none")]

use pando_abi::{ExitKind, Restart, SpawnSpec};
use rkyv::{Archive, Deserialize, Serialize};

/// Restarts borne within the window unless told.
pub const RESTARTS_DEFAULT: u64 = 3;
/// The window unless told, in milliseconds.
pub const WINDOW_MS_DEFAULT: u64 = 5_000;
/// Restart times that are kept; a larger `restarts_max` counts as this.
const HISTORY_MAX: usize = 64;

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Leave it ended.
    End,
    /// Start it again at the same address with fresh memory.
    Restart,
}

/// The policy and what it has seen.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Supervisor {
    restart: u8,
    restarts_max: u64,
    window_ns: u64,
    history: Vec<u64>,
    /// Restarts so far.
    pub restarts: u32,
}

impl Supervisor {
    /// The policy of a spec.
    pub fn new(spec: &SpawnSpec) -> Supervisor {
        let or = |n: u64, default: u64| if n == 0 { default } else { n };
        Supervisor {
            restart: spec.restart,
            restarts_max: or(spec.restarts_max, RESTARTS_DEFAULT).min(HISTORY_MAX as u64),
            window_ns: or(spec.window_ms, WINDOW_MS_DEFAULT).saturating_mul(1_000_000),
            history: Vec::new(),
            restarts: 0,
        }
    }

    /// Of an actor that is never started again.
    pub fn of_one_life(resumes: bool) -> Supervisor {
        let restart = if resumes { Restart::Resume } else { Restart::Never };
        Supervisor::new(&SpawnSpec { restart: restart as u8, ..SpawnSpec::new() })
    }

    /// Is it never started again, however it ends?
    pub fn is_of_one_life(&self) -> bool {
        matches!(self.policy(), Restart::Never | Restart::Resume)
    }

    /// The policy.
    pub fn policy(&self) -> Restart {
        Restart::from_u8(self.restart).unwrap_or_default()
    }

    /// Does a fault in a handler leave the actor as it was before the event?
    pub fn resumes(&self) -> bool {
        self.policy() == Restart::Resume
    }

    /// It ended so, now.
    pub fn ended(&mut self, kind: ExitKind, now_ns: u64) -> Verdict {
        let wanted = match (self.policy(), kind) {
            (_, ExitKind::Killed | ExitKind::Shutdown | ExitKind::BadModule) => false,
            (Restart::Never | Restart::Resume, _) => false,
            (Restart::OnFailure, ExitKind::Normal) => false,
            (Restart::OnFailure | Restart::Always, _) => true,
        };
        if !wanted {
            return Verdict::End;
        }
        let since = now_ns.saturating_sub(self.window_ns);
        self.history.retain(|at| *at >= since);
        if self.history.len() as u64 >= self.restarts_max {
            return Verdict::End;
        }
        self.history.push(now_ns);
        self.restarts = self.restarts.saturating_add(1);
        Verdict::Restart
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    fn supervisor(restart: Restart, max: u64) -> Supervisor {
        Supervisor::new(&SpawnSpec { restart: restart as u8, restarts_max: max, window_ms: 1_000, ..SpawnSpec::new() })
    }

    #[test]
    fn each_policy_restarts_what_it_says() {
        let table = [
            (Restart::Never, ExitKind::Fault, Verdict::End),
            (Restart::OnFailure, ExitKind::Normal, Verdict::End),
            (Restart::OnFailure, ExitKind::Fault, Verdict::Restart),
            (Restart::OnFailure, ExitKind::Linked, Verdict::Restart),
            (Restart::OnFailure, ExitKind::Killed, Verdict::End),
            (Restart::Always, ExitKind::Normal, Verdict::Restart),
            (Restart::Always, ExitKind::Killed, Verdict::End),
            (Restart::Always, ExitKind::Shutdown, Verdict::End),
            (Restart::Resume, ExitKind::Error, Verdict::End),
        ];
        for (policy, kind, verdict) in table {
            assert_eq!(supervisor(policy, 3).ended(kind, 0), verdict, "{policy:?} {kind:?}");
        }
    }

    #[test]
    fn a_crash_loop_is_borne_so_often_and_no_more() {
        let mut s = supervisor(Restart::Always, 2);
        assert_eq!(s.ended(ExitKind::Fault, 0), Verdict::Restart);
        assert_eq!(s.ended(ExitKind::Fault, 1), Verdict::Restart);
        assert_eq!(s.ended(ExitKind::Fault, 2), Verdict::End);
        let mut calm = supervisor(Restart::Always, 2);
        for n in 0..10 {
            assert_eq!(calm.ended(ExitKind::Fault, n * 600_000_000), Verdict::Restart, "{n}");
        }
    }
}
