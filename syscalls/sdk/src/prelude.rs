//! What nearly every actor uses: `use pando::prelude::*;`.

pub use alloc::{
    borrow::ToOwned,
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
pub use core::time::Duration;

pub use crate::{Client, Data, Errno, Error, Handle, Reply, Result, State, This};
