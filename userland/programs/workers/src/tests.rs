use pando::{
    ExitKind,
    testing::{Effect, Outgoing, Peer, Test},
};

use super::*;

/// A boss with so many workers.
fn boss(workers: u32) -> (Test<Workers>, Vec<Peer>) {
    let mut boss = Test::<Workers>::start((Some(workers),));
    let children = (0..workers).map(|_| hired(&mut boss)).collect();
    (boss, children)
}

fn hired(boss: &mut Test<Workers>) -> Peer {
    let spawned = boss.expect_spawn();
    assert_eq!(spawned.arguments.args::<(Option<u32>,)>(), (Some(0),));
    assert!(matches!(boss.next_effect(), Some(Effect::Monitor { of, .. }) if of == spawned.child));
    spawned.child
}

fn job(boss: &mut Test<Workers>, worker: &Peer, below: u32) -> Outgoing {
    let call = boss.expect_call(worker, "primes");
    assert_eq!(call.args::<(u32,)>(), (below,));
    call
}

#[test]
fn jobs_go_to_free_workers_and_wait_for_one() {
    let (mut boss, workers) = boss(2);
    let asked: Vec<_> = [10, 20, 30].iter().map(|below| boss.begin(|b| b.submit(*below))).collect();
    let (first, second) = (job(&mut boss, &workers[0], 10), job(&mut boss, &workers[1], 20));
    boss.expect_nothing();
    assert_eq!(boss.ask(|b| b.status()).unwrap(), Status { workers: 2, busy: 2, waiting: 1, done: 0, replaced: 0 });
    boss.reply(second, Ok(8u64));
    assert_eq!(boss.answer(&asked[1]), Some(Ok(8)));
    let third = job(&mut boss, &workers[1], 30);
    boss.reply(first, Ok(4u64));
    boss.reply(third, Ok(10u64));
    assert_eq!((boss.answer(&asked[0]), boss.answer(&asked[2])), (Some(Ok(4)), Some(Ok(10))));
    assert_eq!(boss.ask(|b| b.status()).unwrap(), Status { workers: 2, busy: 0, waiting: 0, done: 3, replaced: 0 });
}

#[test]
fn a_worker_that_ends_is_replaced_and_its_job_is_done_by_another() {
    let (mut boss, workers) = boss(1);
    let asked = boss.begin(|b| b.submit(10));
    let lost = job(&mut boss, &workers[0], 10);
    boss.reply::<u64>(lost, Err(Errno::DEAD.into()));
    boss.expect_nothing();
    boss.down(&workers[0], ExitKind::Fault, "unreachable");
    let successor = hired(&mut boss);
    let again = job(&mut boss, &successor, 10);
    boss.reply(again, Ok(4u64));
    assert_eq!(boss.answer(&asked), Some(Ok(4)));
    assert_eq!(boss.ask(|b| b.status()).unwrap().replaced, 1);
    assert_eq!(boss.handles(), 1);
}

#[test]
fn a_job_that_no_worker_survives_is_given_up() {
    let (mut boss, mut workers) = boss(1);
    let asked = boss.begin(|b| b.submit(10));
    for _ in 0..3 {
        let worker = workers.pop().unwrap();
        let lost = job(&mut boss, &worker, 10);
        boss.reply::<u64>(lost, Err(Errno::TRAPPED.into()));
        boss.down(&worker, ExitKind::Fault, "");
        workers.push(hired(&mut boss));
    }
    let error = boss.answer(&asked).unwrap().unwrap_err();
    assert!(error.words().starts_with("given up after 3 workers"), "{error}");
    boss.expect_nothing();
}

#[test]
fn a_worker_can_be_told_to_crash() {
    let (mut boss, workers) = boss(2);
    boss.ask(|b| b.crash(1)).unwrap();
    boss.expect_send(&workers[1], "fall_over");
    assert!(boss.ask(|b| b.crash(2)).is_err());
}

#[test]
fn a_worker_counts_and_takes_no_jobs() {
    let mut worker = Test::<Workers>::start((Some(0),));
    assert_eq!(worker.ask(|w| w.primes(100)), Ok(25));
    assert_eq!(worker.ask(|w| w.submit(10)).unwrap_err().words(), "this is no boss");
}

#[test]
fn primes_are_counted_right() {
    for (below, count) in [(0, 0), (2, 0), (3, 1), (100, 25), (8_194, 1_028), (20_000, 2_262), (200_000, 17_984)] {
        let honest = |n: u32| n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
        if below <= 20_000 {
            assert_eq!((0..below).filter(|n| honest(*n)).count() as u64, count, "below {below}");
        }
        assert_eq!(primes(below), count, "below {below}");
    }
}
