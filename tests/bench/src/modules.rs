//! A module of a megabyte: compiled, and started when it has been compiled before.

use std::{fmt::Write, path::Path, sync::Arc, time::Instant};

use pando_abi::{ActorId, Address, ModuleHash, NodeId, Rights};
use pando_actors::{Actor, Birth, Capability, Class, Engine, EngineConfig, Limits, Verdict};

use crate::{
    Bench,
    duel::{alone, duel},
    figures::{Better, Target},
};

const BYTES: usize = 1 << 20;

pub async fn measure(bench: &mut Bench) {
    if !bench.figures.wants(&["module"]) {
        return;
    }
    let wasm = module(if bench.effort.quick { BYTES / 16 } else { BYTES });
    let unit = ("ms", Better::Less);
    let ours = async || {
        let engine = engine(None);
        let began = Instant::now();
        let module = engine.load(&wasm, Class::Plain).expect("a module that fits");
        let took = began.elapsed();
        drop(module);
        took.as_secs_f64() * 1e3
    };
    let theirs = || {
        let engine = wasmtime::Engine::new(&config()).map_err(|e| format!("{e:#}"))?;
        let began = Instant::now();
        let module = wasmtime::Module::new(&engine, &wasm).map_err(|e| format!("{e:#}"))?;
        let took = began.elapsed();
        drop(module);
        Ok(took.as_secs_f64() * 1e3)
    };
    let compiled = duel(bench.effort, ours, theirs).await;
    let what = format!("compile of a module of {} KiB", wasm.len() >> 10);
    // Within a tenth.
    let peer = ("wasmtime's own", Target::Times(1.0 / 1.1));
    bench
        .figures
        .versus("module", &what, unit, peer, compiled)
        .note("both with the same settings of the compiler; ours hashes, checks and rewrites it, too");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let hash = engine(Some(folder.path())).load(&wasm, Class::Plain).expect("a module that fits").hash();
    let cached = alone(bench.effort.runs, async || {
        let engine = engine(Some(folder.path()));
        start(&engine, hash)
    })
    .await;
    let what = "start of it when it has been compiled before";
    bench
        .figures
        .alone("module", what, unit, Target::Figure(1.0), cached)
        .note("by its hash, as a node does, with an engine that has not loaded it: code from the disk, an actor");
    let engine = engine(Some(folder.path()));
    let module = engine.load(&wasm, Class::Plain).expect("a module that fits");
    let loaded = alone(bench.effort.runs, async || start(&engine, hash)).await;
    drop(module);
    bench.figures.alone("module", "start of it when it is loaded", unit, Target::None, loaded);
}

/// Milliseconds until there is an actor.
fn start(engine: &Engine, hash: ModuleHash) -> f64 {
    let began = Instant::now();
    let module = engine.recall(hash, Class::Plain).expect("a module that was compiled");
    let actor = Actor::new(&module, Limits::default(), birth()).expect("an actor");
    let took = began.elapsed();
    drop(actor);
    took.as_secs_f64() * 1e3
}

fn engine(cache: Option<&Path>) -> Engine {
    let config = EngineConfig { cache_dir: cache.map(Path::to_owned), on_epoch: Arc::new(|| Verdict::Continue) };
    Engine::new(config).expect("an engine")
}

/// What decides about the code, as `pando-actors` has it.
fn config() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config
        .epoch_interruption(true)
        .signals_based_traps(false)
        .memory_reservation(0)
        .memory_reservation_for_growth(0)
        .memory_guard_size(0)
        .guard_before_linear_memory(false)
        .memory_init_cow(false);
    config
}

fn birth() -> Birth {
    let home = Address::actor(NodeId(1), ActorId([1; 16]));
    let parent = Capability::actor(Address::actor(NodeId(1), ActorId([9; 16])), Rights::CHILD_TO_PARENT);
    Birth { id: ActorId([1; 16]), home, parent, realm: None, node: NodeId(1), replicas: 0, undo: false }
}

/// A guest of about so many bytes: functions with loops, memory and calls, no two alike.
fn module(bytes: usize) -> Vec<u8> {
    let function = |n: usize| {
        let mut text = format!("(func $f{n} (param i32 i64) (result i64) (local i32 i64)\n");
        let _ = write!(
            text,
            "(local.set 2 (i32.and (i32.mul (local.get 0) (i32.const {})) (i32.const 65528)))
             (loop $more
               (local.set 3 (i64.add (i64.mul (local.get 3) (i64.const {})) (i64.load (local.get 2))))
               (if (i64.gt_u (local.get 3) (local.get 1))
                 (then (i64.store (local.get 2) (i64.rotl (local.get 3) (i64.const {}))))
                 (else (local.set 1 (i64.xor (local.get 1) (i64.const {})))))
               (local.set 2 (i32.and (i32.add (local.get 2) (i32.const {})) (i32.const 65528)))
               (br_if $more (i32.gt_s (local.tee 0 (i32.sub (local.get 0) (i32.const 1))) (i32.const 0))))",
            n * 8 + 8,
            n * 31 + 7,
            n % 61 + 1,
            n * 1_000_003,
            n % 512 * 8 + 8,
        );
        let call = if n == 0 {
            String::new()
        } else {
            format!("(local.set 3 (call $f{} (local.get 2) (local.get 3)))", n - 1)
        };
        text.push_str(&call);
        text.push_str("(i64.add (local.get 3) (local.get 1)))\n");
        text
    };
    let assemble = |functions: usize| {
        let mut text = String::from("(module (memory (export \"memory\") 1)\n");
        (0..functions).for_each(|n| text.push_str(&function(n)));
        text.push_str("(func (export \"pando_inbox\") (param i32) (result i32) (i32.const 1024))\n");
        let last = functions - 1;
        let _ = write!(
            text,
            "(func (export \"pando_receive\") (param i32) (drop (call $f{last} (local.get 0) (i64.const 1)))))"
        );
        wat::parse_str(&text).expect("a module in text")
    };
    let some = assemble(100).len();
    let two = assemble(200).len();
    assemble((bytes * 100).div_ceil(two - some))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_module_is_about_as_large_as_was_asked_for() {
        let size = super::module(super::BYTES / 16).len();
        assert!((60_000..75_000).contains(&size), "{size}");
    }
}
