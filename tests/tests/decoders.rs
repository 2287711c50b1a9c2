//! Whatever bytes arrive, they are read or refused: no panic, and memory within a small multiple of their length.
//!
//! The list is [`pando_tests::decoders`]; here each decoder gets noise and damaged valid bytes, shrunk when one breaks a promise. The long
//! run is `cargo run --release -p pando-tests --bin hostile -- decoders`.

#[path = "../memory.rs"]
mod memory;

use pando_tests::decoders::{Damage, Row, memory_max, rows};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

#[global_allocator]
static COUNTED: memory::Counting = memory::Counting;

/// Inputs for each decoder; `PANDO_CASES` says otherwise.
fn cases() -> u32 {
    std::env::var("PANDO_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_500)
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let damage = (any::<u8>(), any::<u32>(), any::<u64>());
    prop::collection::vec(damage.prop_map(|(kind, at, value)| Damage { kind, at, value }), 0..5)
}

/// Noise, or a sample with damages.
fn inputs(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let damaged = (prop::sample::select(samples), damages()).prop_map(|(mut bytes, damages)| {
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        bytes
    });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..600), 9 => damaged]
}

fn reads(name: &str, read: fn(&[u8]) -> bool, bytes: &[u8]) -> Result<bool, TestCaseError> {
    let (taken, peak) = memory::peak(|| read(bytes));
    prop_assert!(peak <= memory_max(name, bytes.len()), "{peak} bytes of memory for {} bytes", bytes.len());
    Ok(taken)
}

#[test]
fn every_decoder_takes_what_is_valid() {
    for (name, samples, read) in rows() {
        assert!(!samples.is_empty(), "{name}");
        let taken = samples.iter().filter(|sample| read(sample)).count();
        // Texts and values have samples that are too deep or promise too much on purpose.
        let refused = if matches!(name, "interface text" | "CBOR value") { 3 } else { 0 };
        assert!(taken + refused >= samples.len() && taken > 0, "{name}: {taken} of {} are taken", samples.len());
    }
}

#[test]
fn every_decoder_reads_or_refuses_any_bytes_within_its_memory() {
    let mut complaints = Vec::new();
    for (name, samples, read) in rows() {
        // What is built once is not the input's.
        samples.iter().for_each(|sample| _ = read(sample));
        let mut runner = TestRunner::new(Config { cases: cases(), failure_persistence: None, ..Config::default() });
        let ran = runner.run(&inputs(samples), |bytes| reads(name, read, &bytes).map(drop));
        if let Err(why) = ran {
            complaints.push(format!("{name}: {why}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_decoder_that_believes_a_length_or_panics_is_caught() {
    let greedy: Row = ("greedy", vec![vec![4, 0, 0, 0, 9]], |bytes| {
        let length = bytes.first_chunk().map_or(0, |head| u32::from_le_bytes(*head));
        Vec::<u8>::with_capacity(length as usize).capacity() > 0
    });
    let rash: Row = ("rash", vec![vec![0; 16]], |bytes| bytes[bytes[0] as usize % 32] == 0);
    for (name, samples, read) in [greedy, rash] {
        let config = Config { cases: 3_000, failure_persistence: None, ..Config::default() };
        let ran = TestRunner::new(config).run(&inputs(samples), |bytes| reads(name, read, &bytes).map(drop));
        assert!(ran.is_err(), "{name} was not caught");
    }
}
