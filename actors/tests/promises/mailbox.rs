//! A mailbox against a plain list: bounds by count and by bytes, and the order of each sender.

use std::collections::VecDeque;

use pando_actors::Mailbox;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Push { sender: u8, bytes: usize },
    System { bytes: usize },
    Pop,
    Batch(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || prop_oneof![4 => 0..30usize, 1 => 90..110usize, 1 => Just(usize::MAX)];
    prop_oneof![
        6 => (0..4u8, bytes()).prop_map(|(sender, bytes)| Step::Push { sender, bytes }),
        2 => bytes().prop_map(|bytes| Step::System { bytes }),
        3 => Just(Step::Pop),
        1 => (0..6usize).prop_map(Step::Batch),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PANDO_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(3_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_mailbox_takes_what_fits_gives_back_what_does_not_and_keeps_every_senders_order(
        count_max in 0..8usize,
        bytes_max in 0..120usize,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut mailbox = Mailbox::new(count_max, bytes_max);
        // (item, bytes that count). An item is its sender, `None` the actor itself, and how many it had sent before.
        let mut list: VecDeque<((Option<u8>, u32), Option<usize>)> = VecDeque::new();
        let mut sent = [0u32; 5];
        let mut taken = [0u32; 5];
        for step in steps {
            let mut out = Vec::new();
            match step {
                Step::Push { sender, bytes } => {
                    let item = (Some(sender), sent[usize::from(sender)]);
                    let count = list.iter().filter(|(_, bytes)| bytes.is_some()).count();
                    let waiting: usize = list.iter().filter_map(|(_, bytes)| *bytes).sum();
                    let fits = count < count_max && bytes.checked_add(waiting).is_some_and(|all| all <= bytes_max);
                    prop_assert_eq!(mailbox.push(item, bytes), if fits { Ok(()) } else { Err(item) });
                    if fits {
                        sent[usize::from(sender)] += 1;
                        list.push_back((item, Some(bytes)));
                    }
                }
                Step::System { bytes } => {
                    let item = (None, sent[4]);
                    sent[4] += 1;
                    mailbox.push_system(item, bytes);
                    list.push_back((item, None));
                }
                Step::Pop => {
                    out.extend(mailbox.pop());
                    prop_assert_eq!(out.len(), list.len().min(1));
                }
                Step::Batch(max) => {
                    let count = mailbox.pop_batch(&mut out, max);
                    prop_assert_eq!((count, out.len()), (list.len().min(max), count));
                }
            }
            for item in out {
                prop_assert_eq!(Some(item), list.pop_front().map(|(item, _)| item));
                let of = item.0.map_or(4, usize::from);
                prop_assert_eq!(item.1, taken[of], "out of the sender's order");
                taken[of] += 1;
            }
            prop_assert_eq!(mailbox.len(), list.len());
            prop_assert_eq!(mailbox.is_empty(), list.is_empty());
            prop_assert_eq!(mailbox.bytes(), list.iter().filter_map(|(_, bytes)| *bytes).sum::<usize>());
        }
    }
}
