//! The engine that the model's actors run in, and the clock that ends an endless loop.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use pando_actors::{Class, Engine, EngineConfig, Module, Verdict};

thread_local! {
    /// When the handler that runs on this thread has had its time.
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// An engine whose epoch moves.
#[derive(Clone)]
pub struct Machine {
    pub(super) engine: Engine,
    _ticker: Arc<Ticker>,
}

struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Machine {
    /// A new one.
    ///
    /// # Panics
    /// Where wasmtime does not run.
    #[allow(clippy::new_without_default, reason = "it starts a thread, which a default should not")]
    pub fn new() -> Machine {
        let on_epoch = Arc::new(|| match UNTIL.get() {
            Some(until) if Instant::now() >= until => Verdict::Kill,
            _ => Verdict::Continue,
        });
        let engine = Engine::new(EngineConfig { cache_dir: None, on_epoch }).expect("an engine");
        let stop = Arc::new(AtomicBool::new(false));
        let (engine_of_ticker, stop_of_ticker) = (engine.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stop_of_ticker.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(2));
                engine_of_ticker.tick();
            }
        });
        Machine { engine, _ticker: Arc::new(Ticker { stop, thread: Some(thread) }) }
    }
}

impl Machine {
    /// A module for its actors.
    ///
    /// # Errors
    /// Why it is none.
    pub fn load(&self, wasm: &[u8], class: Class) -> Result<Arc<Module>, String> {
        self.engine.load(wasm, class).map_err(|e| e.to_string())
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only sleeps and ticks; if it panicked, a test has said so already.
            let _ = thread.join();
        }
    }
}

/// Runs a handler that may take so many milliseconds.
pub fn timed<R>(handler_ms: u64, run: impl FnOnce() -> R) -> R {
    UNTIL.set(Some(Instant::now() + Duration::from_millis(handler_ms)));
    let result = run();
    UNTIL.set(None);
    result
}
