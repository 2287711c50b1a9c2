//! A realm of real processes through a bad day: seeded faults under load, and an oracle that believes nobody.
//!
//! ```sh
//! cargo run --release -p pando-tests --bin campaign -- --seed 7 --minutes 10
//! ```
//!
//! Owns: the order of a day. [`plan`] draws from the seed what happens; [`nemesis`] does it to [`field`], the processes and
//! the network between them; [`clients`] ask all the while and keep [`history`]; [`oracle`] says what is wrong with it;
//! [`report`] is what a person reads.
//!
//! 1. The plan is the seed's. When exactly packets and answers come is the machine's, so a seed that has found something
//!    finds it again often, not always.
//! 2. After every trouble everything is healed, and each group has to answer in bounded time.
//! 3. In the end nothing acknowledged is missing, nothing counts twice, and all replicas are one.

pub mod clients;
pub mod field;
pub mod history;
pub mod nemesis;
pub mod oracle;
pub mod plan;
pub mod report;
pub mod workload;

use std::{path::PathBuf, time::Duration};

use tokio::time::Instant;

use self::{field::Field, nemesis::Nemesis, plan::Plan, report::Report, workload::Workload};

/// What a day is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Campaign {
    /// Where the plan comes from.
    pub seed: u64,
    /// How long faults happen.
    pub length: Duration,
    /// Processes.
    pub nodes: u32,
    /// Where histories and logs are kept. Without it they are kept, in the folder for temporary files, if something is wrong.
    pub keep: Option<PathBuf>,
}

/// Runs a day and says what came of it. What is wrong is in the report, not a panic.
pub async fn run(campaign: Campaign) -> Report {
    assert!((3..=5).contains(&campaign.nodes), "a campaign has 3 to 5 nodes");
    let mut field = Field::found(campaign.seed, campaign.nodes).await;
    let mut workload = Workload::start(&field, campaign.seed).await;
    let mut report = Report::new(&campaign);
    report.head();
    let until = Instant::now() + campaign.length;
    let mut nemesis = Nemesis::new(campaign.nodes);
    for episode in Plan::new(campaign.seed, campaign.nodes) {
        nemesis.play(&mut field, &workload, &mut report, &episode).await;
        if Instant::now() >= until || report.is_hopeless() {
            break;
        }
    }
    let wrong = workload.finish(&mut field, &mut report).await;
    report.wrong.extend(wrong);
    report.packets = field.proxy().counts();
    report.sum_up(&workload);
    if campaign.keep.is_some() || !report.wrong.is_empty() {
        report.keep(&field, &workload);
    }
    report
}
