//! What callers of an actor can rely on.

use pando::{
    Any, Bounce, Down, ExitKind, Level, Rights,
    prelude::*,
    testing::{Effect, Test},
};

#[derive(Default)]
struct Shop {
    stock: BTreeMap<String, u32>,
    waiting: VecDeque<Reply<String>>,
    friends: Vec<Handle>,
    ends: Vec<Down>,
    bounces: u64,
}

#[derive(Data, Clone, PartialEq, Debug)]
struct Order {
    item: String,
    count: u32,
    #[data(default)]
    urgent: bool,
    note: Option<String>,
}

#[derive(Data, Clone, PartialEq, Debug)]
enum Fate {
    Sold(u32),
    Missing { wanted: u32, there: u32 },
    Range(u32, u32),
    Closed,
}

#[pando::actor(no_export)]
impl Shop {
    fn start(&mut self, first: Option<Order>) -> pando::Result<()> {
        if let Some(order) = first {
            if order.count == 0 {
                return Err("a shop cannot begin with nothing of something".into());
            }
            self.stock.insert(order.item, order.count);
        }
        Ok(())
    }

    fn sell(&mut self, order: Order) -> Fate {
        let there = self.stock.get(&order.item).copied().unwrap_or(0);
        if there < order.count {
            return Fate::Missing { wanted: order.count, there };
        }
        self.stock.insert(order.item, there - order.count);
        Fate::Sold(order.count)
    }

    fn remove(&mut self, item: String) -> pando::Result<u32> {
        self.stock.remove(&item).ok_or_else(|| Errno::NOT_FOUND.into())
    }

    fn scold(&mut self) -> Result<(), String> {
        Err("no".to_string())
    }

    #[query]
    fn count(&self, item: String) -> u32 {
        self.stock.get(&item).copied().unwrap_or(0)
    }

    fn next(&mut self, reply: Reply<String>) {
        self.waiting.push_back(reply);
    }

    fn arrive(&mut self, item: String) {
        match self.waiting.pop_front() {
            Some(reply) => reply.send(item),
            None => *self.stock.entry(item).or_default() += 1,
        }
    }

    fn close(&mut self) {
        self.waiting.clear();
    }

    fn befriend(&mut self, friend: Handle) -> u32 {
        friend.watch().unwrap();
        self.friends.push(friend);
        self.friends.len() as u32
    }

    fn friend(&self, at: u32) -> Option<Handle> {
        self.friends.get(at as usize).cloned()
    }

    fn part(&mut self) {
        self.friends.clear();
    }

    fn badge(&mut self) -> u64 {
        pando::badge()
    }

    fn quit(&mut self, code: i32) {
        pando::exit(code, "as told");
    }

    fn anything(&self, value: Any) -> Any {
        value
    }

    fn on_down(&mut self, down: Down) {
        self.ends.push(down);
    }

    fn on_bounce(&mut self, bounce: Bounce) {
        self.bounces += bounce.count;
    }
}

fn order(item: &str, count: u32) -> Order {
    Order { item: item.into(), count, urgent: false, note: None }
}

#[test]
fn methods_are_called_with_values_and_answer_with_values() {
    let mut shop = Test::<Shop>::start((order("tea", 3),));
    assert_eq!(shop.ask(|s| s.sell(order("tea", 2))), Ok(Fate::Sold(2)));
    assert_eq!(shop.ask(|s| s.sell(order("tea", 2))), Ok(Fate::Missing { wanted: 2, there: 1 }));
    assert_eq!(shop.ask(|s| s.count("tea")), Ok(1));
    shop.expect_nothing();
}

#[test]
fn an_error_of_a_method_reaches_the_caller_with_its_words() {
    let mut shop = Test::<Shop>::start(());
    let error = shop.ask(|s| s.remove("tea")).unwrap_err();
    assert_eq!(error.errno(), Errno::NOT_FOUND);
    let error = shop.ask(|s| s.scold()).unwrap_err();
    assert_eq!((error.errno(), error.words()), (Errno::APPLICATION, "no"));
}

#[test]
fn a_message_that_is_not_understood_is_answered_with_what_is_wrong_with_it() {
    let mut shop = Test::<Shop>::start(());
    let mut check = |body: &[u8], says: &str| {
        let asked = shop.send_raw(body);
        let error = shop.answer(&asked).unwrap().unwrap_err();
        assert_eq!((error.errno(), error.words()), (Errno::BAD_REQUEST, says));
    };
    let not_a_list = "a request is a list of a method's name and its arguments";
    check(b"", not_a_list);
    check(b"\x05", not_a_list);
    check(b"\x81\x05", not_a_list);
    check(b"\x81\x63buy", "there is no method `buy`");
    check(b"\x81\x65count", "`count` wants `item`");
    check(b"\x82\x65count\x05", "`item`: text is wanted");
    check(b"\x83\x65count\x63tea\x05", "`count` has fewer arguments");
    check(b"\x82\x64sell\xa1\x64item\x63tea", "`count`: it is missing");
    check(b"\x82\x64sell\xa2\x64item\x63tea\x65count\x20", "`count`: a whole number that is not negative is wanted");
    check(b"\x82\x68befriend\x00", "`friend`: an actor is wanted");
}

#[test]
fn records_of_older_and_newer_callers_are_understood() {
    let mut shop = Test::<Shop>::start((order("tea", 3),));
    // {"item": "tea", "count": 1, "colour": [1, 2]}: no `urgent`, no `note`, something unknown.
    let body = b"\x82\x64sell\xa3\x64item\x63tea\x65count\x01\x66colour\x82\x01\x02";
    let asked = shop.send_raw(body);
    assert!(shop.answer(&asked).is_some());
    assert_eq!(shop.ask(|s| s.count("tea")), Ok(2));
}

#[test]
fn a_method_that_changes_something_is_no_query() {
    let mut shop = Test::<Shop>::start(());
    let error = shop.ask(|s| s.arrive("tea").query()).unwrap_err();
    assert_eq!((error.errno(), error.words()), (Errno::BAD_REQUEST, "`arrive` is no query"));
    assert_eq!(shop.ask(|s| s.count("tea")), Ok(0));
}

#[test]
fn an_answer_can_be_given_later_and_a_dropped_one_is_told() {
    let mut shop = Test::<Shop>::start(());
    let (first, second) = (shop.begin(|s| s.next()), shop.begin(|s| s.next()));
    assert_eq!(shop.answer(&first), None);
    shop.send(|s| s.arrive("milk"));
    assert_eq!(shop.answer(&first), Some(Ok("milk".to_string())));
    assert_eq!(shop.answer(&second), None);
    shop.send(|s| s.close());
    assert_eq!(shop.answer(&second).unwrap().unwrap_err().errno(), Errno::NO_REPLY);
    assert_eq!(shop.handles(), 0);
}

#[test]
fn start_may_refuse_and_then_the_actor_ends_with_its_words() {
    let shop = Test::<Shop>::start((order("tea", 0),));
    assert_eq!(shop.exited().unwrap().message, "a shop cannot begin with nothing of something");
    let shop = Test::<Shop>::start((5,));
    assert_eq!(shop.exited().unwrap().message, "`first`: a map is wanted");
    let shop = Test::<Shop>::start((order("tea", 1), 5));
    assert_eq!(shop.exited().unwrap().message, "`start` has fewer arguments");
}

#[test]
fn handles_travel_and_are_let_go_with_their_last_clone() {
    let mut shop = Test::<Shop>::start(());
    let ada = shop.peer("ada");
    assert_eq!(shop.ask(|s| s.befriend(ada.handle())), Ok(1));
    assert_eq!(shop.handles(), 1);
    let found = shop.ask(|s| s.friend(0)).unwrap();
    assert_eq!(found, Some(ada.handle()));
    shop.send(|s| s.part());
    assert_eq!(shop.handles(), 0);
    // A message whose handles nobody takes leaves none behind.
    shop.send(|s| pando::Call::<()>::new(s, "nothing", (ada.handle(),)));
    assert_eq!(shop.handles(), 0);
}

#[test]
fn ends_and_bounces_reach_their_hooks() {
    let mut shop = Test::<Shop>::start(());
    let ada = shop.peer("ada");
    shop.ask(|s| s.befriend(ada.handle())).unwrap();
    assert!(matches!(shop.next_effect(), Some(Effect::Monitor { .. })));
    shop.down(&ada, ExitKind::Fault, "unreachable");
    shop.bounce(3, Errno::DEAD);
    shop.state(|s| {
        assert_eq!((s.ends[0].kind, s.ends[0].message.as_str()), (ExitKind::Fault, "unreachable"));
        assert_eq!(s.bounces, 3);
    });
}

#[test]
fn a_badge_tells_who_speaks() {
    let mut shop = Test::<Shop>::start(());
    let asked = shop.begin_with_badge(77, |s| s.badge());
    assert_eq!(shop.answer(&asked), Some(Ok(77)));
    assert_eq!(shop.ask(|s| s.badge()), Ok(0));
}

#[test]
fn an_actor_can_end_itself() {
    let mut shop = Test::<Shop>::start(());
    shop.send(|s| s.quit(7));
    let exited = shop.exited().unwrap();
    assert_eq!((exited.code, exited.message.as_str()), (7, "as told"));
}

#[test]
fn a_message_that_fails_and_that_nobody_waits_for_is_in_the_log() {
    let mut shop = Test::<Shop>::start(());
    shop.send(|s| s.scold());
    assert_eq!(shop.logs(), [(Level::Warning, "a message failed: no".to_string())]);
}

#[test]
fn any_value_passes_through_as_it_is() {
    let mut shop = Test::<Shop>::start(());
    let value = Any::new(&vec![Fate::Sold(1), Fate::Range(2, 3), Fate::Closed]).unwrap();
    assert_eq!(shop.ask(|s| s.anything(value.clone())), Ok(value.clone()));
    assert_eq!(value.get::<Vec<Fate>>().unwrap(), [Fate::Sold(1), Fate::Range(2, 3), Fate::Closed]);
}

#[test]
fn a_spawned_actor_gets_its_arguments_typed() {
    struct Boss;
    impl Default for Boss {
        fn default() -> Self {
            Boss
        }
    }
    #[pando::actor(no_export)]
    impl Boss {
        fn open(&mut self) -> pando::Result<ShopRef> {
            let how = pando::Spawn::own().restart(pando::Restart::OnFailure).replicas(3).grant_realm();
            let shop = ShopRef::start(how, Some(order("tea", 2)))?;
            shop.link()?;
            Ok(shop)
        }
    }
    let mut boss = Test::<Boss>::start(());
    let shop = boss.ask(|b| b.open()).unwrap();
    let spawned = boss.expect_spawn();
    assert_eq!(spawned.arguments.args::<(Option<Order>,)>().0, Some(order("tea", 2)));
    assert_eq!((spawned.spec.replicas, spawned.spec.restart), (3, pando::Restart::OnFailure as u8));
    assert_eq!(spawned.authority, boss.me());
    assert_eq!(*shop, spawned.child.handle());
    boss.expect_effect(&Effect::Link(spawned.child.clone()));
    boss.expect_nothing();
}

#[test]
fn a_grant_is_minted_with_its_badge_and_taken_back() {
    #[derive(Default)]
    struct Guard {
        given: Option<Handle>,
    }
    #[pando::actor(no_export)]
    impl Guard {
        fn give(&mut self) -> pando::Result<Handle> {
            let handle = pando::grant(9, Rights::SEND.or(Rights::SHARE))?;
            self.given = Some(handle.clone());
            Ok(handle)
        }
        fn take(&mut self) -> pando::Result<u64> {
            let handle = self.given.take().ok_or("nothing was given")?;
            handle.revoke()?;
            Ok(handle.stat().badge)
        }
    }
    let mut guard = Test::<Guard>::start(());
    guard.ask(|g| g.give()).unwrap();
    assert_eq!(guard.ask(|g| g.take()), Ok(9));
    guard.expect_effect(&Effect::Grant { badge: 9, rights: Rights::SEND.or(Rights::SHARE) });
    guard.expect_effect(&Effect::Revoke(9));
    assert_eq!(guard.ask(|g| g.take()).unwrap_err().words(), "nothing was given");
}

#[test]
fn an_actor_that_asks_for_too_much_is_told_and_can_still_answer() {
    #[derive(Default)]
    struct Loud;
    #[pando::actor(no_export)]
    impl Loud {
        fn shout(&mut self, at: Handle, bytes: u32) -> (u32, String) {
            let mut sent = 0;
            let body = vec![0u8; bytes as usize];
            loop {
                match at.call::<()>("hear", (body.clone(),)).send() {
                    Ok(()) => sent += 1,
                    Err(error) => return (sent, error.errno().name().into()),
                }
            }
        }
    }
    let mut loud = Test::<Loud>::start(());
    let ear = loud.peer("ear");
    let most = pando::abi::limits::EFFECTS_MAX - pando::sys::RESERVED_EFFECTS;
    assert_eq!(loud.ask(|l| l.shout(ear.handle(), 1)), Ok((most as u32, "LIMIT".into())));
    assert_eq!(loud.ask(|l| l.shout(ear.handle(), 1_000_000)), Ok((7, "LIMIT".into())));
    assert_eq!(loud.ask(|l| l.shout(ear.handle(), 1)), Ok((most as u32, "LIMIT".into())), "each handler anew");
}
