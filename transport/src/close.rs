//! Why a connection ended, as a number for machines and a sentence for people.
//!
//! Both travel in QUIC's own close frame, so the other side can log what this side decided.
//!
//! 1. A number once given is never given another meaning.
//! 2. A reason from the wire is an allegation by a peer: it is cut, cleaned of control characters, and only ever printed.

use std::fmt;

/// The longest reason that is sent or believed, in bytes. Fits a close frame in one small packet.
pub const REASON_BYTES_MAX: usize = 240;

macro_rules! close_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// The application error codes of the protocol.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum CloseCode { $($(#[$doc])* $name = $number,)* }

        impl CloseCode {
            /// Every code.
            pub const ALL: &'static [CloseCode] = &[$(CloseCode::$name),*];

            /// The code with this number, if there is one.
            pub fn from_number(number: u64) -> Option<CloseCode> {
                match number { $($number => Some(CloseCode::$name),)* _ => None }
            }

            /// A few words that mean this code.
            pub fn text(self) -> &'static str {
                match self { $(CloseCode::$name => $text,)* }
            }
        }
    };
}

close_codes! {
    /// The other side ends in good order.
    Closing = 0, "closed in good order";
    /// The key that was proved belongs to no member and no user.
    UnknownKey = 1, "unknown key";
    /// The other side belongs to another realm.
    WrongRealm = 2, "wrong realm";
    /// No protocol version is spoken by both.
    WrongVersion = 3, "wrong version";
    /// The key is a member's, but another member's than the one named or dialled.
    WrongNode = 4, "wrong node";
    /// A frame is longer than frames may be.
    Oversized = 5, "oversized frame";
    /// Bytes that are not of this protocol.
    Malformed = 6, "malformed frame";
    /// There is a session between the two already.
    Duplicate = 7, "duplicate connection";
    /// A newer session took the place of this one.
    Replaced = 8, "replaced by a newer session";
    /// The key is no longer in the member set.
    Removed = 9, "removed from the member set";
    /// The hello did not come in time.
    Late = 10, "hello too late";
    /// Too many connections or requests at once.
    Busy = 11, "busy";
    /// Nothing was heard for too long.
    Silent = 12, "silent";
    /// A user tried what only nodes may do, or the reverse.
    NotAllowed = 13, "not allowed";
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// An end: the code, and a sentence with the particulars (possibly empty).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Close {
    /// What kind of end.
    pub code: CloseCode,
    /// The particulars.
    pub reason: String,
}

impl Close {
    /// An end with particulars, cut to what travels.
    pub fn new(code: CloseCode, reason: impl Into<String>) -> Close {
        Close { code, reason: clean(&reason.into()) }
    }

    /// What a peer said in its close frame.
    pub fn from_wire(number: u64, reason: &[u8]) -> Close {
        let said = clean(&String::from_utf8_lossy(reason));
        match CloseCode::from_number(number) {
            Some(code) => Close { code, reason: said },
            // A newer peer may know more codes. Its sentence is still worth printing.
            None => Close::new(CloseCode::Malformed, format!("code {number}: {said}")),
        }
    }
}

/// `wrong realm: this node belongs to 7f3a…`
impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.text())?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

fn clean(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if out.len() + c.len_utf8() > REASON_BYTES_MAX {
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        for &code in CloseCode::ALL {
            let sent = Close::new(code, "because");
            assert_eq!(Close::from_wire(code as u64, sent.reason.as_bytes()), sent);
        }
    }

    #[test]
    fn a_hostile_reason_is_cut_and_cleaned() {
        let close = Close::from_wire(999, "\x1b[2J\u{9b}é".repeat(1000).as_bytes());
        assert!(close.reason.len() <= REASON_BYTES_MAX);
        assert!(!close.reason.chars().any(char::is_control));
        assert!(close.to_string().contains("999"));
        Close::from_wire(u64::MAX, &[0xff; 3000]);
    }
}
