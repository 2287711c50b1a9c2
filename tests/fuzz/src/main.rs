//! Writes modules that nobody wrote: valid WebAssembly with our imports, with the exports that a guest must have, and no sense.
//!
//! ```sh
//! cargo run --release --manifest-path tests/fuzz/Cargo.toml -- --seed 1 --count 100000 |
//!     cargo run --release -p pando-tests --bin hostile -- modules
//! ```
//!
//! Four bytes of length (little-endian), then the module, so many times. The same seed gives the same modules.
//!
//! Of ten modules, seven keep to what the contract takes, two may use anything that WebAssembly has, and one is damaged afterwards. In most
//! of them `pando_inbox` is made to give a place that is one, so that events get in.

#![forbid(unsafe_code)]

use std::io::{BufWriter, Write};

use arbitrary::Unstructured;
use wasm_smith::{Config, Module};
use wasmparser::{ExternalKind, Parser, Payload};

const CONTRACT: &str = include_str!("../../../syscalls/abi.wat");
/// What one module is made of, at most.
const ENTROPY_BYTES: u64 = 6_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut seed, mut count) = (1, 1_000);
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        match (name.as_str(), value.parse::<u64>()) {
            ("--seed", Ok(n)) => seed = n,
            ("--count", Ok(n)) => count = n,
            _ => {
                eprintln!("usage: pando-smith [--seed N] [--count N]");
                std::process::exit(2);
            }
        }
    }
    let contract = wat::parse_str(CONTRACT).expect("abi.wat assembles");
    let mut out = BufWriter::new(std::io::stdout().lock());
    for n in 0..count {
        let wasm = module(&contract, &mut Noise(seed ^ n.wrapping_mul(0xd134_2543_de82_ef95)));
        let length = (wasm.len() as u32).to_le_bytes();
        // Whoever reads has enough when it closes.
        if out.write_all(&length).and_then(|()| out.write_all(&wasm)).is_err() {
            return;
        }
    }
    out.flush().ok();
}

/// SplitMix64.
struct Noise(u64);

impl Noise {
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.throw() % n
    }
}

fn module(contract: &[u8], noise: &mut Noise) -> Vec<u8> {
    let entropy: Vec<u8> = (0..200 + noise.below(ENTROPY_BYTES)).map(|_| noise.throw() as u8).collect();
    let kind = noise.below(10);
    let config = if kind < 8 { guest(contract, noise) } else { anything(contract) };
    let wasm = Module::new(config, &mut Unstructured::new(&entropy)).map(|m| m.to_bytes()).unwrap_or_default();
    let mut wasm = if noise.below(8) > 0 { with_inbox(&wasm).unwrap_or(wasm) } else { wasm };
    if kind == 9 && !wasm.is_empty() {
        for _ in 0..=noise.below(3) {
            let at = noise.below(wasm.len() as u64) as usize;
            wasm[at] ^= 1 << noise.below(8);
        }
    }
    wasm
}

/// What the contract takes.
fn guest(contract: &[u8], noise: &mut Noise) -> Config {
    Config {
        bulk_memory_enabled: true,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        relaxed_simd_enabled: false,
        // With them come references to things of the host's, which are not taken.
        reference_types_enabled: noise.below(6) == 0,
        threads_enabled: false,
        custom_page_sizes_enabled: noise.below(4) == 0,
        // Tables that change make a module that has no images: half of them may.
        max_tables: noise.below(3) as usize,
        max_element_segments: noise.below(4) as usize,
        disallow_traps: noise.below(4) > 0,
        max_memory32_bytes: 8 << 20,
        // The one that must be exported comes on top.
        max_memories: 0,
        max_table_elements: 10_000,
        ..anything(contract)
    }
}

fn anything(contract: &[u8]) -> Config {
    Config {
        available_imports: Some(contract.to_vec()),
        exports: Some(contract.to_vec()),
        max_funcs: 12,
        max_instructions: 120,
        max_imports: 20,
        min_imports: 3,
        max_globals: 8,
        max_data_segments: 4,
        max_types: 24,
        ..Config::default()
    }
}

/// The module with a `pando_inbox` that gives 1024.
fn with_inbox(wasm: &[u8]) -> Option<Vec<u8>> {
    let (mut imported, mut inbox) = (0, None);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.ok()? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    imported += u32::from(matches!(import.ok()?.ty, wasmparser::TypeRef::Func(_)));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.ok()?;
                    if export.name == "pando_inbox" && export.kind == ExternalKind::Func {
                        inbox = Some(export.index);
                    }
                }
            }
            _ => {}
        }
    }
    let wanted = inbox?.checked_sub(imported)?;
    let mut module = wasm_encoder::Module::new();
    let (mut code, mut n) = (wasm_encoder::CodeSection::new(), 0);
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        match &payload {
            Payload::CodeSectionStart { .. } => {}
            Payload::CodeSectionEntry(body) => {
                // No locals; i32.const 1024; end.
                let constant: &[u8] = &[0, 0x41, 0x80, 0x08, 0x0b];
                code.raw(if n == wanted { constant } else { &wasm[body.range()] });
                n += 1;
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    // What follows the code follows it still.
                    if !code.is_empty() {
                        module.section(&std::mem::take(&mut code));
                    }
                    module.section(&wasm_encoder::RawSection { id, data: &wasm[range] });
                }
            }
        }
    }
    if !code.is_empty() {
        module.section(&code);
    }
    Some(module.finish())
}
