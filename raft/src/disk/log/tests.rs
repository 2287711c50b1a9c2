//! A group's log against a model of it, through cuts, purges and restarts.

use std::collections::BTreeMap;

use openraft::EntryPayload;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use proptest::prelude::*;

use super::*;
use crate::disk::suite::open_disk;
use crate::entry::Entry;
use crate::types::{Command, term_of};

#[derive(Clone, Debug)]
enum Step {
    Append {
        count: u64,
        bytes: usize,
    },
    Cut {
        back: u64,
    },
    Purge {
        upto: u64,
    },
    Beyond {
        gap: u64,
    },
    /// A snapshot from elsewhere, at an index of this log or beyond; and whether what is there is of another term.
    BeginAfter {
        index: u64,
        other: Option<bool>,
    },
    /// An entry that skips another one.
    Skip {
        back: u64,
    },
    Vote {
        term: u64,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..40u64, 0..3000usize).prop_map(|(count, bytes)| Step::Append { count, bytes }),
        2 => (1..60u64).prop_map(|back| Step::Cut { back }),
        2 => (0..80u64).prop_map(|upto| Step::Purge { upto }),
        1 => (1..20u64).prop_map(|gap| Step::Beyond { gap }),
        2 => (0..90u64, prop::option::of(any::<bool>())).prop_map(|(index, other)| Step::BeginAfter { index, other }),
        2 => (1..30u64).prop_map(|back| Step::Skip { back }),
        1 => (1..9u64).prop_map(|term| Step::Vote { term }),
        1 => Just(Step::Restart),
    ]
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn entry(term: u64, index: u64, bytes: usize) -> LogEntry {
    let entry = Entry { seq: term * 1000 + index, payload: vec![index as u8; bytes], ..Entry::default() };
    LogEntry { log_id: log_id(term, index), payload: EntryPayload::Normal(Command::Entry(Arc::new(entry))) }
}

async fn append(log: &mut GroupLog, entries: Vec<LogEntry>) -> io::Result<()> {
    let (tx, rx) = Types::oneshot();
    log.append(entries, IOFlushed::signal(tx)).await?;
    rx.await.unwrap()
}

async fn play(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = open_disk(dir.path());
    let mut log = GroupLog::open(disk.clone(), 9).unwrap();
    let (mut model, mut purged, mut term) = (BTreeMap::<u64, LogEntry>::new(), None::<LogId>, 1);
    let mut vote = None;
    for step in steps {
        let end = model.last_key_value().map_or(purged.map_or(0, |p: LogId| p.index + 1), |(i, _)| i + 1);
        match step {
            Step::Append { count, bytes } => {
                let new: Vec<_> = (end..end + count).map(|i| entry(term, i, bytes)).collect();
                model.extend(new.iter().map(|e| (e.log_id.index, e.clone())));
                append(&mut log, new).await.unwrap();
            }
            Step::Cut { back } => {
                let keep = end.saturating_sub(back);
                let last = model.range(..keep).next_back().map(|(_, e)| e.log_id).or(purged);
                model.split_off(&last.map_or(0, |l| l.index + 1));
                log.truncate_after(last).await.unwrap();
                // What replaces it comes from another leader.
                term += 1;
            }
            Step::Purge { upto } => {
                let Some(at) = model.range(..=upto).next_back().map(|(_, e)| e.log_id) else { continue };
                model = model.split_off(&(at.index + 1));
                purged = Some(at);
                log.purge(at).await.unwrap();
            }
            Step::Beyond { gap } => {
                let at = log_id(term, end + gap);
                model.clear();
                purged = Some(at);
                log.purge(at).await.unwrap();
            }
            Step::BeginAfter { index, other } => {
                let index = purged.map_or(0, |p| p.index + 1) + index;
                let there = model.get(&index).map(|e| e.log_id);
                let at = match other {
                    None => there.unwrap_or(log_id(term, index)),
                    // Of one who leads later than anybody in this log, or of one who led before.
                    Some(later) => log_id(if later { term + 1 } else { purged.map_or(1, |p| term_of(&p)) }, index),
                };
                if there == Some(at) {
                    model = model.split_off(&(index + 1));
                } else {
                    model.clear();
                }
                (purged, term) = (Some(at), term.max(term_of(&at)));
                log.begin_after(at).unwrap();
            }
            Step::Skip { back } => {
                let Some(index) = end.checked_sub(back) else { continue };
                let skip = EntryPayload::Normal(Command::Skip { index });
                let skip = LogEntry { log_id: log_id(term, end), payload: skip };
                model.insert(end, skip.clone());
                append(&mut log, vec![skip]).await.unwrap();
            }
            Step::Vote { term } => {
                vote = Some(Vote::new(term, 3));
                log.save_vote(&Vote::new(term, 3)).await.unwrap();
            }
            Step::Restart => {
                disk.close();
                drop((log, disk));
                disk = open_disk(dir.path());
                log = GroupLog::open(disk.clone(), 9).unwrap();
            }
        }
        let wanted: Vec<LogEntry> = model.values().cloned().collect();
        assert_eq!(log.try_get_log_entries(..).await.unwrap(), wanted);
        let state = log.get_log_state().await.unwrap();
        assert_eq!(state.last_purged_log_id, purged);
        assert_eq!(state.last_log_id, wanted.last().map(|e| e.log_id).or(purged));
        assert_eq!(log.read_vote().await.unwrap(), vote);
        for index in model.keys() {
            let skips =
                |e: &LogEntry| matches!(e.payload, EntryPayload::Normal(Command::Skip { index: i }) if i == *index);
            assert_eq!(log.skip_of(*index).is_some(), model.values().any(skips), "{index}");
        }
        if let (Some(first), Some(last)) = (wanted.first(), wanted.last()) {
            let (first, end) = (first.log_id.index, last.log_id.index + 1);
            let middle = (first + end) / 2;
            let part = log.limited_get_log_entries(middle, end).await.unwrap();
            assert!(!part.is_empty() && part[..] == wanted[(middle - first) as usize..][..part.len()]);
        }
    }
    disk.close();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn the_log_is_its_model_through_cuts_purges_and_restarts(steps in prop::collection::vec(step(), 1..25)) {
        run(play(steps));
    }
}

#[test]
fn an_append_that_would_leave_a_hole_is_refused() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let mut log = GroupLog::open(open_disk(dir.path()), 9).unwrap();
        append(&mut log, vec![entry(1, 0, 1), entry(1, 1, 1)]).await.unwrap();
        assert!(append(&mut log, vec![entry(1, 3, 1)]).await.is_err());
        append(&mut log, vec![entry(1, 2, 1)]).await.unwrap();
    });
}

#[test]
fn a_write_after_the_log_was_closed_fails_and_is_answered() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let disk = open_disk(dir.path());
        let mut log = GroupLog::open(disk.clone(), 9).unwrap();
        disk.close();
        assert!(append(&mut log, vec![entry(1, 0, 1)]).await.is_err());
        assert!(log.save_vote(&Vote::new(1, 1)).await.is_err());
    });
}

#[test]
fn what_a_snapshot_of_a_later_term_has_other_entries_for_is_known_and_goes() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let disk = open_disk(dir.path());
        let mut log = GroupLog::open(disk.clone(), 9).unwrap();
        assert!(!log.is_superseded(log_id(2, 0)), "an empty log has nothing else");
        append(&mut log, (0..6).map(|index| entry(1, index, 1)).collect()).await.unwrap();
        for (term, index, superseded) in [(2, 5, true), (2, 3, true), (2, 6, false), (1, 5, false), (1, 3, false)] {
            assert_eq!(log.is_superseded(log_id(term, index)), superseded, "{index} of term {term}");
        }
        log.begin_after(log_id(2, 3)).unwrap();
        // Behind it in the queue.
        log.save_vote(&Vote::new(2, 1)).await.unwrap();
        for log in [&log, &GroupLog::open(disk.clone(), 9).unwrap()] {
            assert_eq!((log.purged(), log.last_index(), log.is_superseded(log_id(2, 3))), (3, 3, false));
        }
        append(&mut log, vec![entry(2, 4, 1)]).await.unwrap();
        assert_eq!(log.last_index(), 4);
    });
}
