//! Machines that come and go: tickets, replicas that move, nodes that are drained, removed, replaced, and wiped disks.
//!
//! Real processes, as people start them: what a person would type is typed.

use std::time::Duration;

use pando_admin::{ActorRow, NodeRow, Reply, Request};
use pando_tests::{
    Asker, Realm, Spawn,
    guests::{order, verb},
    load::Load,
    shell::{Said, pando},
    until,
};

const PATIENCE: Duration = Duration::from_secs(60);

async fn tally(asker: &Asker, name: &str, replicas: u8) -> ActorRow {
    asker.spawn(Spawn::guest("tally").replicas(replicas).name(name)).await
}

fn typed(realm: &Realm, line: &str) -> Said {
    pando(realm.data(), &line.split(' ').collect::<Vec<_>>())
}

/// What a person types must be done.
fn done(realm: &Realm, line: &str) -> String {
    let said = typed(realm, line);
    assert_eq!(said.code, 0, "{line}: {said:?}");
    said.out
}

async fn node(asker: &Asker, number: u32) -> Option<NodeRow> {
    asker.nodes().await.into_iter().find(|row| row.node == number)
}

async fn voters(asker: &Asker, name: &str) -> Vec<u32> {
    asker.row(name).await.expect("a row").voters
}

/// Waits until exactly these hold it, and nothing is on its way.
async fn held_by(asker: &Asker, name: &str, wanted: &[u32]) {
    until(&format!("{name} is held by {wanted:?}"), PATIENCE, async || {
        let row = asker.row(name).await?;
        (row.voters == wanted && row.wanted == wanted && row.state == "running").then_some(())
    })
    .await;
}

/// How many replicas are on a node's disk.
async fn replicas_on(asker: &Asker, number: u32) -> u64 {
    let row = asker.top().await.into_iter().find(|row| row.node == number);
    row.unwrap_or_else(|| panic!("n{number} does not answer")).groups
}

/// Every node that holds it has the same history.
async fn agreed(asker: &Asker, name: &str) {
    until(&format!("the replicas of {name} agree"), PATIENCE, async || {
        asker.agrees(name, &voters(asker, name).await).await.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_a_ticket_becomes_a_node_and_takes_over_replicas_while_calls_go_on() {
    let mut realm = Realm::start(3).await;
    let asker = realm.asker();
    let address = tally(&asker, "hits", 3).await.address;
    let load = Load::start(&realm, "hits", 6).await;
    realm.admit(4).await;
    let row = until("n4 is known", PATIENCE, async || node(&asker, 4).await.filter(|row| row.up)).await;
    assert!(row.up && row.voter && row.standing == "present", "{row:?}");
    until("everybody knows n4", PATIENCE, async || done(&realm, "nodes").contains("n4").then_some(())).await;
    // One more, another place, one less: the address stays, and nobody who calls is told anything.
    assert!(done(&realm, "group add hits n4").contains("voters n1 n2 n3 n4"));
    held_by(&asker, "hits", &[1, 2, 3, 4]).await;
    assert!(done(&realm, "group remove hits n2").contains("voters n1 n3 n4"));
    held_by(&asker, "hits", &[1, 3, 4]).await;
    until("n2 has nothing of it on its disk", PATIENCE, async || (replicas_on(&asker, 2).await == 0).then_some(()))
        .await;
    assert!(done(&realm, "group move hits n1 n2").contains("voters n2 n3 n4"));
    held_by(&asker, "hits", &[2, 3, 4]).await;
    let goal = load.answered() + 100;
    until("calls go on", PATIENCE, async || (load.answered() >= goal).then_some(())).await;
    let toll = load.stop().await;
    assert_eq!(toll.complaints, Vec::<String>::new(), "{toll:?}");
    let value = asker.query("hits", order(verb::TALLY, 0, 0, &[])).await.number();
    assert_eq!(value as u64, toll.calls, "the group counts otherwise than its callers");
    assert_eq!(asker.row("hits").await.expect("a row").address, address);
    agreed(&asker, "hits").await;
    // The newcomer counts like anybody else, and comes back by itself.
    realm.kill(4);
    let before = asker.call("hits add").await.number();
    realm.boot(&[4]).await;
    realm.kill(3);
    assert_eq!(asker.call("hits add").await.number(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_good_for_one_node_and_for_nothing_else() {
    let mut realm = Realm::start(1).await;
    let ticket = realm.ticket();
    let folder = tempfile::tempdir().expect("a folder");
    let data = realm.data().to_owned();
    let join = |ticket: &str, name: &str| {
        let dir = folder.path().join(name);
        pando(&data, &["node", "--join", ticket, "--dir", dir.to_str().expect("a path")])
    };
    let mut cut = ticket.clone();
    cut.truncate(ticket.len() - 9);
    let said = join(&cut, "cut");
    assert!(said.code == 2 && said.err.contains("this is not a ticket"), "{said:?}");
    // Somebody else was faster.
    realm.admit(2).await;
    let used = realm.ticket();
    let client = pando_admin::Client::new(
        used.parse::<pando_admin::Ticket>().expect("a ticket").identity(),
        realm.genesis().realm,
        realm.genesis().nodes.clone(),
    );
    // It opens no other door.
    let refused = client.ask(Request::Nodes, PATIENCE).await.expect_err("a ticket is no user's key");
    assert!(refused.to_string().contains("joining only"), "{refused}");
    let addr = "127.0.0.1:9".to_owned();
    let Ok(Reply::Joined { node: first, .. }) =
        client.ask(Request::Join { key: [5; 32], addr: addr.clone() }, PATIENCE).await
    else {
        panic!("the first node was not admitted")
    };
    let Ok(Reply::Joined { node: again, .. }) = client.ask(Request::Join { key: [5; 32], addr }, PATIENCE).await else {
        panic!("the same node was not told its number again")
    };
    assert_eq!((first, again), (3, 3));
    let said = join(&used, "late");
    assert!(said.code == 1 && said.err.contains("the ticket was used already: n3 came with it"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_holds_nothing_and_can_be_removed_without_loss() {
    let mut realm = Realm::start(4).await;
    let asker = realm.asker();
    for name in ["a", "b", "c"] {
        tally(&asker, name, 3).await;
        asker.call(&format!("{name} add")).await;
    }
    asker.spawn(Spawn::guest("sentinel").on(2).name("plain")).await;
    let said = done(&realm, "drain n2");
    assert!(said.contains("n2 drained") && said.contains("1 plain actor moved to another node"), "{said}");
    assert_ne!(asker.row("plain").await.expect("a row").node, 2);
    for name in ["a", "b", "c"] {
        held_by(&asker, name, &[1, 3, 4]).await;
        agreed(&asker, name).await;
    }
    until("n2 holds nothing", PATIENCE, async || (replicas_on(&asker, 2).await == 0).then_some(())).await;
    until("n2 is drained and has no vote", PATIENCE, async || {
        node(&asker, 2).await.filter(|row| !row.voter && row.standing == "drained").map(|_| ())
    })
    .await;
    // Nothing new goes there, however much it is wished for.
    tally(&asker, "d", 3).await;
    held_by(&asker, "d", &[1, 3, 4]).await;
    let refused = asker.try_spawn(Spawn::guest("sentinel").on(2)).await.expect_err("n2 takes nothing new");
    assert!(refused.text.contains("n2 takes nothing new"), "{refused:?}");
    done(&realm, "undrain n2");
    until("everybody knows that n2 may hold things again", PATIENCE, async || {
        node(&asker, 2).await.filter(|row| row.standing == "present").map(|_| ())
    })
    .await;
    done(&realm, "drain n2");
    realm.stop(&[2]).await;
    done(&realm, "remove-node n2");
    until("everybody knows that n2 is gone", PATIENCE, async || node(&asker, 2).await.is_none().then_some(())).await;
    // The actor that was born there goes on under its old address.
    asker.order("plain", order(verb::REPORT, 0, 0, &[]), &[]).await;
    // Three are left, of which one may go.
    realm.kill(3);
    for name in ["a", "b", "c"] {
        assert_eq!(asker.call(&format!("{name} add")).await.number(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_was_wiped_is_refused_and_its_machine_comes_back_under_a_new_number() {
    let mut realm = Realm::start(3).await;
    let asker = realm.asker();
    tally(&asker, "hits", 3).await;
    for n in 1..=20 {
        assert_eq!(asker.call("hits add").await.number(), n);
    }
    realm.kill(2);
    realm.wipe(2);
    realm.launch(2);
    let last = realm.ended(2).await;
    assert!(last.contains("n2 has taken part before") && last.contains("`remove-node n2`"), "{last}");
    // A second time it fares no better.
    realm.launch(2);
    realm.ended(2).await;
    assert_eq!(asker.call("hits add").await.number(), 21);
    done(&realm, "remove-node n2");
    held_by(&asker, "hits", &[1, 3]).await;
    // What the realm knows of it is told, and it is not asked for twice.
    assert!(done(&realm, "remove-node n2").contains("n2 removed"));
    realm.admit(4).await;
    // It gets what the one before had, by itself.
    held_by(&asker, "hits", &[1, 3, 4]).await;
    agreed(&asker, "hits").await;
    until("n4 votes", PATIENCE, async || node(&asker, 4).await.filter(|row| row.voter).map(|_| ())).await;
    realm.kill(1);
    assert_eq!(asker.call("hits add").await.number(), 22);
    until("everybody knows who there is", PATIENCE, async || {
        let mut numbers: Vec<u32> = asker.nodes().await.into_iter().map(|row| row.node).collect();
        numbers.sort_unstable();
        (numbers == [1, 3, 4]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_of_a_node_that_is_gone_too_long_are_made_anew_where_there_is_room() {
    let mut realm = Realm::start(4).await;
    let asker = realm.asker();
    tally(&asker, "hits", 3).await;
    assert!(done(&realm, "settings").contains("replace-after  10 m"));
    done(&realm, "settings --replace-after 2s");
    let before = voters(&asker, "hits").await;
    let spare = (1..=4).find(|node| !before.contains(node)).expect("four nodes, three voters");
    let gone = before[2];
    asker.call("hits add").await;
    realm.kill(gone);
    let mut wanted: Vec<u32> = before.iter().copied().filter(|node| *node != gone).chain([spare]).collect();
    wanted.sort_unstable();
    held_by(&asker, "hits", &wanted).await;
    until("everybody knows that it is away", PATIENCE, async || {
        node(&asker, gone).await.filter(|row| row.standing == "away").map(|_| ())
    })
    .await;
    assert_eq!(asker.call("hits add").await.number(), 2);
    agreed(&asker, "hits").await;
    // It is back, and has nothing to do.
    realm.boot(&[gone]).await;
    until("it counts as there again", PATIENCE, async || {
        let row = node(&asker, gone).await?;
        (row.standing == "present" && replicas_on(&asker, gone).await == 0).then_some(())
    })
    .await;
    assert_eq!(voters(&asker, "hits").await, wanted);
}
