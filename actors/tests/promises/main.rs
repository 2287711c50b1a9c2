//! What this crate promises to the kernel and to guests, one file for each kind of promise.

mod bounds;
mod determinism;
mod fault;
mod handle;
mod image;
mod mailbox;
mod module;
mod query;
mod support;
mod syscall;
mod undo;
mod upgrade;
