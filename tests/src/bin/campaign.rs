//! A realm of real processes through a bad day: `campaign --seed N --minutes M [--nodes 3|4|5] [--keep FOLDER]`.
//!
//! It ends with 0 if nothing was wrong, and with 1 and the command that has the same day again otherwise.

use std::{process::ExitCode, time::Duration};

use pando_tests::campaign::{Campaign, run};

const USAGE: &str = "campaign --seed N --minutes M [--nodes 3|4|5] [--keep FOLDER]";

fn main() -> ExitCode {
    let campaign = match parse(std::env::args().skip(1)) {
        Ok(campaign) => campaign,
        Err(why) => {
            eprintln!("{why}; {USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let report = runtime.block_on(run(campaign));
    println!("{}", report.summary());
    if report.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Campaign, String> {
    let mut campaign = Campaign { seed: 1, length: Duration::from_secs(60), nodes: 3, keep: None };
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} wants a value"))?;
        let bad = |_| format!("{flag} {value} is not a number that fits");
        match flag.as_str() {
            "--seed" => campaign.seed = value.parse().map_err(bad)?,
            "--nodes" => campaign.nodes = value.parse().map_err(bad)?,
            "--keep" => campaign.keep = Some(value.into()),
            "--minutes" => {
                let minutes: f64 = value.parse().map_err(|_| format!("--minutes {value} is not a number"))?;
                campaign.length = Duration::try_from_secs_f64(minutes * 60.0).map_err(|e| e.to_string())?;
            }
            _ => return Err(format!("{flag} is not known")),
        }
    }
    if !(3..=5).contains(&campaign.nodes) {
        return Err("a campaign has 3 to 5 nodes".to_owned());
    }
    Ok(campaign)
}
