//! CBOR from a stranger.
//!
//! 1. At most [`pando_abi::limits::MESSAGE_BYTES_MAX`] bytes, one item, so many levels: anything else is an error.

use ciborium::{Value, de::from_reader_with_recursion_limit};
use pando_abi::limits::MESSAGE_BYTES_MAX;

/// Values inside values inside values.
const DEPTH_MAX: usize = 96;

/// Bytes that are not one CBOR value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More than a message has.
    #[error("the answer has {0} bytes, and a message has at most {MESSAGE_BYTES_MAX}")]
    TooLong(usize),
    /// Not CBOR, torn, or nested too deep.
    #[error("the answer is not CBOR: {0}")]
    Malformed(String),
    /// More than one value.
    #[error("the answer has {0} bytes after its end")]
    Trailing(usize),
}

/// Reads the one value in `bytes`; no bytes are null.
///
/// # Errors
/// If they are not exactly one value within the limits.
pub fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(DecodeError::TooLong(bytes.len()));
    }
    let mut rest = bytes;
    let value: Value = from_reader_with_recursion_limit(&mut rest, DEPTH_MAX).map_err(|e| {
        DecodeError::Malformed(match e {
            ciborium::de::Error::Io(_) => "it ends too early".to_owned(),
            ciborium::de::Error::Syntax(at) => format!("wrong at byte {at}"),
            ciborium::de::Error::Semantic(_, what) => crate::escape(&what),
            ciborium::de::Error::RecursionLimitExceeded => format!("it is nested more than {DEPTH_MAX} deep"),
        })
    })?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError::Trailing(rest.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_bytes_are_refused_at_once() {
        assert!(matches!(decode(&[0x81; 100_000]), Err(DecodeError::Malformed(_))));
        // Lengths of two to the power of sixty: an array, a map, text, bytes.
        for major in [0x9b, 0xbb, 0x7b, 0x5b] {
            let bytes = [major, 0x10, 0, 0, 0, 0, 0, 0, 0];
            assert!(matches!(decode(&bytes), Err(DecodeError::Malformed(_))), "{major:x}");
        }
        assert_eq!(decode(&[1, 2]), Err(DecodeError::Trailing(1)));
        assert!(matches!(decode(&vec![0; MESSAGE_BYTES_MAX + 1]), Err(DecodeError::TooLong(_))));
        assert_eq!(decode(&[]), Ok(Value::Null));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            if let Ok(value) = decode(&bytes) {
                let ty = crate::Type::Option(Box::new(crate::Type::List(Box::new(crate::Type::Actor))));
                let text = crate::human(None, &ty, &value, &[]);
                proptest::prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
                let _ = crate::json(None, &ty, &value, &[]);
            }
        }
    }
}
