//! A bad day in short, on two seeds: what `--bin campaign` runs for as long as one likes.
//!
//! 1. `PANDO_CAMPAIGN_SECONDS=600 cargo test --release -p pando-tests --test campaign` gives each ten minutes.

use std::time::Duration;

use pando_tests::campaign::{Campaign, run};

async fn check(seed: u64, nodes: u32) {
    let seconds = std::env::var("PANDO_CAMPAIGN_SECONDS").ok().and_then(|text| text.parse().ok());
    let campaign = Campaign { seed, length: Duration::from_secs(seconds.unwrap_or(45)), nodes, keep: None };
    let report = run(campaign).await;
    let summary = report.summary();
    assert!(report.wrong.is_empty(), "{summary}");
    eprintln!("{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_lose_nothing_and_do_nothing_twice_whatever_happens_to_them() {
    check(1, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_lose_nothing_and_do_nothing_twice_whatever_happens_to_them() {
    check(2, 5).await;
}
