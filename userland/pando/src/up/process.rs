//! The few things that the standard library does not do to a process.
//!
//! 1. The only file of this program with `unsafe` in it.

#![allow(unsafe_code)]

use std::{path::Path, process::Command};

/// Is `pid` a living node whose folder is `dir`?
pub fn is_node(pid: u32, dir: &Path) -> bool {
    let wanted = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    match arguments(pid) {
        Some(args) => {
            args.iter().any(|a| a == "node")
                && args.iter().any(|a| Path::new(a).canonicalize().is_ok_and(|path| path == wanted))
        }
        None => false,
    }
}

/// The command line of a living process; `None` if there is none, or it has ended and was not yet waited for.
#[cfg(target_os = "linux")]
fn arguments(pid: u32) -> Option<Vec<String>> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|bytes| !bytes.is_empty())?;
    Some(bytes.split(|b| *b == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect())
}

#[cfg(not(target_os = "linux"))]
fn arguments(pid: u32) -> Option<Vec<String>> {
    let output = Command::new("ps").args(["-ww", "-o", "stat=,args=", "-p"]).arg(pid.to_string()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.split_whitespace().map(str::to_owned);
    let ended = words.next()?.starts_with('Z');
    (!ended).then(|| words.collect())
}

/// The child does not get the terminal's signals.
#[cfg(unix)]
pub fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

/// The child does not get the terminal's signals.
#[cfg(not(unix))]
pub fn own_group(_command: &mut Command) {}

/// Ends `pid` at once. The caller has seen that it is a node of ours.
#[cfg(unix)]
pub fn kill(pid: u32) -> Result<(), String> {
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 1).ok_or("it is not a process")?;
    // SAFETY: `kill` takes two integers and touches no memory of ours; `pid` is positive, so it names one process.
    match unsafe { libc::kill(pid, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().to_string()),
    }
}

/// Ends `pid` at once. The caller has seen that it is a node of ours.
#[cfg(not(unix))]
pub fn kill(pid: u32) -> Result<(), String> {
    let status = Command::new("taskkill").args(["/F", "/PID"]).arg(pid.to_string()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(e) => Err(e.to_string()),
    }
}
