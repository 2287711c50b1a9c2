//! A body that is being written, and the handles that go with it.

use crate::{Handle, data::cbor, prelude::*};

/// A body and its handles.
#[derive(Default, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Held until the message is out: the numbers must mean something when the kernel looks at them.
    handles: Vec<Handle>,
}

impl Writer {
    /// An empty body.
    pub const fn new() -> Writer {
        Writer { bytes: Vec::new(), handles: Vec::new() }
    }

    /// What is written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The handles so far.
    pub fn handles(&self) -> &[Handle] {
        &self.handles
    }

    /// The numbers of the handles, as the kernel wants them.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.handles.iter().map(Handle::number).collect()
    }

    /// Writes CBOR that is written already.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// `null`.
    pub fn null(&mut self) {
        cbor::put_null(&mut self.bytes);
    }

    /// A truth value.
    pub fn bool(&mut self, value: bool) {
        cbor::put_bool(&mut self.bytes, value);
    }

    /// A whole number without a sign.
    pub fn unsigned(&mut self, value: u64) {
        cbor::put(&mut self.bytes, cbor::UNSIGNED, value);
    }

    /// A whole number.
    pub fn signed(&mut self, value: i64) {
        cbor::put_signed(&mut self.bytes, value);
    }

    /// A number of 32 bits.
    pub fn f32(&mut self, value: f32) {
        cbor::put_f32(&mut self.bytes, value);
    }

    /// A number of 64 bits.
    pub fn f64(&mut self, value: f64) {
        cbor::put_f64(&mut self.bytes, value);
    }

    /// Text.
    pub fn text(&mut self, value: &str) {
        cbor::put(&mut self.bytes, cbor::TEXT, value.len() as u64);
        self.bytes.extend_from_slice(value.as_bytes());
    }

    /// Bytes.
    pub fn blob(&mut self, value: &[u8]) {
        cbor::put(&mut self.bytes, cbor::BYTES, value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// The front of a list; its items follow.
    pub fn list(&mut self, items: usize) {
        cbor::put(&mut self.bytes, cbor::LIST, items as u64);
    }

    /// The front of a map; its keys and values follow in turn.
    pub fn map(&mut self, pairs: usize) {
        cbor::put(&mut self.bytes, cbor::MAP, pairs as u64);
    }

    /// A handle: it goes beside the bytes, which have its index.
    pub fn handle(&mut self, handle: &Handle) {
        let known = self.handles.iter().position(|held| held.number() == handle.number());
        let index = known.unwrap_or_else(|| {
            self.handles.push(handle.clone());
            self.handles.len() - 1
        });
        self.unsigned(index as u64);
    }
}
