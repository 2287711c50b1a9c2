//! What the help shows at its end: lines to copy and paste.

pub const PANDO: &str = "\
Examples:
  pando                                    start three nodes here and open the shell
  pando up --ephemeral                     the same, and keep nothing
  pando spawn counter --replicas 3 --name hits
  pando call hits add 5 --json
  pando help call                          help and examples of one command

Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
Errors go to standard error; with --json, results and errors are JSON on standard output, one document a line.";

pub const SHELL: &str = "\
Examples:
  spawn counter --replicas 3 --name hits
  call hits add 5
  ps; names                    `;` separates commands; what comes after one that fails is left out
  help call                    help and examples of one command
Tab completes, Ctrl-R searches the history, Ctrl-D leaves.";

pub const UP: &str = "\
Examples:
  pando up                     found a realm of three nodes, or boot the one that is there
  pando up --ephemeral         a realm that leaves nothing behind
  pando up --nodes 5 --data ./five
  echo 'spawn counter; ps' | pando up --ephemeral
If the realm's nodes run already, `up` only opens the shell. Nodes that `up` started end with its shell, except with --keep
or if the shell itself is killed outright: then `pando up` finds them, and `pando stop` ends them.";

pub const NODE: &str = "\
Examples:
  pando node --dir ./data/n1   what `pando up` runs for each node";

pub const SH: &str = "\
Examples:
  pando sh
  pando sh < commands.txt      stops at the first command that fails
  pando sh --keep-going < commands.txt";

pub const SPAWN: &str = "\
Examples:
  spawn counter --name hits                       a bundled program
  spawn counter --replicas 3 --name votes         one process on three nodes
  spawn ./greeter --node n2                       a crate: built, then spawned
  spawn actor.wat --restart on-failure            a module, as text or Wasm
  spawn counter --memory 1M --cpu-ms 100 --no-realm";

pub const CALL: &str = "\
Examples:
  call hits add 5
  call hits value --final           from any replica, as far as it has come
  call board place {x: 1, y: 2}     in another shell, quote it: '{x: 1, y: 2}'
  call hits add 5 --deadline 30s --json
  call log write -- --text          after `--` nothing is a flag";

pub const SEND: &str = "\
Examples:
  send hits add 5";

pub const OUTCOME: &str = "\
Examples:
  outcome hits 9f3a1c0d2b4e6f80-42    the line is printed whenever nobody knows whether a call happened
It answers: it happened, with the answer while that is remembered; or it did not happen and never will, for a copy that is still on
its way is refused from now on; or nobody remembers.";

pub const PS: &str = "\
Examples:
  ps
  ps --node n1        only what runs on n1
  ps --json           everything that is known; a narrow terminal shows fewer columns";

pub const TOP: &str = "\
Examples:
  top
  top --watch         every second, until Ctrl-C";

pub const NAMES: &str = "\
Examples:
  names";

pub const NODES: &str = "\
Examples:
  nodes
  nodes --node n3     as n3 sees them";

pub const INSPECT: &str = "\
Examples:
  inspect hits
  inspect 7f3a        the beginning of an id";

pub const KILL: &str = "\
Examples:
  kill hits
  kill n1/7f3a2b10 n2/03c4d5e6";

pub const LINK: &str = "\
Examples:
  link ping pong";

pub const UNLINK: &str = "\
Examples:
  unlink ping pong";

pub const MONITOR: &str = "\
Examples:
  monitor hits        in the shell: goes on, and reports above the prompt
  monitor hits --wait waits here; Ctrl-C ends the waiting";

pub const LOG: &str = "\
Examples:
  log                 the latest lines of all nodes
  log hits -n 100
  log --follow        until Ctrl-C";

pub const NAME: &str = "\
Examples:
  name hits 7f3a      `hits` means that actor from now on
  name hits           nobody is called `hits` any more";

pub const UPGRADE: &str = "\
Examples:
  upgrade hits ./counter_v2   a crate: built, put in the realm, and switched to
  upgrade ping ping2.wat
All replicas of a group switch at one index of its log. Address, names, handles, links, monitors, timers and waiting messages stay.
State goes through `export_state` of the old code and `import_state` of the new one; where both have the same `layout` and nothing that
can be checked differs, memory is kept as it is, and what waits in it goes on. If the new code faults, goes over a limit or refuses, the
old code goes on with the old state, and you are told why.";

pub const VOTERS: &str = "\
Examples:
  voters hits n1 n2 n4";

pub const PROGRAMS: &str = "\
Examples:
  programs";

pub const NEW: &str = "\
Examples:
  new greeter         makes ./greeter; then: spawn ./greeter
  new greeter --sdk ../pando/syscalls/sdk";

pub const KILL_NODE: &str = "\
Examples:
  kill-node n2        its actors are lost, its groups go on elsewhere
  start-node n2       and it is back";

pub const START_NODE: &str = "\
Examples:
  start-node n2";

pub const STOP: &str = "\
Examples:
  stop n3
  stop                the whole realm; what is on disk stays";
