use pando::{ExitKind, testing::Test};

use super::*;

fn any<T: Data>(value: T) -> Any {
    Any::new(&value).unwrap()
}

#[test]
fn what_is_put_is_there_until_it_is_deleted() {
    let mut kv = Test::<Kv>::start(());
    assert_eq!(kv.ask(|k| k.put("a", any(1))), Ok(None));
    assert_eq!(kv.ask(|k| k.put("a", any("x".to_string()))), Ok(Some(any(1))));
    assert_eq!(kv.ask(|k| k.get("a")), Ok(Some(any("x".to_string()))));
    assert_eq!(kv.ask(|k| k.len()), Ok(1));
    assert_eq!(kv.ask(|k| k.delete("a")), Ok(Some(any("x".to_string()))));
    assert_eq!(kv.ask(|k| k.delete("a")), Ok(None));
    assert_eq!(kv.ask(|k| k.get("a")), Ok(None));
}

#[test]
fn a_key_that_is_too_long_is_refused() {
    let mut kv = Test::<Kv>::start(());
    assert!(kv.ask(|k| k.put("x".repeat(257), any(1))).is_err());
    assert!(kv.ask(|k| k.put("", any(1))).is_err());
    assert_eq!(kv.ask(|k| k.len()), Ok(0));
}

#[test]
fn keys_are_listed_in_order_by_prefix_and_page_by_page() {
    let mut kv = Test::<Kv>::start(());
    for key in ["b/2", "a/1", "b/1", "b", "c"] {
        kv.ask(|k| k.put(key, any(()))).unwrap();
    }
    assert_eq!(kv.ask(|k| k.list(None, None)).unwrap(), ["a/1", "b", "b/1", "b/2", "c"]);
    assert_eq!(kv.ask(|k| k.list(Some("b".into()), None)).unwrap(), ["b", "b/1", "b/2"]);
    assert_eq!(kv.ask(|k| k.list(Some("b".into()), Some("b/1".into()))).unwrap(), ["b/2"]);
    assert_eq!(kv.ask(|k| k.list(None, Some("b/2".into()))).unwrap(), ["c"]);
}

#[test]
fn watchers_hear_of_changes_below_their_prefix_until_they_end() {
    let mut kv = Test::<Kv>::start(());
    let (ada, bob) = (kv.peer("ada"), kv.peer("bob"));
    kv.ask(|k| k.watch(ada.handle(), Some("a".into()))).unwrap();
    kv.ask(|k| k.watch(bob.handle(), None)).unwrap();
    kv.next_effect();
    kv.next_effect();
    kv.ask(|k| k.put("b", any(1))).unwrap();
    assert_eq!(kv.expect_send(&bob, "changed").args::<(String, Option<Any>)>(), ("b".into(), Some(any(1))));
    kv.ask(|k| k.put("b", any(1))).unwrap();
    kv.expect_nothing();
    kv.ask(|k| k.put("a", any(2))).unwrap();
    kv.expect_send(&ada, "changed");
    kv.expect_send(&bob, "changed");
    kv.down(&bob, ExitKind::Killed, "");
    kv.ask(|k| k.delete("a")).unwrap();
    assert_eq!(kv.expect_send(&ada, "changed").args::<(String, Option<Any>)>(), ("a".into(), None));
    assert_eq!(kv.ask(|k| k.unwatch(ada.handle())), Ok(true));
    kv.next_effect();
    kv.ask(|k| k.put("a", any(3))).unwrap();
    kv.expect_nothing();
    assert_eq!(kv.handles(), 0, "handles of those who left are let go");
}
