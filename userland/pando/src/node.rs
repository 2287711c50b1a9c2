//! `pando node`: one node in this process.
//!
//! Owns: the node's runtime, the signals that end it, where its words go. Does not know: what a node does; that is the
//! kernel's.
//!
//! 1. It ends in good order on SIGTERM, on Ctrl-C, when it is asked to by the admin interface, and, with `--with-parent`,
//!    when its standard input ends, which it does however the parent dies.

use std::io::Read;

use pando_kernel::{Node, NodeConfig};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

use crate::{cli::NodeArgs, failure::Failure};

/// Network and disk share few threads: crossing between cores costs more than it brings. Actors have threads of their own.
const IO_THREADS: usize = 2;

/// Runs the node until it is stopped.
pub fn run(args: &NodeArgs) -> Result<u8, Failure> {
    let filter = std::env::var("PANDO_LOG").unwrap_or_else(|_| "info,openraft=error,quinn=warn".to_owned());
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .try_init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(IO_THREADS)
        .thread_name("pando-io")
        .enable_all()
        .build()
        .map_err(|e| Failure::new(format!("cannot start a thread: {e}"), "end other programs and try again"))?;
    let parent = args.with_parent.then(parent_gone);
    runtime.block_on(async {
        let config = NodeConfig { workers: args.workers, ..NodeConfig::new(&args.dir) };
        let node = Node::start(config).await.map_err(|e| match Failure::told(&e) {
            failure if failure.mend.is_empty() => Failure { mend: "its log has more".to_owned(), ..failure },
            failure => failure,
        })?;
        let why = tokio::select! {
            () = node.stopped() => "somebody asked for it",
            why = signalled() => why,
            () = async { match parent { Some(gone) => { let _ = gone.await; } None => std::future::pending().await } } => {
                "the process that started it has ended"
            }
        };
        tracing::info!("stopping: {why}");
        node.stop().await;
        tracing::info!("stopped");
        Ok(0)
    })
}

/// Resolves when standard input ends.
fn parent_gone() -> oneshot::Receiver<()> {
    let (tell, gone) = oneshot::channel();
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut ignored = [0; 64];
        // An error is an end as well.
        while stdin.read(&mut ignored).is_ok_and(|n| n > 0) {}
        let _ = tell.send(());
    });
    gone
}

#[cfg(unix)]
async fn signalled() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = term.recv() => "a signal",
        _ = tokio::signal::ctrl_c() => "Ctrl-C",
    }
}

#[cfg(not(unix))]
async fn signalled() -> &'static str {
    let _ = tokio::signal::ctrl_c().await;
    "Ctrl-C"
}
