use std::{collections::VecDeque, sync::Mutex};

use clap::Parser;
use pando_abi::{Errno, NodeId, call::call_flags};
use pando_admin::{ActorRow, CallFate, Carried, ClientError, Contact, Level, NameRow, SequenceKey, Ticket};

use super::*;
use crate::{
    ask::{Answers, Ask, Boxed},
    cli::{Line, ShellVerb},
    render,
    up::Fleet,
    words,
};

const COUNTER: &str = "actor Counter fn add(by: i64) -> i64 query value() -> i64 fn meet(who: actor)";

/// A realm in a few lines: `hits` is a counter in a group, `echo` has no interface.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<Request>>,
    leader: Mutex<u32>,
    /// What `Call` is answered, once.
    status: Mutex<Option<(u16, Vec<u8>)>>,
}

impl Fake {
    fn reply(&self, request: &Request) -> Result<Reply, ClientError> {
        let refuse = |errno: Errno, text: &str| {
            Err(ClientError::Refused { errno: errno.code(), text: text.into(), mend: "look".into() })
        };
        let row = |name: &str, voters: &[u32]| ActorRow {
            address: "group/7f3a2b10".into(),
            id: "7f3a2b10".into(),
            name: name.into(),
            module: "counter".into(),
            node: *self.leader.lock().unwrap(),
            voters: voters.to_vec(),
            wanted: voters.to_vec(),
            state: "running".into(),
            mailbox: 0,
            memory: 0,
            events: 0,
            restarts: 0,
            index: 1,
        };
        match request {
            Request::Interface { target } if target == "hits" => {
                Ok(Reply::Interface { text: COUNTER.into(), group: true })
            }
            Request::Interface { target } if target == "echo" => {
                Ok(Reply::Interface { text: String::new(), group: false })
            }
            Request::Interface { target } | Request::Kill { target } => {
                refuse(Errno::NOT_FOUND, &format!("nothing is called `{target}`"))
            }
            Request::Names => Ok(Reply::Names(vec![NameRow {
                name: "hits".into(),
                address: "group/7f3a2b10".into(),
                module: "counter".into(),
            }])),
            Request::Call { .. } => {
                let (status, body) = self.status.lock().unwrap().take().unwrap_or((0, vec![5]));
                let node = *self.leader.lock().unwrap();
                Ok(Reply::Answer { status, body, level: Level::Final, index: 3, node, handles: vec![] })
            }
            Request::HasModule { .. } => refuse(Errno::NO_MODULE, "no such module"),
            Request::PutModule { .. } => Ok(Reply::Module { hash: [0; 32], size: 8 }),
            Request::Spawn(spawn) => Ok(Reply::Spawned(row(spawn.name.as_deref().unwrap_or(""), &[1, 2, 3]))),
            Request::Reseat { add, remove, .. } => {
                Ok(Reply::Held((1..=4).filter(|n| !remove.contains(n) && (*n < 4 || add.contains(n))).collect()))
            }
            Request::Drain { node: 2, .. } => {
                let kept = vec![("ping".into(), "n3 takes nothing new".into())];
                Ok(Reply::Drained { stay: vec!["hits".into()], actors: Some(2), moved: 3, kept })
            }
            Request::Move { target, node } => match target.as_str() {
                "ping" => {
                    let bytes = 12_600 * u64::from(*node != 1);
                    Ok(Reply::Moved { from: 1, to: *node, bytes, paused_us: 4_100 })
                }
                _ => refuse(Errno::NOT_FOUND, &format!("nothing is called `{target}`")),
            },
            Request::Drain { .. } => Ok(Reply::Drained { stay: vec![], actors: Some(0), moved: 0, kept: vec![] }),
            Request::Settings { replace_after_ms } => {
                Ok(Reply::Settings { replace_after_ms: replace_after_ms.unwrap_or(600_000) })
            }
            Request::Ticket { .. } => {
                let contact = Contact { node: 1, key: [1; 32], addr: "127.0.0.1:4001".into() };
                Ok(Reply::Ticket { realm: [3; 32], nodes: vec![contact] })
            }
            Request::Outcome { .. } => {
                Ok(Reply::Outcome { fate: CallFate::Never, level: Level::Final, index: 9, node: 1 })
            }
            Request::Upgrade { .. } => {
                Ok(Reply::Upgraded { carried: Carried::Exported { version: 4 }, index: 12, epoch: 2 })
            }
            Request::Watch { .. } => {
                Ok(Reply::Down { target: "group/7f".into(), kind: "killed".into(), code: 0, message: String::new() })
            }
            _ => Ok(Reply::Done),
        }
    }
}

struct Shared(Arc<Fake>);

impl Ask for Shared {
    fn ask(&self, _: Option<NodeId>, request: Request, _: Duration) -> Boxed<'_, Result<Reply, ClientError>> {
        let reply = self.0.reply(&request);
        self.0.asked.lock().unwrap().push(request);
        Box::pin(async move { reply })
    }
    fn follow(&self, _: Option<NodeId>, request: Request) -> Boxed<'_, Result<Box<dyn Answers>, ClientError>> {
        let located = || Ok(Reply::Located { node: 0, id: [0x7f; 16] });
        let first = matches!(request, Request::Watch { .. }).then(located);
        let replies = first.into_iter().chain([self.0.reply(&request)]).collect();
        Box::pin(async move { Ok(Box::new(Each(replies)) as Box<dyn Answers>) })
    }
    fn key(&self) -> SequenceKey {
        SequenceKey::default()
    }
    fn forget(&self, _: NodeId) -> Boxed<'_, ()> {
        Box::pin(async {})
    }
}

struct Each(VecDeque<Result<Reply, ClientError>>);

impl Answers for Each {
    fn next(&mut self) -> Boxed<'_, Result<Option<Reply>, ClientError>> {
        let reply = self.0.pop_front().transpose();
        Box::pin(async move { reply })
    }
}

#[derive(Default)]
struct Lines(Vec<String>);

impl Sink for Lines {
    fn emit(&mut self, outcome: Outcome) {
        let text = render::human(&outcome, render::Style::default());
        // Times differ from run to run.
        self.0.push(match outcome {
            Outcome::Answer(_) => text.replace(|c: char| c.is_ascii_digit() || c == '.', "#"),
            _ => text,
        });
    }
    fn progress(&mut self, _: Option<&str>) {}
}

struct Desk {
    fake: Arc<Fake>,
    session: Arc<Session>,
}

impl Desk {
    fn new() -> Desk {
        let fake = Arc::new(Fake { leader: Mutex::new(2), ..Fake::default() });
        let fleet = Fleet::new(std::path::Path::new("/nowhere"), None, false);
        let session = Arc::new(Session::new(Arc::new(Shared(fake.clone())), fleet));
        Desk { fake, session }
    }

    fn run(&self, line: &str) -> Result<Vec<String>, Failure> {
        let words = words::split(line).commands.remove(0).into_iter().map(|w| w.text);
        let line = Line::try_parse_from(words).unwrap();
        let ShellVerb::Verb(verb) = line.verb else { panic!() };
        let mut sink = Lines::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(eval(&self.session, &line.common, &verb, &mut sink)).map(|()| sink.0)
    }

    fn last(&self) -> Request {
        self.fake.asked.lock().unwrap().last().cloned().unwrap()
    }
}

fn flags(request: Request) -> i32 {
    match request {
        Request::Call { flags, .. } => flags as i32,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_is_typed_by_the_target_and_its_leader_watched() {
    let desk = Desk::new();
    assert_eq!(desk.run("call hits add 5").unwrap(), ["#            final@#  (### ms)"]);
    let Request::Call { body, flags, .. } = desk.last() else { panic!() };
    assert_eq!((body, flags), (b"\x82\x63add\x05".to_vec(), 0));
    *desk.fake.leader.lock().unwrap() = 3;
    assert_eq!(desk.run("call hits add 5").unwrap(), ["#            final@#  (### ms)  (leader n#)"]);
    assert_eq!(desk.run("call hits add 5").unwrap(), ["#            final@#  (### ms)"]);
}

#[test]
fn queries_say_so() {
    let desk = Desk::new();
    desk.run("call hits value").unwrap();
    assert_eq!(flags(desk.last()), call_flags::QUERY);
    desk.run("call hits value --final").unwrap();
    assert_eq!(flags(desk.last()), call_flags::QUERY | call_flags::FINAL);
    let failure = desk.run("call hits add 1 --final").unwrap_err();
    assert_eq!(failure.sentence, "add may change the state of hits, so it cannot be run as a query");
    desk.run("call echo anything 1 two --query").unwrap();
    assert_eq!(flags(desk.last()), call_flags::QUERY);
}

#[test]
fn what_does_not_fit_never_leaves() {
    let desk = Desk::new();
    assert_eq!(desk.run("call hits ad 5").unwrap_err().sentence, "hits has no method `ad`; did you mean `add`?");
    let failure = desk.run("call hits add five").unwrap_err();
    assert_eq!(failure.sentence, "add wants by: i64, but `five` is not a whole number");
    assert_eq!(desk.run("call hits add").unwrap_err().code, 2);
    assert!(!desk.fake.asked.lock().unwrap().iter().any(|r| matches!(r, Request::Call { .. })));
}

#[test]
fn a_name_that_nobody_has_gets_the_one_that_was_meant() {
    let desk = Desk::new();
    let failure = desk.run("call hist add 5").unwrap_err();
    assert_eq!(
        (failure.sentence.as_str(), failure.mend.as_str()),
        ("nothing is called `hist`", "did you mean `hits`?")
    );
    assert_eq!(desk.run("kill hist").unwrap_err().mend, "did you mean `hits`?");
    assert_eq!(desk.run("kill nothing-like-it").unwrap_err().mend, "look");
}

#[test]
fn a_receiver_that_refuses_is_quoted() {
    let desk = Desk::new();
    *desk.fake.status.lock().unwrap() = Some((Errno::APPLICATION.code(), b"\x64full".to_vec()));
    let failure = desk.run("call hits add 1").unwrap_err();
    assert_eq!((failure.sentence.as_str(), failure.code), ("hits refused add: full", 1));
    *desk.fake.status.lock().unwrap() = Some((Errno::TRAPPED.code(), vec![]));
    let failure = desk.run("call hits add 1").unwrap_err();
    assert_eq!(failure.sentence, "hits: the receiver faulted on this message and was undone");
    assert_eq!(failure.mend, "`log hits` has the cause");
    *desk.fake.status.lock().unwrap() = Some((0, vec![0xff]));
    assert!(desk.run("call hits add 1").unwrap_err().sentence.contains("is not CBOR"));
}

#[test]
fn who_does_not_know_whether_a_call_happened_is_given_the_line_to_ask_with() {
    let desk = Desk::new();
    *desk.fake.status.lock().unwrap() = Some((Errno::TIMEOUT.code(), vec![]));
    let mend = desk.run("call hits add 1").unwrap_err().mend;
    assert_eq!(mend, "`outcome hits 0000000000000000-0` tells whether it happened; give it longer with --deadline");
    assert_eq!(desk.run("outcome hits 00000000000000a1-7").unwrap(), ["it has not happened, and never will  final@9"]);
    let Request::Outcome { target, key } = desk.last() else { panic!() };
    assert_eq!((target.as_str(), key.incarnation, key.seq), ("hits", 0xa1, 7));
    // What only reads has not happened in any sense.
    *desk.fake.status.lock().unwrap() = Some((Errno::TIMEOUT.code(), vec![]));
    assert_eq!(desk.run("call hits value").unwrap_err().mend, "give it longer with --deadline");
}

#[test]
fn other_code_is_put_in_the_realm_before_the_switch() {
    let desk = Desk::new();
    let lines = desk.run("upgrade hits counter").unwrap();
    assert!(lines[0].starts_with("hits runs counter  state of version 4 taken over  from index 12  ("), "{lines:?}");
    let asked = desk.fake.asked.lock().unwrap();
    assert!(matches!(asked[0], Request::HasModule { .. }) && matches!(asked[1], Request::PutModule { .. }));
    let Request::Upgrade { target, module } = &asked[2] else { panic!() };
    let counter = pando_bundle::get("counter").unwrap();
    assert_eq!((target.as_str(), module), ("hits", blake3::hash(counter.wasm).as_bytes()));
}

#[test]
fn an_actor_among_the_arguments_travels_by_name() {
    let desk = Desk::new();
    desk.run("send hits meet n1/7f3a2b10").unwrap();
    let Request::Send { body, handles, .. } = desk.last() else { panic!() };
    assert_eq!((body, handles), (b"\x82\x64meet\x00".to_vec(), vec!["n1/7f3a2b10".to_owned()]));
}

#[test]
fn a_module_that_the_realm_lacks_is_put_there_before_the_spawn() {
    let desk = Desk::new();
    let lines = desk.run("spawn counter --replicas 3 --name hits --memory 1M --cpu-ms 50 --restart always").unwrap();
    assert_eq!(lines, ["hits  group 7f3a…  voters n1 n2 n3  leader n2"]);
    let asked = desk.fake.asked.lock().unwrap();
    assert!(matches!(asked[0], Request::HasModule { .. }) && matches!(asked[1], Request::PutModule { .. }));
    let Request::Spawn(spawn) = &asked[2] else { panic!() };
    assert_eq!((spawn.replicas, spawn.memory_bytes, spawn.handler_ms, spawn.restart), (3, 1 << 20, 50, 2));
    assert!(spawn.realm);
}

#[test]
fn a_monitor_waits_outside_a_shell_and_reports_inside_one() {
    let desk = Desk::new();
    assert_eq!(desk.run("monitor hits").unwrap(), ["hits ended: killed"]);
    let (tell, told) = std::sync::mpsc::channel();
    let _ = desk.session.notices.set(Box::new(move |ended| tell.send(ended).unwrap()));
    // The runtime of this test ends with the command, so the report may not come; the command itself returns.
    assert_eq!(desk.run("monitor hits").unwrap(), ["watching hits"]);
    assert_eq!(desk.run("monitor hits --wait").unwrap(), ["hits ended: killed"]);
    drop(told);
}

#[test]
fn who_holds_what_is_changed_and_told() {
    let desk = Desk::new();
    assert_eq!(desk.run("group add hits n4").unwrap(), ["hits  voters n1 n2 n3 n4"]);
    assert_eq!(desk.run("group remove hits n2").unwrap(), ["hits  voters n1 n3"]);
    assert_eq!(desk.run("group move hits n2 n4").unwrap(), ["hits  voters n1 n3 n4"]);
    let failure = desk.run("group move hits n2").unwrap_err();
    assert_eq!((failure.code, failure.mend.as_str()), (2, "as in: group move hits n2 n4"));
    assert_eq!(desk.run("group add hits n2 n4").unwrap_err().code, 2);
    assert_eq!(desk.run("drain n3").unwrap(), ["n3 drained"]);
    let told = desk.run("drain n2").unwrap().join("\n");
    assert!(told.contains("keeps its replicas of hits") && told.contains("2 plain actors stay on it"), "{told}");
    assert!(told.contains("3 plain actors moved to other nodes"), "{told}");
    assert!(told.contains("ping could not be moved: n3 takes nothing new"), "{told}");
    assert_eq!(desk.run("move ping n3").unwrap(), ["ping moved n1 -> n3, 12 KiB, paused 4.1 ms"]);
    assert_eq!(desk.run("move ping n1").unwrap(), ["ping lives on n1 already"]);
    assert_eq!(desk.run("move pong n1").unwrap_err().code, 1);
    assert_eq!(desk.run("undrain n2").unwrap(), ["n2 may hold things again"]);
    assert_eq!(desk.run("settings").unwrap(), ["replace-after  10 m 00 s"]);
    assert_eq!(desk.run("settings --replace-after never").unwrap(), ["replace-after  never"]);
    assert_eq!(desk.run("remove-node n2").unwrap(), ["n2 removed; its number is never used again"]);
}

#[test]
fn a_ticket_is_printed_that_can_be_read_and_is_another_one_each_time() {
    let desk = Desk::new();
    let ticket = |lines: Vec<String>| -> Ticket { lines.join("\n").lines().next().unwrap().parse().unwrap() };
    let (one, two) = (ticket(desk.run("ticket").unwrap()), ticket(desk.run("ticket").unwrap()));
    assert_eq!((one.realm.0, one.nodes.len()), ([3; 32], 1));
    assert_ne!(one.identity().public(), two.identity().public());
    // The node is told the public half, which is the one that the ticket proves.
    let asked = desk.fake.asked.lock().unwrap();
    let Some(Request::Ticket { key, lifetime_ms: 3_600_000 }) = asked.first() else { panic!("{asked:?}") };
    assert_eq!(*key, one.identity().public().0);
}

#[test]
fn processes_of_another_machine_are_not_touched() {
    let desk = Desk::new();
    let failure = desk.run("kill-node n1").unwrap_err();
    assert_eq!(failure.sentence, "/nowhere holds no node n1");
    assert_eq!(desk.run("stop").unwrap_err().sentence, "no node of the realm runs on this machine");
}
