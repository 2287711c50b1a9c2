use pando::{
    ExitKind,
    testing::{Effect, Peer, Test},
};

use super::*;

/// A chat with these members on `tea`, everything heard so far put aside.
fn tea(names: &[&str]) -> (Test<Chat>, Vec<Peer>) {
    let mut chat = Test::<Chat>::start(());
    let peers: Vec<Peer> = names.iter().map(|name| chat.peer(name)).collect();
    for peer in &peers {
        chat.ask(|c| c.join("tea", peer.to_string(), peer.handle())).unwrap();
    }
    while chat.next_effect().is_some() {}
    (chat, peers)
}

#[test]
fn what_is_said_reaches_the_others_and_the_history() {
    let (mut chat, peers) = tea(&["ada", "bob", "eve"]);
    assert_eq!(chat.ask(|c| c.say("tea", "ada", "hello")), Ok(2));
    for peer in &peers[1..] {
        let heard = chat.expect_send(peer, "heard").args::<(String, String, String)>();
        assert_eq!(heard, ("tea".into(), "ada".into(), "hello".into()));
    }
    chat.expect_nothing();
    let history = chat.ask(|c| c.history("tea", Some(2))).unwrap();
    assert_eq!(history.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["eve joined", "hello"]);
    assert_eq!(history[1].at, chat.now());
}

#[test]
fn a_member_that_ends_is_taken_off_and_the_others_hear_of_it() {
    let (mut chat, peers) = tea(&["ada", "bob"]);
    chat.down(&peers[0], ExitKind::NodeDown, "");
    assert!(matches!(chat.next_effect(), Some(Effect::Demonitor(_))));
    assert_eq!(chat.expect_send(&peers[1], "heard").args::<(String, String, String)>().2, "ada is gone");
    assert_eq!(chat.ask(|c| c.members("tea")).unwrap(), ["bob"]);
    assert_eq!(chat.handles(), 1);
}

#[test]
fn one_name_is_one_member_and_only_members_talk() {
    let (mut chat, peers) = tea(&["ada"]);
    let other = chat.peer("other");
    assert_eq!(chat.ask(|c| c.join("tea", "ada", other.handle())).unwrap_err().errno(), Errno::EXISTS);
    assert_eq!(
        chat.ask(|c| c.join("tea", "ada", peers[0].handle())).unwrap(),
        ["ada"],
        "joining twice is joining once"
    );
    assert_eq!(chat.ask(|c| c.say("tea", "eve", "hello")).unwrap_err().errno(), Errno::REFUSED);
    assert_eq!(chat.ask(|c| c.say("milk", "ada", "hello")).unwrap_err().errno(), Errno::NOT_FOUND);
    assert_eq!(chat.ask(|c| c.leave("tea", "ada")), Ok(true));
    assert_eq!(chat.ask(|c| c.leave("tea", "ada")), Ok(false));
    assert_eq!(chat.ask(|c| c.topics()).unwrap(), ["tea"]);
}

#[test]
fn a_topic_remembers_no_more_than_it_may() {
    let (mut chat, _) = tea(&["ada"]);
    for n in 0..600 {
        chat.ask(|c| c.say("tea", "ada", format!("{n}"))).unwrap();
    }
    let history = chat.ask(|c| c.history("tea", Some(10_000))).unwrap();
    assert_eq!((history.len(), history[499].text.as_str()), (500, "599"));
}
