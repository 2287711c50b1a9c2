//! Random ends against the whole history: restarts are borne so often within any window, and not once more or less.

use pando_abi::{ExitKind, Restart, SpawnSpec};
use proptest::prelude::*;

use super::{HISTORY_MAX, RESTARTS_DEFAULT, Supervisor, Verdict, WINDOW_MS_DEFAULT};

const KINDS: [ExitKind; 8] = [
    ExitKind::Normal,
    ExitKind::Error,
    ExitKind::Fault,
    ExitKind::CpuLimit,
    ExitKind::Killed,
    ExitKind::Linked,
    ExitKind::Shutdown,
    ExitKind::BadModule,
];

/// SPEC.md, section 9, as a table.
fn wanted(policy: Restart, kind: ExitKind) -> bool {
    let final_ones = [ExitKind::Killed, ExitKind::Shutdown, ExitKind::BadModule];
    match policy {
        Restart::Never | Restart::Resume => false,
        Restart::OnFailure => kind != ExitKind::Normal && !final_ones.contains(&kind),
        Restart::Always => !final_ones.contains(&kind),
    }
}

proptest! {
    #![proptest_config(crate::testing::cases(3_000))]

    #[test]
    fn restarts_are_borne_as_often_as_the_policy_says_within_any_window(
        policy in prop::sample::select(vec![Restart::Never, Restart::OnFailure, Restart::Always, Restart::Resume]),
        restarts_max in prop_oneof![Just(0u64), 1..6u64, 60..70u64, Just(u64::MAX)],
        window_ms in prop_oneof![Just(0u64), 1..20u64, Just(u64::MAX)],
        ends in prop::collection::vec((0..KINDS.len(), prop_oneof![Just(0u64), 0..3u64, 0..3_000u64]), 1..120),
    ) {
        let spec = SpawnSpec { restart: policy as u8, restarts_max, window_ms, ..SpawnSpec::new() };
        let mut supervisor = Supervisor::new(&spec);
        let most = if restarts_max == 0 { RESTARTS_DEFAULT } else { restarts_max.min(HISTORY_MAX as u64) };
        let window = if window_ms == 0 { WINDOW_MS_DEFAULT } else { window_ms }.saturating_mul(1_000_000);
        let (mut now, mut restarts) = (0u64, Vec::new());
        for (kind, later_ms) in ends {
            now += later_ms * 1_000_000;
            let within = restarts.iter().filter(|at| now - **at <= window).count() as u64;
            let borne = wanted(policy, KINDS[kind]) && within < most;
            let verdict = supervisor.ended(KINDS[kind], now);
            prop_assert_eq!(verdict == Verdict::Restart, borne, "{:?} at {}", KINDS[kind], now);
            if borne {
                restarts.push(now);
            }
            prop_assert_eq!(supervisor.restarts as usize, restarts.len());
            prop_assert!(supervisor.history.len() <= HISTORY_MAX);
            // As it comes out of a snapshot.
            let bytes = crate::wire::encode(&supervisor);
            let again: Supervisor = crate::wire::decode(&bytes, 1 << 16).unwrap();
            prop_assert_eq!(&again, &supervisor);
        }
    }
}
