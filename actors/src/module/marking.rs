//! Function bodies that say which pages they write.
//!
//! Owns: what stands before each instruction that writes memory, and the memory that it writes its marks to. Does not know who
//! reads the marks; that is [`crate::shell`].
//!
//! Comparing all of a large memory to find the few pages that an event wrote costs more than most events. So before each
//! store a replicated module marks the page that it goes to, in a second memory with one byte for each page.
//!
//! 1. Nothing but function bodies, the second memory and its export differs; the guest can neither name nor read that memory.
//! 2. A page that was written is marked, or the one before it is and only the first [`REACH`] bytes were: a store may reach into
//!    the next page.
//! 3. A mark never traps where the instruction would not have.
//! 4. The same body gives the same bytes: the fuel that marks take is the same on every replica.

use wasm_encoder::{CodeSection, Encode, MemoryType, ValType};
use wasmparser::{BinaryReaderError, FunctionBody, Operator};

use super::inspect::RESERVED;
use crate::pages::PAGE;

/// The index of the memory of marks: modules have one memory of their own.
const MARKS: u32 = 1;
const SHIFT: i32 = PAGE.trailing_zeros() as i32;
/// Bytes of a page that a store may have written that is marked on the page before.
pub(crate) const REACH: usize = 16;
/// One for each page that an address of 32 bits can name, and room for what one bulk instruction at the very end marks.
const WASM_PAGES: u64 = (1 << 20) / 65_536 + 1;

/// The export name of the memory of marks.
pub(crate) fn marks_name() -> String {
    format!("{RESERVED}marks")
}

/// The memory of marks.
pub(super) fn memory() -> MemoryType {
    MemoryType { minimum: WASM_PAGES, maximum: Some(WASM_PAGES), memory64: false, shared: false, page_size_log2: None }
}

/// Its index.
pub(super) const fn index() -> u32 {
    MARKS
}

/// What an instruction writes.
enum Writes {
    /// So much of this type at an address with an offset.
    One(ValType, u64),
    /// A run: destination, something, length.
    Run,
}

fn writes(operator: &Operator<'_>) -> Option<Writes> {
    use Operator as O;
    Some(match operator {
        O::I32Store { memarg } | O::I32Store8 { memarg } | O::I32Store16 { memarg } => {
            Writes::One(ValType::I32, memarg.offset)
        }
        O::I64Store { memarg } | O::I64Store8 { memarg } | O::I64Store16 { memarg } | O::I64Store32 { memarg } => {
            Writes::One(ValType::I64, memarg.offset)
        }
        O::F32Store { memarg } => Writes::One(ValType::F32, memarg.offset),
        O::F64Store { memarg } => Writes::One(ValType::F64, memarg.offset),
        O::V128Store { memarg }
        | O::V128Store8Lane { memarg, .. }
        | O::V128Store16Lane { memarg, .. }
        | O::V128Store32Lane { memarg, .. }
        | O::V128Store64Lane { memarg, .. } => Writes::One(ValType::V128, memarg.offset),
        O::MemoryFill { .. } | O::MemoryCopy { .. } | O::MemoryInit { .. } => Writes::Run,
        _ => return None,
    })
}

/// Locals beside those of the author, made when they are first wanted.
struct Locals {
    first: u32,
    made: Vec<(ValType, u8)>,
}

impl Locals {
    /// The `n`th local of this type.
    fn of(&mut self, ty: ValType, n: u8) -> u32 {
        let at = self.made.iter().position(|made| *made == (ty, n)).unwrap_or_else(|| {
            self.made.push((ty, n));
            self.made.len() - 1
        });
        self.first + at as u32
    }
}

/// Adds a function of so many parameters to the code, with marks.
pub(super) fn function(
    wasm: &[u8],
    body: &FunctionBody<'_>,
    params: u32,
    code: &mut CodeSection,
) -> Result<(), BinaryReaderError> {
    let mut reader = body.get_locals_reader()?;
    let groups = reader.get_count();
    let declared = reader.original_position();
    let mut count = params;
    for _ in 0..groups {
        count = count.saturating_add(reader.read()?.0);
    }
    let mut at = reader.original_position();
    let declared = wasm.get(declared..at).unwrap_or_default();
    let mut locals = Locals { first: count, made: Vec::new() };
    let mut out = Vec::with_capacity(wasm.len().min(body.range().len() * 2));
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let operator = operators.read()?;
        let end = operators.original_position();
        match writes(&operator) {
            Some(Writes::One(ty, offset)) => one(&mut out, &mut locals, ty, offset as u32),
            Some(Writes::Run) => run(&mut out, &mut locals),
            None => {}
        }
        out.extend_from_slice(wasm.get(at..end).unwrap_or_default());
        at = end;
    }
    let mut whole = Vec::with_capacity(out.len() + declared.len() + 16);
    (groups + locals.made.len() as u32).encode(&mut whole);
    whole.extend_from_slice(declared);
    for (ty, _) in &locals.made {
        1u32.encode(&mut whole);
        ty.encode(&mut whole);
    }
    whole.extend_from_slice(&out);
    code.raw(&whole);
    Ok(())
}

const LOCAL_GET: u8 = 0x20;
const LOCAL_SET: u8 = 0x21;
const LOCAL_TEE: u8 = 0x22;
const I32_STORE8: u8 = 0x3a;
const I32_CONST: u8 = 0x41;
const I32_ADD: u8 = 0x6a;
const I32_AND: u8 = 0x71;
const I32_SHR_U: u8 = 0x76;
const MISC: u8 = 0xfc;
const MEMORY_FILL: u32 = 11;
/// In the alignment of an instruction: a memory's index follows.
const HAS_MEMORY: u32 = 0x40;

fn local(out: &mut Vec<u8>, instruction: u8, index: u32) {
    out.push(instruction);
    index.encode(out);
}

fn constant(out: &mut Vec<u8>, value: i32) {
    out.push(I32_CONST);
    value.encode(out);
}

/// The page of the address on the stack.
fn page(out: &mut Vec<u8>) {
    constant(out, SHIFT);
    out.push(I32_SHR_U);
}

/// Before `store`: address, value.
fn one(out: &mut Vec<u8>, locals: &mut Locals, ty: ValType, offset: u32) {
    let (address, value) = (locals.of(ValType::I32, 0), locals.of(ty, 1));
    local(out, LOCAL_SET, value);
    local(out, LOCAL_TEE, address);
    local(out, LOCAL_GET, address);
    if offset != 0 {
        // Where this wraps around, the store is out of bounds.
        constant(out, offset as i32);
        out.push(I32_ADD);
    }
    page(out);
    constant(out, 1);
    out.push(I32_STORE8);
    HAS_MEMORY.encode(out);
    MARKS.encode(out);
    0u32.encode(out);
    local(out, LOCAL_GET, value);
}

/// Before a bulk instruction: destination, something, length.
fn run(out: &mut Vec<u8>, locals: &mut Locals) {
    let [to, what, len] = [0, 1, 2].map(|n| locals.of(ValType::I32, n));
    local(out, LOCAL_SET, len);
    local(out, LOCAL_SET, what);
    local(out, LOCAL_TEE, to);
    page(out);
    constant(out, 1);
    // All pages from the first to the last. Where this wraps around, the run is out of bounds.
    local(out, LOCAL_GET, to);
    constant(out, PAGE as i32 - 1);
    out.push(I32_AND);
    local(out, LOCAL_GET, len);
    out.push(I32_ADD);
    page(out);
    constant(out, 1);
    out.push(I32_ADD);
    out.push(MISC);
    MEMORY_FILL.encode(out);
    MARKS.encode(out);
    for index in [to, what, len] {
        local(out, LOCAL_GET, index);
    }
}
