//! State on its way from one version of an actor's code to another.
//!
//! Owns: its form in bytes. Does not know: what is in it; that is between the versions.
//!
//! 1. Handles go with it and keep their numbers; those that it does not name are let go by the kernel.

#[cfg(target_arch = "wasm32")]
use crate::data::Writer;
use crate::{Data, Handle, Result, data::Reader, prelude::*};

/// What another version of the code wrote down, as `import_state` gets it.
///
/// ```ignore
/// #[pando::actor(state = 3)]
/// impl Counter {
///     fn export_state(&self) -> (i64, String) {
///         (self.value, self.label.clone())
///     }
///     fn import_state(state: State) -> pando::Result<Self> {
///         match state.version() {
///             1 => Ok(Counter { value: state.read()?, label: String::new() }),
///             2 | 3 => state.read().map(|(value, label)| Counter { value, label }),
///             newer => Err(format!("version {newer} is newer than this code").into()),
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct State {
    version: u32,
    body: Vec<u8>,
    handles: Vec<Handle>,
}

impl State {
    pub(crate) fn new(version: u32, body: &[u8], handles: Vec<Handle>) -> State {
        State { version, body: body.to_vec(), handles }
    }

    /// The version that the code which wrote it gave: what stood in `#[pando::actor(state = ..)]`.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What `export_state` of that version returned.
    ///
    /// # Errors
    /// `BAD_REQUEST` when it was something else.
    pub fn read<T: Data>(&self) -> Result<T> {
        let mut reader = Reader::new(&self.body, self.handles.clone());
        Ok(T::read(&mut reader)?)
    }
}

/// Version, handles and body as the kernel wants them.
#[cfg(target_arch = "wasm32")]
pub(crate) fn seal(version: u32, body: &Writer) -> Vec<u8> {
    use pando_abi::call::StateHeader;

    let numbers = body.numbers();
    let header = StateHeader { version, handle_count: numbers.len() as u32 };
    let mut out = header.to_bytes().to_vec();
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
    out.resize(StateHeader::body_offset(numbers.len()), 0);
    out.extend_from_slice(body.bytes());
    out
}
