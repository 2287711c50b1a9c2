//! `pando node`: one node in this process; with `--join` it becomes one of a realm first.
//!
//! Owns: the node's runtime, the signals that end it, where its words go. Does not know: what a node does; that is the
//! kernel's.
//!
//! 1. It ends in good order on SIGTERM, on Ctrl-C, when it is asked to by the admin interface, and, with `--with-parent`,
//!    when its standard input ends, which it does however the parent dies.
//! 2. Joining can be interrupted anywhere and done again with the same words: the key is made first, and the ticket gives the
//!    same key the same number. A folder that has joined is not joined again.

use std::{io::Read, net::SocketAddr, time::Duration};

use pando_abi::NodeId;
use pando_admin::{Client, Contact, Reply, Request, Ticket};
use pando_kernel::{Genesis, Node, NodeConfig, genesis::free_port};
use pando_transport::Identity;
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

use crate::{cli::NodeArgs, failure::Failure};

/// Network and disk share few threads: crossing between cores costs more than it brings. Actors have threads of their own.
const IO_THREADS: usize = 1;
/// How long a realm is asked to admit this node.
const JOIN_MAX: Duration = Duration::from_secs(30);

/// Runs the node until it is stopped.
pub fn run(args: &NodeArgs) -> Result<u8, Failure> {
    let filter = std::env::var("PANDO_LOG").unwrap_or_else(|_| "info,openraft=error,quinn=warn".to_owned());
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .try_init();
    if let Err(e) = pando_kernel::small_pages() {
        tracing::debug!(%e, "memory comes in whatever pages the system likes");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(IO_THREADS)
        .thread_name("pando-io")
        .enable_all()
        .build()
        .map_err(|e| Failure::new(format!("cannot start a thread: {e}"), "end other programs and try again"))?;
    let parent = args.with_parent.then(parent_gone);
    runtime.block_on(async {
        if let Some(ticket) = &args.join {
            join(args, ticket).await?;
        }
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
        let refused = node.kernel().refused().cloned();
        tracing::info!("stopping: {}", if refused.is_some() { "the realm refuses this node" } else { why });
        node.stop().await;
        tracing::info!("stopped");
        refused.map_or(Ok(0), |why| Err(Failure::new(why.text, why.mend).with(why.errno)))
    })
}

/// Has the realm of the ticket admit the node in the folder, which gets its key and its record.
async fn join(args: &NodeArgs, ticket: &str) -> Result<(), Failure> {
    let ticket: Ticket =
        ticket.parse().map_err(|e| Failure::usage(format!("{e}"), "`pando ticket` on the realm prints one"))?;
    let dir = &args.dir;
    if Genesis::record_path(dir).exists() {
        let record = Genesis::load(dir)?;
        return match record.realm == ticket.realm {
            // The same words again, after a reboot.
            true => Ok(()),
            false => Err(Failure::new(
                format!("{} holds a node of another realm", dir.display()),
                "join with an empty folder",
            )),
        };
    }
    Genesis::make_folder(dir)?;
    let key = Identity::load_or_create(&dir.join("node.key")).map_err(|e| Failure::told(&e))?.public();
    let addr = listen(args, &ticket)?;
    let client = Client::new(ticket.identity(), ticket.realm, ticket.nodes.clone());
    let request = Request::Join { key: key.0, addr: addr.to_string() };
    let Reply::Joined { node, nodes, users } = client.ask(request, JOIN_MAX).await? else {
        return Err(crate::session::unexpected());
    };
    let members = nodes.iter().filter_map(Contact::member).collect();
    let users = users.into_iter().map(pando_transport::PublicKey).collect();
    Genesis { realm: ticket.realm, nodes: members, users, joined: true }.join(dir)?;
    println!("admitted as {}, listens on {addr}", NodeId(node));
    Ok(())
}

/// Where the node shall listen. On one machine any free port will do; between machines somebody has to say which address is
/// the one that the others reach.
fn listen(args: &NodeArgs, ticket: &Ticket) -> Result<SocketAddr, Failure> {
    let free = |e: &std::io::Error| Failure::new(format!("no UDP port is free: {e}"), "name one with --listen");
    match args.listen {
        Some(addr) if addr.port() != 0 && !addr.ip().is_unspecified() => Ok(addr),
        Some(addr) => Err(Failure::usage(
            format!("others cannot reach a node at {addr}"),
            "name an address of this machine and a port, as in --listen 10.0.0.7:7000",
        )),
        None if ticket.nodes.iter().all(|member| member.addr.ip().is_loopback()) => {
            free_port().and_then(|socket| socket.local_addr()).map_err(|e| free(&e))
        }
        None => Err(Failure::usage(
            "the realm is on other machines",
            "say where they reach this one, as in --listen 10.0.0.7:7000",
        )),
    }
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
