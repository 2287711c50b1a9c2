//! Values that flags take: nodes, times, sizes, restart policies.

use std::{fmt, str::FromStr, time::Duration};

use pando_abi::{NodeId, Restart, limits};

pub const NODES_MAX: u32 = limits::NODES_MAX as u32;
pub const REPLICAS_MAX: u8 = limits::REPLICAS_MAX as u8;
pub const HANDLER_MS_MAX: u16 = limits::HANDLER_MS_MAX as u16;

/// A node as people write it: `n2`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node(pub NodeId);

impl FromStr for Node {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix('n').unwrap_or(text).parse().ok().filter(|n| *n > 0);
        number.map(|n| Node(NodeId(n))).ok_or_else(|| "a node is written as n1, n2 and so on".to_owned())
    }
}

/// The key of a call, as a failure prints it: `9f3a1c0d2b4e6f80-42`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallKey {
    pub incarnation: u64,
    pub seq: u64,
}

impl FromStr for CallKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('-').and_then(|(incarnation, seq)| {
            Some(CallKey { incarnation: u64::from_str_radix(incarnation, 16).ok()?, seq: seq.parse().ok()? })
        });
        parts.ok_or_else(|| "a key is written as it was printed, 9f3a1c0d2b4e6f80-42".to_owned())
    }
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.incarnation, self.seq)
    }
}

/// A time as people write it: `500ms`, `5s`, `2m`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lapse(pub Duration);

impl FromStr for Lapse {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "ms" => 0.001,
            "s" | "" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return Err("a time is written as 500ms, 5s, 2m or 1h".to_owned()),
        };
        let seconds = digits.parse::<f64>().ok().map(|n| n * unit).filter(|s| (0.001..=86_400.0).contains(s));
        let seconds = seconds.ok_or_else(|| "a time lies between 1ms and 24h, as 500ms or 5s".to_owned())?;
        Ok(Lapse(Duration::from_secs_f64(seconds)))
    }
}

/// A time, or none at all: `10m`, `never`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience(pub Option<Duration>);

impl FromStr for Patience {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Patience(None)),
            text => Ok(Patience(Some(text.parse::<Lapse>()?.0))),
        }
    }
}

/// What is done to the nodes that hold a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum GroupChange {
    /// NODE holds it too
    Add,
    /// NODE holds it no longer
    Remove,
    /// The second NODE takes it over from the first
    Move,
}

/// A size as people write it: `64M`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim_end_matches('B').trim_end_matches('i');
        let (digits, unit) = match trimmed.chars().last() {
            Some('K' | 'k') => (&trimmed[..trimmed.len() - 1], 1u64 << 10),
            Some('M' | 'm') => (&trimmed[..trimmed.len() - 1], 1 << 20),
            Some('G' | 'g') => (&trimmed[..trimmed.len() - 1], 1 << 30),
            _ => (trimmed, 1),
        };
        let bytes = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
        let bytes = bytes.ok_or_else(|| "a size is written as 65536, 64K, 64M or 1G".to_owned())?;
        if bytes == 0 || bytes > limits::MEMORY_BYTES_MAX {
            return Err(format!("memory lies between 1 and {} bytes", limits::MEMORY_BYTES_MAX));
        }
        Ok(Bytes(bytes))
    }
}

/// When an actor is started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum RestartArg {
    /// Leave it ended
    #[default]
    Never,
    /// If it ended otherwise than normally
    OnFailure,
    /// However it ended
    Always,
    /// Undo the event that faulted and go on
    Resume,
}

impl fmt::Display for RestartArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RestartArg::Never => "never",
            RestartArg::OnFailure => "on-failure",
            RestartArg::Always => "always",
            RestartArg::Resume => "resume",
        })
    }
}

impl RestartArg {
    pub fn policy(self) -> Restart {
        match self {
            RestartArg::Never => Restart::Never,
            RestartArg::OnFailure => Restart::OnFailure,
            RestartArg::Always => Restart::Always,
            RestartArg::Resume => Restart::Resume,
        }
    }
}
