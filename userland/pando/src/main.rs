//! The `pando` program: boot a realm, talk to it, write for it.
//!
//! Owns: the process: its arguments, its exit code, its runtime. What commands do is in [`eval`], what they look like in
//! [`render`], how a line is cut, completed and edited in [`words`], [`complete`] and [`shell`].
//!
//! 1. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted.
//! 2. This process never holds a realm's data; nodes are processes of their own.

// `up/process.rs` says why not `forbid`.
#![deny(unsafe_code)]

mod archive;
mod ask;
mod bundle;
mod cli;
mod complete;
mod create;
mod eval;
mod failure;
mod node;
mod outcome;
mod printer;
mod program;
mod render;
mod restore;
mod session;
mod shell;
mod up;
mod words;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::{Parser, error::ErrorKind};
use tokio::runtime::Runtime;

use crate::{
    cli::{Cli, Command, Common, Up, Verb},
    failure::Failure,
    printer::Printer,
    session::{Session, Sink},
    shell::Shell,
};

/// A message is often made by one thread and let go by another, which costs the system's own allocator a lock each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let _ = e.print();
            return ExitCode::SUCCESS;
        }
        Err(e) => {
            let words: Vec<String> = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
            let json = words.iter().any(|word| word == "--json");
            let failure = cli::refusal(&e, cli::command_among(&words), false);
            Printer::new(json).fail(&failure);
            return ExitCode::from(failure.code);
        }
    };
    let json = cli.common.json;
    match run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            Printer::new(json).fail(&failure);
            ExitCode::from(failure.code)
        }
    }
}

fn run(cli: Cli) -> Result<u8, Failure> {
    let common = cli.common;
    match cli.command.unwrap_or_else(|| Command::Up(Up::default())) {
        Command::Node(args) => node::run(&args),
        Command::Up(args) => {
            quiet();
            run_up(&data(cli.data)?, &args, common)
        }
        Command::Sh(args) => {
            quiet();
            let runtime = runtime()?;
            let (session, _) = up::open(&data(cli.data)?)?;
            Ok(Shell { runtime: &runtime, session, common, keep_going: args.keep_going }.run())
        }
        Command::Restore(args) => {
            quiet();
            let mut printer = Printer::new(common.json);
            let data = data(cli.data)?;
            let restored = restore::restore(&runtime()?, &data, &args, &mut |text| printer.progress(text));
            printer.progress(None);
            printer.emit(restored?);
            Ok(0)
        }
        Command::Verb(verb) => {
            quiet();
            run_verb(cli.data, &verb, &common)
        }
    }
}

fn run_verb(given: Option<PathBuf>, verb: &Verb, common: &Common) -> Result<u8, Failure> {
    let mut printer = Printer::new(common.json);
    match verb {
        // These need no realm.
        Verb::Programs => printer.emit(outcome::Outcome::Programs(program::bundled())),
        Verb::New(args) => printer.emit(create::create(&args.path, args.sdk.as_deref())?),
        verb => {
            let runtime = runtime()?;
            let (session, _) = up::open(&data(given)?)?;
            runtime.block_on(shell::interruptible(&session, common, verb, &mut printer))?;
            // A process that was started here lives on.
            session.fleet().let_go();
        }
    }
    Ok(0)
}

fn run_up(data: &std::path::Path, args: &Up, common: Common) -> Result<u8, Failure> {
    let runtime = runtime()?;
    let mut printer = Printer::new(common.json);
    let running = runtime.block_on(up::up(data, args, &mut |text| printer.progress(text)));
    printer.progress(None);
    let running = running?;
    watch_signals(&runtime, running.session.clone(), running.folder(), args.keep);
    let realm = running.genesis.realm.to_string();
    let ready = (!running.attached).then_some(running.took);
    let folder = running.session.data().display().to_string();
    let banner = render::banner(&realm, running.genesis.nodes.len(), ready, &folder, args.keep, printer.style);
    if !common.json {
        // Where commands come by a pipe, standard output is theirs.
        match std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            true => {
                printer::line(&banner);
                for node in running.down_nodes() {
                    printer::line(&format!("{node} is down; `start-node {node}` starts it"));
                }
            }
            false => eprintln!("{}", banner.lines().next().unwrap_or_default()),
        }
    }
    let shell = Shell { runtime: &runtime, session: running.session.clone(), common, keep_going: args.sh.keep_going };
    let code = shell.run();
    runtime.block_on(running.down(args.keep, &mut |text| printer.progress(text)));
    Ok(code)
}

/// A process that is told to end takes its nodes along in good order.
#[cfg(unix)]
fn watch_signals(runtime: &Runtime, session: Arc<Session>, folder: Option<PathBuf>, keep: bool) {
    use tokio::signal::unix::{SignalKind, signal};
    runtime.spawn(async move {
        let (Ok(mut term), Ok(mut hup)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else {
            return;
        };
        let code = tokio::select! {
            _ = term.recv() => 143,
            _ = hup.recv() => 129,
        };
        let _ = crossterm::terminal::disable_raw_mode();
        up::stop_own(&session, keep, &mut |_| {}).await;
        if let Some(folder) = folder {
            let _ = std::fs::remove_dir_all(folder);
        }
        std::process::exit(code);
    });
}

#[cfg(not(unix))]
fn watch_signals(_: &Runtime, _: Arc<Session>, _: Option<PathBuf>, _: bool) {}

/// One thread beside the main one: a client has little to do.
fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .map_err(|e| Failure::new(format!("cannot start a thread: {e}"), "end other programs and try again"))
}

/// The folder that was given, or the person's own.
fn data(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match given {
        Some(path) => std::path::absolute(&path)
            .map_err(|e| Failure::usage(format!("`{}` is not a folder: {e}", path.display()), "name one with --data")),
        None => directories::ProjectDirs::from("", "", "pando")
            .map(|dirs| dirs.data_dir().join("realm"))
            .ok_or_else(|| Failure::new("you have no home folder to keep a realm in", "name a folder with --data")),
    }
}

/// Commands speak for themselves; `PANDO_LOG=debug` shows what goes on below.
fn quiet() {
    if let Ok(filter) = std::env::var("PANDO_LOG") {
        let filter = tracing_subscriber::EnvFilter::new(filter);
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    }
}
