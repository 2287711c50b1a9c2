//! The commands, defined once for the command line and the shell.
//!
//! Owns: names, arguments, help and examples of every command; what a malformed command line is told. Does not know: what
//! a command does.
//!
//! 1. [`Verb`] is everything that a person can ask of a running realm, and is the same in both places.
//! 2. `--node`, `--json` and `--deadline` mean the same everywhere, and can stand anywhere.

mod examples;
mod refusal;
pub mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use self::refusal::refusal;
use self::values::{Bytes, CallKey, GroupChange, Lapse, Node, Patience, RestartArg};

/// Pando: one program on many machines.
#[derive(Parser, Debug)]
#[command(name = "pando", version, about, after_help = examples::PANDO, disable_help_subcommand = false)]
pub struct Cli {
    /// Where the realm is kept [default: the user's data folder]
    #[arg(long, global = true, env = "PANDO_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// One line of the shell.
#[derive(Parser, Debug)]
#[command(name = "", multicall = true, about = "Commands of the shell", after_help = examples::SHELL)]
pub struct Line {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub verb: ShellVerb,
}

/// What every command takes.
#[derive(Args, Debug, Clone, Default)]
pub struct Common {
    /// The node to ask (spawn: to run on; ps, top: to show only), as n1
    #[arg(long, global = true, value_name = "NODE")]
    pub node: Option<Node>,
    /// Answer in JSON, errors too
    #[arg(long, global = true)]
    pub json: bool,
    /// How long to wait for an answer, as 500ms, 5s, 2m [default: 5s; spawn and start-node: 30s, what moves actors or replicas: 70s]
    #[arg(long, global = true, value_name = "TIME")]
    pub deadline: Option<Lapse>,
}

/// What the program does.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Start the realm's nodes on this machine and open the shell (what `pando` alone does)
    #[command(after_help = examples::UP)]
    Up(Up),
    /// Run one node in this process, or join a realm with it
    #[command(after_help = examples::NODE)]
    Node(NodeArgs),
    /// Open the shell of a running realm
    #[command(after_help = examples::SH)]
    Sh(Sh),
    /// Make a realm of a backup, in an empty folder
    #[command(after_help = examples::RESTORE)]
    Restore(RestoreArgs),
    #[command(flatten)]
    Verb(Verb),
}

/// What a line of the shell does.
#[derive(Subcommand, Debug)]
pub enum ShellVerb {
    #[command(flatten)]
    Verb(Verb),
    /// Leave the shell
    #[command(visible_alias = "quit")]
    Exit,
    /// Clear the screen
    Clear,
}

/// What a person asks of a running realm.
#[derive(Subcommand, Debug, Clone)]
pub enum Verb {
    /// Start an actor, or a group of replicas
    #[command(after_help = examples::SPAWN)]
    Spawn(Spawn),
    /// Call a method and print its answer
    #[command(after_help = examples::CALL)]
    Call(Call),
    /// Send a message and do not wait for an answer
    #[command(after_help = examples::SEND)]
    Send(Send),
    /// Tell what became of a call or send whose answer was not heard
    #[command(after_help = examples::OUTCOME)]
    Outcome(OutcomeOf),
    /// List actors and groups
    #[command(after_help = examples::PS)]
    Ps,
    /// Show what the nodes are doing
    #[command(after_help = examples::TOP)]
    Top(Top),
    /// List names
    #[command(after_help = examples::NAMES)]
    Names,
    /// List nodes
    #[command(after_help = examples::NODES)]
    Nodes,
    /// Show everything about one actor, its methods too
    #[command(after_help = examples::INSPECT)]
    Inspect(Target),
    /// End an actor or group
    #[command(after_help = examples::KILL)]
    Kill(Targets),
    /// Tie two lives together: if one fails, the other ends
    #[command(after_help = examples::LINK)]
    Link(Pair),
    /// Untie them
    #[command(after_help = examples::UNLINK)]
    Unlink(Pair),
    /// Tell when an actor ends, and how
    #[command(after_help = examples::MONITOR)]
    Monitor(Monitor),
    /// Show log lines
    #[command(after_help = examples::LOG)]
    Log(Log),
    /// Give a name to an actor, or take it away
    #[command(after_help = examples::NAME)]
    Name(Name),
    /// Go on with other code, between two events
    #[command(after_help = examples::UPGRADE)]
    Upgrade(Upgrade),
    /// Change the nodes that hold a group
    #[command(after_help = examples::VOTERS)]
    Voters(Voters),
    /// Add a node to those that hold a group, take one away, or move a replica
    #[command(after_help = examples::GROUP)]
    Group(Group),
    /// Move a plain actor to another node, with everything that it is
    #[command(after_help = examples::MOVE)]
    Move(Move),
    /// Move everything that is on a node elsewhere, and place nothing new there
    #[command(after_help = examples::DRAIN)]
    Drain(OneNode),
    /// Let a drained node hold things again
    #[command(after_help = examples::UNDRAIN)]
    Undrain(OneNode),
    /// Print a ticket: with it one node joins the realm
    #[command(after_help = examples::TICKET)]
    Ticket(TicketArgs),
    /// Take a node out of the realm for good
    #[command(after_help = examples::REMOVE_NODE)]
    RemoveNode(RemoveNode),
    /// Write the whole realm, its groups and modules, into one file
    #[command(after_help = examples::BACKUP)]
    Backup(BackupArgs),
    /// Show or change what the realm does by itself
    #[command(after_help = examples::SETTINGS)]
    Settings(Settings),
    /// List the bundled programs
    #[command(visible_alias = "modules", after_help = examples::PROGRAMS)]
    Programs,
    /// Make a crate for an actor of your own
    #[command(after_help = examples::NEW)]
    New(New),
    /// Kill a node's process at once, as a power cut would
    #[command(after_help = examples::KILL_NODE)]
    KillNode(OneNode),
    /// Start a node's process on this machine
    #[command(after_help = examples::START_NODE)]
    StartNode(OneNode),
    /// Stop nodes in good order: those given, or all
    #[command(after_help = examples::STOP)]
    Stop(Stop),
}

#[derive(Args, Debug, Clone, Default)]
pub struct Up {
    /// How many nodes a new realm has [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(values::NODES_MAX)))]
    pub nodes: Option<u32>,
    /// Keep nothing: a folder that is removed at the end
    #[arg(long)]
    pub ephemeral: bool,
    /// Leave the nodes running when the shell ends
    #[arg(long, conflicts_with = "ephemeral")]
    pub keep: bool,
    #[command(flatten)]
    pub sh: Sh,
}

#[derive(Args, Debug, Clone, Default)]
pub struct Sh {
    /// Go on after a command that failed, when commands come from a pipe
    #[arg(long)]
    pub keep_going: bool,
}

#[derive(Args, Debug, Clone)]
pub struct NodeArgs {
    /// The node's folder, as DATA/n1
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Worker threads for actors [default: one a core]
    #[arg(long)]
    pub workers: Option<usize>,
    /// Join a realm: a ticket that `pando ticket` printed there. The folder is made
    #[arg(long, value_name = "TICKET")]
    pub join: Option<String>,
    /// Where a node that joins listens: an address of this machine that the others can reach [default: a free port of 127.0.0.1]
    #[arg(long, value_name = "IP:PORT", requires = "join")]
    pub listen: Option<std::net::SocketAddr>,
    /// Stop when standard input ends: the parent's way to take the node along
    #[arg(long, hide = true)]
    pub with_parent: bool,
}

#[derive(Args, Debug, Clone)]
pub struct Spawn {
    /// A bundled program (counter), a .wasm or .wat file, or the folder of a crate (./greeter)
    pub program: String,
    /// Arguments of its start
    #[arg(allow_negative_numbers = true)]
    pub args: Vec<String>,
    /// Replicate over so many nodes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(values::REPLICAS_MAX)))]
    pub replicas: Option<u8>,
    /// A name for it in the realm
    #[arg(long)]
    pub name: Option<String>,
    /// When to start it again after its end
    #[arg(long, value_enum, default_value_t)]
    pub restart: RestartArg,
    /// Limit of its memory, as 64M
    #[arg(long, value_name = "BYTES")]
    pub memory: Option<Bytes>,
    /// Limit of processor time of one handler, in milliseconds
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u16).range(1..=i64::from(values::HANDLER_MS_MAX)))]
    pub cpu_ms: Option<u16>,
    /// Do not let it reach the realm's names and nodes
    #[arg(long)]
    pub no_realm: bool,
}

#[derive(Args, Debug, Clone)]
pub struct Call {
    /// A name (hits), an address (n1/7f3a2b10) or the beginning of an id
    pub target: String,
    /// The method
    pub method: String,
    /// Its arguments: 5, text, 0xcafe, [1, 2], {x: 1}, none
    #[arg(allow_negative_numbers = true)]
    pub args: Vec<String>,
    /// A query that any replica may answer from what is committed there
    #[arg(long = "final")]
    pub committed: bool,
    /// Run as a query, where the actor has no interface that tells
    #[arg(long)]
    pub query: bool,
}

#[derive(Args, Debug, Clone)]
pub struct Send {
    /// A name (hits), an address (n1/7f3a2b10) or the beginning of an id
    pub target: String,
    /// The method
    pub method: String,
    /// Its arguments
    #[arg(allow_negative_numbers = true)]
    pub args: Vec<String>,
}

#[derive(Args, Debug, Clone)]
pub struct OutcomeOf {
    /// The actor or group that was called
    pub target: String,
    /// The key that was printed beside the failure
    pub key: CallKey,
}

#[derive(Args, Debug, Clone)]
pub struct Top {
    /// Refresh every second until Ctrl-C
    #[arg(long, short)]
    pub watch: bool,
}

#[derive(Args, Debug, Clone)]
pub struct Target {
    /// A name (hits), an address (n1/7f3a2b10) or the beginning of an id
    pub target: String,
}

#[derive(Args, Debug, Clone)]
pub struct Targets {
    /// Names, addresses or beginnings of ids
    #[arg(required = true, value_name = "TARGET")]
    pub targets: Vec<String>,
}

#[derive(Args, Debug, Clone)]
pub struct Pair {
    /// One
    #[arg(value_name = "TARGET")]
    pub a: String,
    /// The other
    #[arg(value_name = "OTHER")]
    pub b: String,
}

#[derive(Args, Debug, Clone)]
pub struct Monitor {
    /// A name (hits), an address (n1/7f3a2b10) or the beginning of an id
    pub target: String,
    /// Wait here for the end, in the shell too
    #[arg(long)]
    pub wait: bool,
}

#[derive(Args, Debug, Clone)]
pub struct Log {
    /// Only lines of this actor
    pub target: Option<String>,
    /// How many of the latest lines
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=4_096))]
    pub tail: u32,
    /// Go on until Ctrl-C
    #[arg(long, short)]
    pub follow: bool,
}

#[derive(Args, Debug, Clone)]
pub struct Name {
    /// The name
    pub name: String,
    /// What it shall mean; without it the name is taken away
    pub target: Option<String>,
}

#[derive(Args, Debug, Clone)]
pub struct Upgrade {
    /// A name (hits), an address (n1/7f3a2b10) or the beginning of an id
    pub target: String,
    /// Its new code: a bundled program, a .wasm or .wat file, or the folder of a crate
    pub program: String,
}

#[derive(Args, Debug, Clone)]
pub struct Voters {
    /// The group
    pub target: String,
    /// The nodes that shall hold it
    #[arg(required = true, value_name = "NODE")]
    pub nodes: Vec<Node>,
}

#[derive(Args, Debug, Clone)]
pub struct Group {
    /// What to do
    #[arg(value_enum)]
    pub change: GroupChange,
    /// The group
    pub target: String,
    /// The node that gains a replica (add) or loses one (remove, move)
    #[arg(value_name = "NODE")]
    pub id: Node,
    /// The node that takes it over (move)
    #[arg(value_name = "NODE")]
    pub to: Option<Node>,
}

#[derive(Args, Debug, Clone)]
pub struct Move {
    /// A name (ping), an address (n1/7f3a2b10) or the beginning of an id
    pub target: String,
    /// The node where it shall live
    #[arg(value_name = "NODE")]
    pub id: Node,
}

#[derive(Args, Debug, Clone)]
pub struct TicketArgs {
    /// How long it is good, as 10m, 1h
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    pub lifetime: Lapse,
}

#[derive(Args, Debug, Clone)]
pub struct RemoveNode {
    /// The node, as n2
    #[arg(value_name = "NODE")]
    pub id: Node,
    /// Its disk is gone for good: end the groups that have no majority without it
    #[arg(long)]
    pub lost: bool,
}

#[derive(Args, Debug, Clone)]
pub struct BackupArgs {
    /// The file, which is made
    pub file: PathBuf,
}

#[derive(Args, Debug, Clone)]
pub struct RestoreArgs {
    /// A file that `backup` has made
    pub file: PathBuf,
    /// How many nodes the realm has from now on [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(values::NODES_MAX)))]
    pub nodes: Option<u32>,
}

#[derive(Args, Debug, Clone)]
pub struct Settings {
    /// How long a node is waited for before its replicas go elsewhere, as 10m, or never
    #[arg(long, value_name = "TIME")]
    pub replace_after: Option<Patience>,
}

#[derive(Args, Debug, Clone)]
pub struct New {
    /// The crate's name and folder
    #[arg(value_name = "NAME")]
    pub path: PathBuf,
    /// Where the SDK is [default: beside this program's sources]
    #[arg(long, value_name = "PATH")]
    pub sdk: Option<PathBuf>,
}

#[derive(Args, Debug, Clone)]
pub struct OneNode {
    /// The node, as n2
    #[arg(value_name = "NODE")]
    pub id: Node,
}

#[derive(Args, Debug, Clone)]
pub struct Stop {
    /// The nodes [default: all]
    #[arg(value_name = "NODE")]
    pub nodes: Vec<Node>,
}

/// The first of these words that is a command of the program.
pub fn command_among(words: &[String]) -> Option<&str> {
    use clap::CommandFactory;
    let program = Cli::command();
    words.iter().map(String::as_str).find(|word| program.find_subcommand(word).is_some())
}

/// Is there a command of this name in the shell?
pub fn is_command(name: &str) -> bool {
    use clap::CommandFactory;
    name == "help" || Line::command().find_subcommand(name).is_some()
}

#[cfg(test)]
mod tests;
