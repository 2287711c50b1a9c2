//! The disk of a node is put back as it was once, as somebody does who goes back to a snapshot of a machine.
//!
//! 1. Not one acknowledged call is lost or doubled, and nobody has to do anything: the oracle is in `pando_tests::load`.
//! 2. The node keeps its number and counts again, in groups that its old disk had and in those that it has never heard of.

use std::time::Duration;

use pando_tests::{
    Asker, Realm, Spawn,
    guests::{order, verb},
    load::Load,
    until,
};

const PATIENCE: Duration = Duration::from_secs(60);
const CALLERS: usize = 8;
/// A node has told the others by then how far its disk has come.
const TOLD: Duration = Duration::from_millis(2_500);

async fn held_by_all(asker: &Asker, name: &str) {
    until(&format!("{name} is held by all three again"), PATIENCE, async || {
        let row = asker.row(name).await?;
        (row.voters == [1, 2, 3] && row.wanted == row.voters && asker.agrees(name, &[1, 2, 3]).await).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_is_put_back_as_it_was_comes_back_by_itself_and_nothing_is_lost_or_doubled() {
    let mut realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("tally").replicas(3).name("hits")).await;
    let load = Load::start(&realm, "hits", CALLERS).await;
    load.go_on(200, PATIENCE).await;
    realm.kill(2);
    let kept = realm.keep(2);
    realm.boot(&[2]).await;
    load.go_on(300, PATIENCE).await;
    // Of this one the copy knows nothing.
    asker.spawn(Spawn::guest("tally").replicas(3).name("later")).await;
    for _ in 0..20 {
        asker.order("later", order(verb::TALLY, 0, 0, &[]), &[]).await;
    }
    load.go_on(300, PATIENCE).await;
    tokio::time::sleep(TOLD).await;
    realm.kill(2);
    realm.put_back(2, &kept);
    realm.boot(&[2]).await;
    load.go_on(100, PATIENCE).await;
    for name in ["hits", "later"] {
        held_by_all(&asker, name).await;
    }
    assert!(realm.said(2).contains("older copy"), "it was not recognised");
    // It counts again: with it there is a majority.
    realm.kill(3);
    load.go_on(100, PATIENCE).await;
    realm.boot(&[3]).await;
    load.go_on(100, PATIENCE).await;
    let toll = load.stop().await;
    assert_eq!(toll.complaints, Vec::<String>::new(), "{toll:?}");
    assert_eq!(asker.query("hits", order(verb::TALLY, 0, 0, &[])).await.number() as u64, toll.calls);
    assert_eq!(asker.query("later", order(verb::TALLY, 0, 0, &[])).await.number(), 20);
    for name in ["hits", "later"] {
        held_by_all(&asker, name).await;
    }
}
