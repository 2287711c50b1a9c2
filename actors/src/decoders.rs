//! What of this crate reads bytes of anybody without running them, each with valid bytes to start from, for tests that damage them.
//!
//! A row is a name, valid bytes, and a function that reads bytes and says whether they were taken. It panics if a promise is broken:
//! what is taken is written and read again as it was.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "for tests, which it tells by a panic that a promise is broken"
)]

use pando_abi::{Address, Rights, id::service};
use parking_lot::Mutex;

use crate::{
    Birth, Capability, Image, frozen,
    guest::State,
    image::{self, Rested},
    module::prepare,
};

/// A name, valid bytes, a reader.
pub type Row = (&'static str, Vec<Vec<u8>>, fn(&[u8]) -> bool);

/// All of them. `modules` are valid ones.
pub fn rows(modules: Vec<Vec<u8>>) -> Vec<Row> {
    vec![
        ("module", modules, read_module),
        ("image", images(), read_image),
        ("area", vec![area(&[]), area(&[0, 0, 0, 0, 1, 0]), area(&[9, 0, 0, 0, 1, 0])], read_area),
        ("capability", vec![capability().to_bytes().to_vec()], read_capability),
    ]
}

fn capability() -> Capability {
    Capability::actor(Address::service(service::REALM), Rights::SEND.or(Rights::SPAWN))
}

fn images() -> Vec<Vec<u8>> {
    let birth = Birth {
        id: Default::default(),
        home: Default::default(),
        parent: capability(),
        realm: Some(capability()),
        node: pando_abi::NodeId(1),
        replicas: 0,
        undo: true,
    };
    let rested = |delta: &[u8]| Rested { memory_bytes: 65_536, globals: vec![1, 2 << 70], delta: delta.to_vec() };
    let seal = |delta: &[u8]| image::seal(&State::new(&birth), &rested(delta));
    [seal(&[]), seal(&[1; 40])].map(|rest| Image::from_parts(Default::default(), rest).to_bytes()).into()
}

/// Everything that happens to a module before it is compiled.
fn read_module(bytes: &[u8]) -> bool {
    let Ok(rewritten) = prepare(bytes) else { return false };
    wasmparser::Validator::new_with_features(crate::engine::FEATURES | wasmparser::WasmFeatures::MULTI_MEMORY)
        .validate_all(&rewritten)
        .expect("what was rewritten is valid still");
    true
}

fn read_image(bytes: &[u8]) -> bool {
    let Ok(image) = Image::from_bytes(bytes) else { return false };
    assert_eq!(image.to_bytes(), bytes);
    let (state, rested) = image::open(image.rest()).expect("it was opened once");
    let again = image::seal(&state, &rested);
    let (state, rested) = image::open(&again).expect("what was written is read");
    assert_eq!(image::seal(&state, &rested), again);
    true
}

/// The second area, with a run's front and its bytes, if there is one.
fn area(run: &[u8]) -> Vec<u8> {
    let bytes: &[u8] = if run.is_empty() { &[] } else { &[7; 64] };
    [&1u32.to_le_bytes(), run, bytes].concat()
}

/// Nothing outside of its area is written.
fn read_area(bytes: &[u8]) -> bool {
    /// Three areas, which are no part of what reading takes.
    static MEMORY: Mutex<[u8; 3 << 16]> = Mutex::new([3; 3 << 16]);
    let mut memory = MEMORY.lock();
    let read = frozen::put(&mut memory[..], bytes);
    if let Ok(area) = &read {
        let within = (*area as usize) << 16..(*area as usize + 1) << 16;
        assert!(memory.iter().enumerate().all(|(at, byte)| *byte == 3 || within.contains(&at)));
    }
    memory.fill(3);
    read.is_ok()
}

fn read_capability(bytes: &[u8]) -> bool {
    let read = bytes.first_chunk().and_then(Capability::from_bytes);
    if let Some(capability) = read {
        assert_eq!(capability.to_bytes()[..], bytes[..Capability::SIZE]);
    }
    read.is_some()
}
