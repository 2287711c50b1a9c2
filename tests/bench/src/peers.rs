//! The systems that stand beside: where their scripts and programs are, and what version each is.
//!
//! Owns: the folder that all of them write in, and what was found where. Does not know what is measured with them.
//!
//! 1. What a peer starts is a child of this process and ends with it.
//! 2. A peer that is not installed is a sentence, with what to do.

mod erlang;
mod etcd;
mod ra;

use std::{
    collections::BTreeMap,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

pub use erlang::{Erlang, Pair};
pub use etcd::Reads;
pub use ra::Ra;

use crate::figures::median;

/// See the module.
pub struct Peers {
    /// Their scripts.
    scripts: PathBuf,
    /// Where they are installed and built.
    place: PathBuf,
    /// What this run of them writes.
    folder: TempDir,
    versions: BTreeMap<String, String>,
    wanted: bool,
}

impl Peers {
    /// Looks in `scripts`, or where the repository has them beside it.
    pub fn find(scripts: Option<PathBuf>, wanted: bool) -> Peers {
        let beside = || pando_tests::program::workspace().join("../shared/peers");
        let scripts = scripts.or_else(|| std::env::var_os("PANDO_PEERS").map(PathBuf::from)).unwrap_or_else(beside);
        let place = std::env::var_os("PEERS")
            .map(PathBuf::from)
            .unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/pando-peers"));
        let folder = tempfile::Builder::new().prefix("pando-peers-").tempdir().expect("a temporary folder");
        Peers { scripts, place, folder, versions: BTreeMap::new(), wanted }
    }

    /// The versions of those that were asked.
    pub fn versions(&self) -> &BTreeMap<String, String> {
        &self.versions
    }

    fn allowed(&self) -> Result<(), String> {
        if self.wanted { Ok(()) } else { Err("was not asked (--alone)".into()) }
    }

    /// A file of a peer's script.
    fn script(&self, path: &str) -> Result<PathBuf, String> {
        let path = self.scripts.join(path);
        if path.is_file() {
            return Ok(path);
        }
        Err(format!("there is no {}: name the peers' folder with --peers or PANDO_PEERS", path.display()))
    }

    /// A program of `rustpeers`: the median of each of its figures, by name.
    pub fn rust(
        &mut self,
        program: &str,
        bench: &str,
        runs: usize,
        percent: u64,
    ) -> Result<BTreeMap<String, f64>, String> {
        self.allowed()?;
        let path = self.place.join("target-rustpeers/release").join(program);
        if !path.is_file() {
            return Err("is not installed: run the peers' `install.sh rust`".to_owned());
        }
        let name = program.trim_end_matches("peer");
        let manifest =
            self.script("rustpeers/Cargo.toml").and_then(|p| std::fs::read_to_string(p).map_err(|e| e.to_string()));
        let line = manifest.iter().flat_map(|text| text.lines()).find(|line| line.starts_with(&format!("{name} =")));
        let version = line.and_then(|line| line.split("\"=").nth(1)).and_then(|rest| rest.split('"').next());
        self.versions.insert(name.to_owned(), version.unwrap_or("of unknown version").to_owned());
        let mut command = Command::new(path);
        command.arg(bench).env("ANCHOR_REPS", runs.to_string()).env("ANCHOR_SCALE", percent.to_string());
        figures(&output(&mut command)?)
    }
}

/// Lines of `peer, benchmark, median, ...`, by benchmark.
fn figures(text: &str) -> Result<BTreeMap<String, f64>, String> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split('\t').skip(1);
        if let (Some(what), Some(Ok(figure))) = (fields.next(), fields.next().map(str::parse)) {
            found.insert(what.to_owned(), figure);
        }
    }
    if found.is_empty() { Err(format!("printed no figure: {text}")) } else { Ok(found) }
}

/// The figure whose name begins so.
pub fn named(figures: &Result<BTreeMap<String, f64>, String>, parts: &[&str]) -> Result<Vec<f64>, String> {
    let figures = figures.as_ref().map_err(Clone::clone)?;
    let fits = |name: &str| parts.iter().all(|part| name.contains(part));
    let found: Vec<f64> = figures.iter().filter(|(name, _)| fits(name)).map(|(_, figure)| *figure).collect();
    if found.is_empty() { Err(format!("has no figure for {parts:?}")) } else { Ok(vec![median(&found)]) }
}

/// What a program prints, if it ends well.
pub fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("{name} does not start: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default();
        return Err(format!("{name} ended with {}: {last}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A port on loopback that nobody has now.
fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port on loopback");
    socket.local_addr().expect("a bound socket has an address").port()
}

/// Is it on the path?
fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A server that ends when this is dropped, and when this process ends however it ends: it is killed as soon as a pipe from here
/// is closed.
struct Served(Child);

impl Served {
    fn start(command: &mut Command) -> Result<Served, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut shell = Command::new("sh");
        shell.args(["-c", "\"$@\" & cat; kill -9 $!", "sh"]).arg(command.get_program()).args(command.get_args());
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        shell.spawn().map(Served).map_err(|e| format!("{name} does not start: {e}"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Waiting closes the pipe.
        let _ = self.0.wait();
    }
}

/// Compiles Erlang modules into `to`.
fn compile(to: &Path, paths: &[PathBuf], files: &[PathBuf]) -> Result<(), String> {
    std::fs::create_dir_all(to).map_err(|e| format!("{}: {e}", to.display()))?;
    let mut command = Command::new("erlc");
    command.args(["-W0", "+export_all", "+nowarn_export_all", "-o"]).arg(to);
    for path in paths {
        command.arg("-pa").arg(path);
    }
    output(command.args(files)).map(drop)
}

/// Hundredths of a second of processor time that a process and its threads have used.
pub fn ticks(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may have spaces: state is the first.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok()).unwrap_or_default();
    field(11) + field(12)
}
