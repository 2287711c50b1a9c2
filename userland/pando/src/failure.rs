//! What a person is told when something did not happen.
//!
//! 1. One sentence says what is wrong, the next line what to do about it.
//! 2. The code is the program's exit code: 1 refused or failed, 2 wrong usage, 130 interrupted.

use pando_abi::Errno;
use pando_admin::ClientError;

/// The exit code of what Ctrl-C ended.
pub const INTERRUPTED: u8 = 130;

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub sentence: String,
    /// May be empty.
    pub mend: String,
    pub errno: Option<Errno>,
    pub code: u8,
}

impl Failure {
    /// Refused, or failed: exit code 1.
    pub fn new(sentence: impl Into<String>, mend: impl Into<String>) -> Failure {
        Failure { sentence: sentence.into(), mend: mend.into(), errno: None, code: 1 }
    }

    /// Asked in a way that cannot be understood: exit code 2.
    pub fn usage(sentence: impl Into<String>, mend: impl Into<String>) -> Failure {
        Failure { code: 2, ..Failure::new(sentence, mend) }
    }

    /// What a library says with its mend behind a semicolon.
    pub fn told(error: &impl std::fmt::Display) -> Failure {
        let text = error.to_string();
        match text.rsplit_once("; ") {
            Some((sentence, mend)) => Failure::new(sentence, mend),
            None => Failure::new(text, ""),
        }
    }

    pub fn with(self, errno: Errno) -> Failure {
        Failure { errno: Some(errno), ..self }
    }

    /// The document that `--json` prints.
    pub fn json(&self) -> serde_json::Value {
        let mut out = serde_json::json!({ "error": self.sentence });
        if !self.mend.is_empty() {
            out["mend"] = self.mend.clone().into();
        }
        if let Some(errno) = self.errno {
            out["errno"] = errno.name().into();
        }
        out
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure::new(error.to_string(), error.mend()).with(error.errno())
    }
}

impl From<pando_interface::ArgumentError> for Failure {
    fn from(error: pando_interface::ArgumentError) -> Failure {
        Failure::new(error.to_string(), error.mend()).with(Errno::BAD_REQUEST)
    }
}

impl From<pando_kernel::GenesisError> for Failure {
    fn from(error: pando_kernel::GenesisError) -> Failure {
        match error {
            pando_kernel::GenesisError::Io { path, source } => {
                io("use", &path, &source, "check that the folder exists and is yours, or choose another with --data")
            }
            e => Failure::told(&e),
        }
    }
}

/// A file or folder that could not be used.
pub fn io(what: &str, path: &std::path::Path, error: &std::io::Error, mend: &str) -> Failure {
    Failure::new(format!("cannot {what} {}: {}", path.display(), plain(error)), mend)
}

/// The error's words without the number behind them.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_lowercase(),
        None => text,
    }
}
