//! Hostile guests by the thousand, against models and against the machine itself.
//!
//! | room | what it does |
//! |---|---|
//! | [`syscalls`] | an [`ape`] makes random calls; a [`reference`] of SPEC.md says what each must answer and ask for |
//! | [`modules`] | modules that a generator wrote live through load, events, images, and their end |
//!
//! 1. What is done depends on the seed alone.

pub mod ape;
pub mod modules;
pub mod reference;
pub mod syscalls;
