//! Lines for people.

use crate::{prelude::*, sys};

/// How much a line matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something may fail.
    Warning = 2,
    /// Something happened.
    Info = 3,
    /// How it happened.
    Debug = 4,
    /// Every step of it.
    Trace = 5,
}

#[doc(hidden)]
pub fn write(level: Level, line: core::fmt::Arguments<'_>) {
    match line.as_str() {
        Some(line) => sys::log(level as u8, line),
        None => sys::log(level as u8, &line.to_string()),
    }
}

/// Writes a line to the actor's log: `log!("{n} jobs")`, or with a level, `log!(Warning, "{n} jobs wait")`.
#[macro_export]
macro_rules! log {
    (Error, $($line:tt)+) => { $crate::log::write($crate::Level::Error, ::core::format_args!($($line)+)) };
    (Warning, $($line:tt)+) => { $crate::log::write($crate::Level::Warning, ::core::format_args!($($line)+)) };
    (Info, $($line:tt)+) => { $crate::log::write($crate::Level::Info, ::core::format_args!($($line)+)) };
    (Debug, $($line:tt)+) => { $crate::log::write($crate::Level::Debug, ::core::format_args!($($line)+)) };
    (Trace, $($line:tt)+) => { $crate::log::write($crate::Level::Trace, ::core::format_args!($($line)+)) };
    ($($line:tt)+) => { $crate::log::write($crate::Level::Info, ::core::format_args!($($line)+)) };
}
