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
  pando node --dir ./data/n1   what `pando up` runs for each node
  pando node --join pando1abc… --dir ./n4                        join a realm; `pando ticket` prints the ticket there
  pando node --join pando1abc… --dir ./n4 --listen 10.0.0.7:7000 on a machine of its own
The same line starts it again later: a folder that has joined needs its ticket no more.";

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

pub const GROUP: &str = "\
Examples:
  group add hits n4           one replica more
  group remove hits n2        one less; it is deleted from n2's disk
  group move hits n2 n4       n4 takes it over from n2
Its name and address stay, and it answers meanwhile. `inspect hits` shows how far a change is.";

pub const MOVE: &str = "\
Examples:
  move ping n3
It keeps its address, names, handles, links, monitors, timers and what waits for it; whoever talks to it notices nothing but time. How
long it stood still is printed. If it cannot be, it goes on where it is. A group moves with `group move`.";

pub const DRAIN: &str = "\
Examples:
  drain n2            what is on it moves to other nodes, and nothing new is placed on it
  undrain n2          it may hold things again
What finds no room elsewhere stays, and is told.";

pub const UNDRAIN: &str = "\
Examples:
  undrain n2";

pub const TICKET: &str = "\
Examples:
  ticket              good for one node and one hour
  ticket --for 10m
On the machine that joins:  pando node --join TICKET --dir ./n4
Whoever has the ticket can have a node admitted, once: hand it over as you would a password.";

pub const REMOVE_NODE: &str = "\
Examples:
  drain n2; remove-node n2    a node that is up gives away what it holds first
  remove-node n2              one that is down: its replicas are made anew elsewhere
  remove-node n2 --lost       its disk is gone; groups that have no majority without it end
Its number is never used again. The same machine comes back with a ticket and an empty folder, under a new one.";

pub const BACKUP: &str = "\
Examples:
  backup grove.backup
While groups are copied they say nothing to each other; calls are answered as ever. Plain actors live on one node, and are
not in a backup. The file is a tar archive: `tar tvf` lists what is in it.";

pub const RESTORE: &str = "\
Examples:
  pando restore grove.backup --data ./grove && pando up --data ./grove
  pando restore grove.backup --data ./grove --nodes 1
The realm keeps its identity, its names and its groups. Its nodes are new, with new keys and numbers; others join with a ticket.";

pub const SETTINGS: &str = "\
Examples:
  settings
  settings --replace-after 5m       replicas of a node that is gone so long go to another one that has room
  settings --replace-after never";

pub const PROGRAMS: &str = "\
Examples:
  programs";

pub const NEW: &str = "\
Examples:
  new greeter         makes ./greeter; then: spawn ./greeter
  new greeter --sdk ../pando/syscalls/sdk";

pub const KILL_NODE: &str = "\
Examples:
  kill-node n2        its actors are lost, its groups go on elsewhere; `drain n2` before moves both
  start-node n2       and it is back";

pub const START_NODE: &str = "\
Examples:
  start-node n2";

pub const STOP: &str = "\
Examples:
  stop n3
  stop                the whole realm; what is on disk stays";
