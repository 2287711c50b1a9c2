//! What a command found out or did, before anybody decides how it looks.

use std::time::Duration;

use pando_admin::{ActorRow, Level, LogLine, NameRow, NodeRow, TopRow};
use serde_json::Value as Json;

/// What a command found out or did.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// `spawn`.
    Spawned(ActorRow),
    /// `call`.
    Answer(Answer),
    /// `ps`.
    Actors { rows: Vec<ActorRow>, silent: Vec<u32> },
    /// `names`.
    Names(Vec<NameRow>),
    /// `nodes`.
    Nodes(Vec<NodeRow>),
    /// `top`; with what there was so long before, for rates.
    Top { rows: Vec<TopRow>, before: Option<(Vec<TopRow>, Duration)>, refresh: bool },
    /// `inspect`.
    Details { target: String, lines: Vec<(String, String)>, interface: String },
    /// `log`.
    Log(Vec<LogLine>),
    /// `monitor`.
    Ended(Ended),
    /// `programs`.
    Programs(Vec<ProgramRow>),
    /// Done: a sentence, and the same for scripts.
    Done { text: String, json: Json },
}

/// An answer to a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub text: String,
    pub json: Json,
    pub level: Level,
    pub index: u64,
    pub node: u32,
    pub took: Duration,
    /// The group's leader, if it is another than this shell last saw.
    pub new_leader: Option<u32>,
}

/// The end of an actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// As the person called it.
    pub target: String,
    pub address: String,
    pub kind: String,
    pub code: i32,
    pub message: String,
}

/// A bundled program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramRow {
    pub name: String,
    pub about: String,
    pub methods: Vec<String>,
    pub bytes: usize,
}

impl Outcome {
    /// Done, with a document for scripts.
    pub fn done(text: impl Into<String>, json: Json) -> Outcome {
        Outcome::Done { text: text.into(), json }
    }
}
