//! A shell: a live instance that an actor's image is put into.
//!
//! Owns: the store and what is looked up in it once. Does not know images or transactions.
//!
//! 1. A shell serves one module. Between two actors it is brought back to the module's base, so nothing of the one is there
//!    for the other.
//! 2. Its memory never shrinks: an actor with less memory than a shell has does not get that shell.
//! 3. A page that was written since the marks were last taken is marked, by the guest itself or by whoever wrote for it. What
//!    puts an actor in or takes it out writes the memory whole, and forgets the marks.

use pando_abi::{ExitKind, call::exports};
use wasmtime::{AsContext, AsContextMut, Global, Memory, Store, TypedFunc, UpdateDeadline, V128, Val, WasmBacktrace};

use crate::{
    Class, Exit, Module, Verdict,
    guest::{Guest, Stop},
    module::{REACH, global_name, marks_name, start_name},
    pages::{self, PAGE},
};

/// A live instance.
pub(crate) struct Shell {
    pub(crate) store: Store<Guest>,
    memory: Memory,
    pub(crate) receive: TypedFunc<i32, ()>,
    pub(crate) inbox: TypedFunc<i32, i32>,
    pub(crate) start: Option<TypedFunc<(), ()>>,
    pub(crate) export_state: Option<TypedFunc<(), i64>>,
    pub(crate) import_state: Option<TypedFunc<i32, ()>>,
    globals: Box<[Global]>,
}

impl Shell {
    /// A fresh instance.
    pub(crate) fn new(module: &Module) -> Result<Shell, Exit> {
        Shell::instantiate(module).map_err(|e| {
            let kind = if is_no_memory(&e) { ExitKind::MemoryLimit } else { ExitKind::BadModule };
            Exit::new(kind, format!("no instance could be made: {:#}", e.root_cause()))
        })
    }

    /// The same with the engine's own words.
    pub(crate) fn instantiate(module: &Module) -> wasmtime::Result<Shell> {
        let engine = module.pre.module().engine();
        let mut store = Store::new(engine, Guest::new(module.class(), module.hash()));
        store.limiter(|guest| guest);
        let on_epoch = module.on_epoch.clone();
        store.epoch_deadline_callback(move |mut context| {
            let guest = context.data_mut();
            guest.ticks = guest.ticks.saturating_add(1);
            match on_epoch() {
                Verdict::Kill if !guest.patient => {
                    guest.stop = Some(Stop::Killed);
                    Ok(UpdateDeadline::Interrupt)
                }
                _ => Ok(UpdateDeadline::Continue(1)),
            }
        });
        store.set_epoch_deadline(1);
        if module.class() == Class::Replicated {
            store.set_fuel(u64::MAX)?;
        }
        let instance = module.pre.instantiate(&mut store)?;
        let missing = || wasmtime::Error::msg("an export is missing");
        let memory = instance.get_memory(&mut store, exports::MEMORY).ok_or_else(missing)?;
        store.data_mut().memory = Some(memory);
        store.data_mut().marks = instance.get_memory(&mut store, &marks_name());
        let receive = instance.get_typed_func(&mut store, exports::RECEIVE)?;
        let inbox = instance.get_typed_func(&mut store, exports::INBOX)?;
        let start = match module.known.has_start {
            true => Some(instance.get_typed_func(&mut store, &start_name())?),
            false => None,
        };
        let export_state = match module.known.exports_state {
            true => Some(instance.get_typed_func(&mut store, exports::EXPORT_STATE)?),
            false => None,
        };
        let import_state = match module.known.imports_state {
            true => Some(instance.get_typed_func(&mut store, exports::IMPORT_STATE)?),
            false => None,
        };
        let mut globals = Vec::with_capacity(module.globals());
        for n in 0..module.globals() {
            globals.push(instance.get_global(&mut store, &global_name(n)).ok_or_else(missing)?);
        }
        Ok(Shell { store, memory, receive, inbox, start, export_state, import_state, globals: globals.into() })
    }

    /// The next exit needs no backtrace. Called while the guest does not run, so that there is nothing to trace.
    pub(crate) fn forget_trace(&mut self) {
        if self.store.data().no_trace.is_none() {
            let nothing = WasmBacktrace::capture(&self.store);
            self.store.data_mut().no_trace = Some(nothing);
        }
    }

    /// Bytes of memory.
    pub(crate) fn size(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    /// The memory.
    pub(crate) fn memory(&self) -> &[u8] {
        self.memory.data(&self.store)
    }

    /// The memory, to write.
    #[inline]
    pub(crate) fn memory_mut(&mut self) -> &mut [u8] {
        self.memory.data_mut(&mut self.store)
    }

    /// Bytes were written here by somebody else than the guest.
    pub(crate) fn mark(&mut self, at: usize, len: usize) {
        mark(&mut self.store, at, len);
    }

    /// The pages that may have been written since the last time, in order, and how many bytes of each; `None`: any of them, for the
    /// module has no marks.
    pub(crate) fn take_marks(&mut self) -> Option<Vec<(usize, usize)>> {
        let marks = self.store.data().marks?;
        let pages = pages::count(self.size());
        let mut found: Vec<(usize, usize)> = Vec::new();
        let marks = marks.data_mut(&mut self.store).get_mut(..pages).unwrap_or_default();
        let (words, rest) = marks.as_chunks_mut::<64>();
        let words = words.iter_mut().map(|w| &mut w[..]).chain(std::iter::once(rest));
        for (n, word) in words.enumerate().filter(|(_, word)| word.iter().any(|mark| *mark != 0)) {
            for (page, mark) in (n * 64..).zip(word) {
                if std::mem::take(mark) == 0 {
                    continue;
                }
                // The guest marks where a store begins: it may have reached into the next page.
                found.pop_if(|(last, _)| *last == page);
                found.push((page, PAGE));
                if page + 1 < pages {
                    found.push((page + 1, REACH));
                }
            }
        }
        Some(found)
    }

    /// Nobody needs to know what was written so far.
    pub(crate) fn forget_marks(&mut self) {
        _ = self.take_marks();
    }

    /// Makes the memory so large. What is new is zero.
    pub(crate) fn grow_to(&mut self, size: usize) -> Result<(), Exit> {
        let page = self.memory.page_size(&self.store);
        let more = size.saturating_sub(self.size()) as u64;
        if !more.is_multiple_of(page) {
            return Err(Exit::new(
                ExitKind::BadModule,
                format!("a memory of {size} bytes is not whole pages of {page}"),
            ));
        }
        if more > 0 {
            self.memory.grow(&mut self.store, more / page).map_err(|e| {
                Exit::new(ExitKind::MemoryLimit, format!("memory could not be grown: {:#}", e.root_cause()))
            })?;
        }
        Ok(())
    }

    /// Values of the mutable globals, as bits.
    pub(crate) fn globals(&mut self) -> Vec<u128> {
        let store = &mut self.store;
        self.globals.iter().map(|g| bits(g.get(&mut *store))).collect()
    }

    /// Sets the mutable globals. `None` if there are not so many of them.
    pub(crate) fn set_globals(&mut self, values: &[u128]) -> Option<()> {
        if values.len() != self.globals.len() {
            return None;
        }
        for (global, value) in self.globals.iter().zip(values) {
            let now = global.get(&mut self.store);
            // To write costs more than to look.
            if bits(now) == *value {
                continue;
            }
            let value = match now {
                Val::I32(_) => Val::I32(*value as i32),
                Val::I64(_) => Val::I64(*value as i64),
                Val::F32(_) => Val::F32(*value as u32),
                Val::F64(_) => Val::F64(*value as u64),
                Val::V128(_) => Val::V128(V128::from(*value)),
                // No such global is taken: see `module::inspect`.
                _ => return None,
            };
            global.set(&mut self.store, value).ok()?;
        }
        Some(())
    }

    /// Brings memory and globals back to the module's base. A page that is there already is not written.
    pub(crate) fn reset(&mut self, module: &Module) -> Option<()> {
        let memory = self.memory_mut();
        for index in 0..pages::count(memory.len()) {
            let page = pages::of_mut(memory, index);
            let base = module.base.page(index, page.len());
            if page != base {
                page.copy_from_slice(base);
            }
        }
        self.forget_marks();
        self.store.data_mut().state = Default::default();
        self.set_globals(&module.base_globals)
    }

    /// Fuel that is left; of a plain actor 0.
    #[inline]
    pub(crate) fn fuel(&self) -> u64 {
        self.store.as_context().get_fuel().unwrap_or(0)
    }
}

/// Marks what was written for a guest.
pub(crate) fn mark(mut store: impl AsContextMut<Data = Guest>, at: usize, len: usize) {
    if let Some(marks) = store.as_context().data().marks {
        let pages = at / PAGE..(at + len).div_ceil(PAGE);
        if let Some(marks) = marks.data_mut(&mut store).get_mut(pages) {
            marks.fill(1);
        }
    }
}

fn bits(value: Val) -> u128 {
    match value {
        Val::I32(v) => u128::from(v as u32),
        Val::I64(v) => u128::from(v as u64),
        Val::F32(v) => u128::from(v),
        Val::F64(v) => u128::from(v),
        Val::V128(v) => v.as_u128(),
        // No such global is taken: see `module::inspect`.
        _ => 0,
    }
}

/// Did the machine refuse memory, rather than the limit?
pub(crate) fn is_no_memory(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| cause.to_string().starts_with(crate::memory::NO_MEMORY))
}
