//! The last questions: once everything is healed and nobody asks any more, what is there?

use std::{collections::BTreeMap, sync::PoisonError, time::Duration};

use tokio::time::{Instant, sleep};

use super::{GROUPS, KEYS, Workload, clerks, plain};
use crate::{
    Asker,
    campaign::{
        field::Field,
        history::{Op, Outcome},
        oracle::{Kind, Wrong, judge, places},
        report::Report,
    },
    guests::{order, verb},
};

/// How long anything is waited for that has nothing in its way any more.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(super) async fn questions(workload: &Workload, field: &mut Field, report: &mut Report) -> Vec<Wrong> {
    let asker = field.direct();
    let mut wrong = Vec::new();
    let began = Instant::now();
    for (name, body) in [("hits", order(verb::TALLY, 0, 0, &[])), ("votes", clerks::cbor("value", &[]))] {
        let history = workload.tracks.iter().find(|t| t.name == name).map(|t| t.history.all()).unwrap_or_default();
        let last = everywhere(&asker, field.nodes(), name, &body, &mut wrong).await;
        wrong.extend(judge(name, &history, last));
    }
    wrong.extend(registers(workload, &asker, field.nodes()).await);
    for (track, to, line) in [("post to desk", "desk", 0), ("desk to post", "post", 2)] {
        let history = workload.tracks.iter().find(|t| t.name == track).map(|t| t.history.all()).unwrap_or_default();
        wrong.extend(letters(&asker, track, to, line, &history).await);
    }
    for track in workload.tracks.iter().filter(|t| t.name == "post to slip") {
        wrong.extend(judge(&track.name, &track.history.all(), None));
    }
    for life in workload.keeper.lives() {
        wrong.extend(judge(&life.brief, &life.history.all(), None));
    }
    for group in GROUPS {
        wrong.extend(agreed(&asker, field.nodes(), group).await);
    }
    report.settled = began.elapsed();
    wrong
}

/// What a group says in the end, asked through every node.
async fn everywhere(asker: &Asker, nodes: u32, name: &str, body: &[u8], wrong: &mut Vec<Wrong>) -> Option<u64> {
    let mut told = BTreeMap::new();
    for node in 1..=nodes {
        match linear(asker, node, name, body).await {
            Some(value) => {
                told.insert(node, value.as_u64().unwrap_or(u64::MAX));
            }
            None => wrong.push(Wrong::new(Kind::Stuck, name, format!("n{node} does not answer in the end"))),
        }
    }
    if told.values().min() != told.values().max() {
        wrong.push(Wrong::new(Kind::Stale, name, format!("nodes tell differently in the end: {told:?}")));
    }
    told.values().max().copied()
}

async fn linear(asker: &Asker, node: u32, name: &str, body: &[u8]) -> Option<serde_json::Value> {
    let began = Instant::now();
    let flags = pando_abi::call::call_flags::QUERY;
    while began.elapsed() < PATIENCE {
        let request = pando_admin::Request::Call {
            target: name.to_owned(),
            body: body.to_vec(),
            handles: Vec::new(),
            flags: flags as u32,
            deadline_ms: 2_000,
            key: asker.client().next_key(),
        };
        let reply = asker.client().ask_node(pando_abi::NodeId(node), request, Duration::from_secs(2)).await;
        if let Ok(pando_admin::Reply::Answer { status: 0, body, .. }) = reply {
            let value = pando_interface::decode(&body).ok()?;
            return Some(pando_interface::json(None, &pando_interface::Type::Any, &value, &[]));
        }
        sleep(LOOK_AGAIN).await;
    }
    None
}

async fn registers(workload: &Workload, asker: &Asker, nodes: u32) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    for (key, register) in KEYS.iter().zip(&workload.registers) {
        let puts = workload.puts.lock().unwrap_or_else(PoisonError::into_inner).get(*key).cloned().unwrap_or_default();
        let known: Vec<(u64, u64)> = puts.iter().filter_map(|(value, replaced)| Some((*value, (*replaced)?))).collect();
        let unknown: Vec<u64> =
            puts.iter().filter(|(_, replaced)| replaced.is_none()).map(|(value, _)| *value).collect();
        let (places, broken) = places(key, &known, &unknown);
        wrong.extend(broken);
        if known.iter().any(|(value, _)| !places.contains_key(value)) {
            // Broken, or broken off: said above, or by who has waited in vain.
            continue;
        }
        // Values become their places; a value that nobody put is one that no counter can have told. An unknown put that
        // nobody replaced is the last one, if it is one at all.
        let place_of = |value: u64| match places.get(&value) {
            Some(place) => *place,
            None if unknown.contains(&value) => places.len() as u64,
            None => u64::MAX,
        };
        let placed: Vec<Op> = register
            .all()
            .into_iter()
            .map(|op| match op.outcome {
                Outcome::Value(value) => Op { outcome: Outcome::Value(place_of(value)), ..op },
                _ => op,
            })
            .collect();
        let last = linear(asker, 1 + nodes / 2, "store", &clerks::cbor("get", &[key])).await;
        let last = last.map(|value| place_of(clerks::held(&value)));
        if last.is_none() {
            wrong.push(Wrong::new(Kind::Stuck, key, "it does not answer in the end"));
        }
        wrong.extend(judge(key, &placed, last));
    }
    wrong
}

/// Letters between groups: as many as were written, none again, none skipped.
async fn letters(asker: &Asker, track: &str, to: &str, line: u64, history: &[Op]) -> Vec<Wrong> {
    let written = history.iter().filter_map(|op| match op.outcome {
        Outcome::Value(value) => Some(value),
        _ => None,
    });
    let written = written.max().unwrap_or(0);
    let mut since = Instant::now();
    let mut last = None;
    let mut same = 0;
    // The last ones may be under way, those of unknown calls too; as long as some come, more may.
    while since.elapsed() < PATIENCE && same < 20 {
        let now = plain::mail(asker, to, line).await;
        if now.is_some() && now != last {
            (last, same, since) = (now, 0, Instant::now());
        } else if now.is_some_and(|m| m[3] >= written) {
            same += 1;
        }
        sleep(LOOK_AGAIN).await;
    }
    let Some([letters, again, skipped, highest]) = last else {
        return vec![Wrong::new(Kind::Stuck, track, format!("{to} does not answer in the end"))];
    };
    let mut wrong = judge(track, history, Some(highest));
    if again > 0 {
        wrong.push(Wrong::new(Kind::Doubled, track, format!("{again} of {letters} letters came again or late")));
    }
    if skipped > 0 || highest < written {
        let text =
            format!("{written} letters were written; {letters} came, up to {highest}, and {skipped} were skipped");
        wrong.push(Wrong::new(Kind::Lost, track, text));
    }
    wrong
}

/// Every replica has applied as much as the others, its chain and root are theirs, and nobody is fenced.
async fn agreed(asker: &Asker, nodes: u32, group: &str) -> Option<Wrong> {
    let began = Instant::now();
    loop {
        let mut seen = BTreeMap::new();
        let mut fenced = None;
        for node in 1..=nodes {
            let Ok(lines) = asker.inspect(Some(node), group).await else { continue };
            let line = |title: &str| lines.iter().find(|(t, _)| t == title).map(|(_, text)| text.clone());
            fenced = fenced.or(line("fenced").map(|text| format!("n{node} says {text}")));
            if let (Some(log), Some(chain), Some(root)) = (line("log"), line("chain"), line("root")) {
                seen.insert(node, (log, chain, root));
            }
        }
        if let Some(fenced) = fenced {
            return Some(Wrong::new(Kind::Diverged, group, fenced));
        }
        let replicas: Vec<_> = seen.values().collect();
        if replicas.len() >= 3 && replicas.windows(2).all(|pair| pair[0] == pair[1]) {
            return None;
        }
        if began.elapsed() > PATIENCE {
            return Some(Wrong::new(Kind::Diverged, group, format!("replicas do not agree: {seen:?}")));
        }
        sleep(LOOK_AGAIN).await;
    }
}
