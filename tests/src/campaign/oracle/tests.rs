use super::*;

fn op(what: What, asked: u64, told: u64, outcome: Outcome) -> Op {
    Op { client: 1, what, asked, told, outcome, index: 0, node: 1, attempts: 1 }
}
fn add(asked: u64, told: u64, value: u64) -> Op {
    op(What::Add, asked, told, Outcome::Value(value))
}
fn unknown(asked: u64, told: u64) -> Op {
    op(What::Add, asked, told, Outcome::Unknown)
}
fn refused(asked: u64, told: u64) -> Op {
    op(What::Add, asked, told, Outcome::Refused)
}
fn linear(asked: u64, told: u64, value: u64) -> Op {
    op(What::Linear, asked, told, Outcome::Value(value))
}
fn fin(asked: u64, told: u64, value: u64) -> Op {
    op(What::Final, asked, told, Outcome::Value(value))
}

fn check(ops: &[Op], last: u64, expected: &[Kind]) {
    let wrong = judge("it", ops, Some(last));
    let kinds: Vec<Kind> = wrong.iter().map(|w| w.kind).collect();
    assert_eq!(kinds, expected, "{wrong:?}");
}

#[test]
fn a_good_history_is_good() {
    check(&[], 0, &[]);
    // Side by side, in any order; reads of either kind; a final one that is old.
    let ops = [add(0, 9, 2), add(1, 8, 1), linear(2, 7, 1), add(10, 11, 3), linear(12, 13, 3), fin(12, 13, 0)];
    check(&ops, 3, &[]);
}

#[test]
fn an_unknown_addition_counts_once_or_not_at_all_and_a_refused_one_never() {
    let ops = [add(0, 1, 1), unknown(2, 3), refused(2, 3), add(4, 5, 3)];
    check(&ops, 3, &[]);
    check(&[add(0, 1, 1), unknown(2, 3), add(4, 5, 2)], 2, &[]);
    // It took effect after everything else.
    check(&[add(0, 1, 1), unknown(2, 3), add(4, 5, 2)], 3, &[]);
    check(&[add(0, 1, 1), unknown(2, 3), add(4, 5, 2)], 4, &[Kind::Doubled]);
    check(&[add(0, 1, 1), refused(2, 3), add(4, 5, 3)], 3, &[Kind::Doubled]);
}

#[test]
fn a_lost_acknowledgement_is_caught() {
    // Two were told the same: one of the additions is gone.
    check(&[add(0, 5, 1), add(0, 6, 1), add(0, 7, 2)], 2, &[Kind::Lost]);
    // The last ones are gone.
    check(&[add(0, 1, 1), add(2, 3, 2)], 1, &[Kind::Lost]);
    check(&[add(0, 1, 1)], 0, &[Kind::Lost]);
}

#[test]
fn a_doubled_addition_is_caught() {
    check(&[add(0, 1, 1), add(2, 3, 3)], 3, &[Kind::Doubled]);
    check(&[add(0, 1, 1), add(2, 3, 2)], 3, &[Kind::Doubled]);
}

#[test]
fn a_stale_linear_read_is_caught_and_a_final_one_may_be_old() {
    check(&[add(0, 1, 1), add(2, 3, 2), linear(4, 5, 1)], 2, &[Kind::Stale]);
    // Older than what another read has told.
    check(&[add(0, 9, 1), linear(1, 2, 1), linear(3, 4, 0)], 1, &[Kind::Stale]);
    check(&[add(0, 1, 1), add(2, 3, 2), fin(4, 5, 1)], 2, &[]);
}

#[test]
fn a_read_of_what_has_not_happened_is_caught() {
    check(&[add(0, 1, 1), fin(2, 3, 2), add(4, 5, 2)], 2, &[Kind::Invented]);
    check(&[linear(0, 1, 1), add(2, 3, 1)], 1, &[Kind::Reordered, Kind::Invented]);
    // Enough was asked for, but the value belongs to somebody who asked later.
    check(&[add(0, 9, 1), unknown(0, 9), fin(1, 2, 2), add(3, 4, 2)], 2, &[Kind::Invented]);
}

#[test]
fn reordered_additions_are_caught() {
    check(&[add(0, 1, 2), add(2, 3, 1)], 2, &[Kind::Reordered]);
}

#[test]
fn a_read_that_lags_behind_its_own_index_is_caught() {
    let at = |index, op: Op| Op { index, ..op };
    check(&[at(5, add(0, 9, 2)), at(6, add(0, 9, 1)), at(6, fin(0, 9, 2))], 2, &[]);
    check(&[at(5, add(0, 9, 2)), at(6, add(0, 9, 1)), at(4, fin(0, 9, 0))], 2, &[]);
    check(&[at(5, add(0, 9, 2)), at(6, add(0, 9, 1)), at(5, fin(0, 9, 1))], 2, &[Kind::Reordered]);
}

#[test]
fn many_of_one_kind_are_told_in_few_lines() {
    let ops: Vec<Op> = (0..100).map(|_| add(0, 1, 1)).collect();
    assert_eq!(judge("it", &ops, Some(1)).len(), OF_ONE_KIND_MAX + 1);
}

#[test]
fn puts_have_their_places_and_a_broken_chain_is_caught() {
    let (places_of, wrong) = places("it", &[(7, 0), (5, 7), (9, 5)], &[]);
    assert_eq!((wrong, places_of), (vec![], BTreeMap::from([(0, 0), (7, 1), (5, 2), (9, 3)])));
    let kinds = |puts: &[(u64, u64)]| places("it", puts, &[]).1.iter().map(|w| w.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&[(7, 0), (5, 0)]), [Kind::Lost]);
    assert_eq!(kinds(&[(7, 0), (5, 7), (7, 5)]), [Kind::Doubled]);
    assert_eq!(kinds(&[(7, 0), (5, 8)]), [Kind::Invented]);
}

#[test]
fn a_put_that_nobody_was_told_of_has_a_place_if_somebody_replaced_it() {
    let (places_of, wrong) = places("it", &[(7, 0), (9, 5)], &[5, 6]);
    assert_eq!((wrong, places_of), (vec![], BTreeMap::from([(0, 0), (7, 1), (5, 2), (9, 3)])));
}

/// Every history of a real counter is good, and every mutation of one is seen: what was told is moved by one.
#[test]
fn no_single_wrong_answer_goes_unseen() {
    // Each addition is alone in its time, so every value is determined.
    let ops: Vec<Op> = (1..=50).map(|n| add(10 * n, 10 * n + 5, n)).collect();
    check(&ops, 50, &[]);
    for at in 0..50 {
        for change in [-1, 1] {
            let mut ops = ops.clone();
            let value = (at as i64 + 1 + change) as u64;
            ops[at].outcome = Outcome::Value(value);
            assert!(!judge("it", &ops, Some(50)).is_empty(), "{at} told {value}");
        }
        let mut ops = ops.clone();
        ops[at].what = What::Linear;
        assert!(!judge("it", &ops, Some(50)).is_empty(), "an addition that nobody asked for, before {at}");
    }
}
