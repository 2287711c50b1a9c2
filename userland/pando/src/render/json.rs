//! Outcomes for scripts.
//!
//! 1. Fields are only ever added; what is here is a promise.

use pando_admin::{ActorRow, Level};
use serde_json::{Value, json};

use crate::outcome::Outcome;

/// The document.
pub fn json(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Spawned(row) => actor(row),
        Outcome::Answer(answer) => {
            let level = match answer.level {
                Level::Local => "local",
                Level::Final => "final",
                Level::Linear => "linear",
            };
            json!({
                "value": answer.json,
                "level": level,
                "index": answer.index,
                "node": node(answer.node),
                "ms": (answer.took.as_secs_f64() * 1e6).round() / 1e3,
            })
        }
        Outcome::Actors { rows, silent } => json!({
            "actors": rows.iter().map(actor).collect::<Vec<_>>(),
            "silent": silent.iter().map(|n| node(*n)).collect::<Vec<_>>(),
        }),
        Outcome::Names(rows) => {
            rows.iter().map(|r| json!({ "name": r.name, "address": r.address, "module": r.module })).collect()
        }
        Outcome::Nodes(rows) => rows
            .iter()
            .map(|r| {
                json!({
                    "node": node(r.node),
                    "up": r.up,
                    "leader": r.root_leader,
                    "voter": r.voter,
                    "standing": r.standing,
                    "address": r.addr,
                    "key": r.key,
                    // Beyond what a double holds exactly.
                    "incarnation": format!("{:016x}", r.incarnation),
                    "answers": r.this,
                })
            })
            .collect(),
        Outcome::Top { rows, .. } => rows
            .iter()
            .map(|r| {
                json!({
                    "node": node(r.node),
                    "uptime_s": r.uptime_s,
                    "cpu_ms": r.cpu_ms,
                    "resident_bytes": r.resident,
                    "actors": r.actors,
                    "groups": r.groups,
                    "leads": r.leads,
                    "events": r.events,
                    "remote": r.remote,
                    "overruns": r.overruns,
                })
            })
            .collect(),
        Outcome::Details { target, lines, interface } => json!({
            "target": target,
            "details": lines.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect::<serde_json::Map<_, _>>(),
            "interface": interface,
        }),
        Outcome::Log(lines) => lines
            .iter()
            .map(|l| {
                json!({
                    "time_ns": l.time_ns,
                    "node": node(l.node),
                    "level": l.level,
                    "source": l.source,
                    "text": l.text,
                })
            })
            .collect(),
        Outcome::Ended(end) => json!({
            "target": end.target,
            "address": end.address,
            "kind": end.kind,
            "code": end.code,
            "message": end.message,
        }),
        Outcome::Programs(rows) => rows
            .iter()
            .map(|r| json!({ "name": r.name, "about": r.about, "methods": r.methods, "bytes": r.bytes }))
            .collect(),
        Outcome::Done { json, .. } => json.clone(),
    }
}

fn actor(row: &ActorRow) -> Value {
    json!({
        "name": row.name,
        "address": row.address,
        "id": row.id,
        "module": row.module,
        "kind": if row.voters.is_empty() { "actor" } else { "group" },
        "node": node(row.node),
        "voters": row.voters.iter().map(|n| node(*n)).collect::<Vec<_>>(),
        "wanted": row.wanted.iter().map(|n| node(*n)).collect::<Vec<_>>(),
        "state": row.state,
        "mailbox": row.mailbox,
        "memory_bytes": row.memory,
        "events": row.events,
        "restarts": row.restarts,
        "index": row.index,
    })
}

/// `"n2"`, or null for no node.
fn node(n: u32) -> Value {
    if n == 0 { Value::Null } else { format!("n{n}").into() }
}
