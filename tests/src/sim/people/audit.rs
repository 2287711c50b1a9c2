//! Who asks everybody in the end, then ends everybody.

use std::time::Duration;

use pando_abi::{Errno, call::call_flags};
use pando_admin::{Reply, Request};
use tokio::time::sleep;

use super::{Audit, Cast, Client, Fate, Version, code, errno_of};
use crate::guests::{Testimony, order, verb};

impl Client {
    /// Asks everybody in the end, then ends everybody.
    pub async fn audit(mut self, cast: Cast) {
        let mut audit = Audit::default();
        // What nobody runs yet is only where it was put, and those disks may be gone.
        for label in ["tally", "witness"] {
            for version in [Version::Good(0), Version::Good(1)] {
                self.insist(&Request::PutModule { label: label.into(), wasm: code(label, version) }).await;
            }
        }
        for who in 0..cast.tallies.len() + cast.groups {
            self.board.lock().audit_at = format!("group {who} gets other code");
            for to in [Version::Good(1), Version::Good(0)] {
                while self.upgrade(&cast, who, to, 1).await != Fate::Done {}
            }
        }
        for tally in &cast.tallies {
            audit.values.push(self.until_answered(tally, Vec::new(), Vec::new(), call_flags::QUERY).await);
        }
        for from in 0..cast.groups {
            for to in 0..cast.groups {
                let body = order(verb::LETTERS, from as u64, 0, &(to as u64).to_le_bytes());
                let handles = vec![cast.witnesses[to].clone()];
                let sent = self.until_answered(&cast.witnesses[from], body, handles, 0).await;
                audit.sent.push((from, to, sent));
            }
        }
        let Reply::Names(names) = self.insist(&Request::Names).await else { panic!("names were not told") };
        for n in 0..6 {
            let name = format!("x{n}");
            audit.names.push((n, names.iter().find(|row| row.name == name).map(|row| row.address.clone())));
        }
        // Letters, timers and deadlines that are still on their way arrive.
        for _ in 0..20 {
            sleep(Duration::from_secs(2)).await;
            audit.testimonies = self.testimonies(&cast).await;
            if is_quiet(&cast, &audit) {
                break;
            }
        }
        audit.accusations = self.accusations(&cast).await;
        self.end_jacks(&cast).await;
        for plain in &cast.witnesses[cast.groups..] {
            self.end(plain).await;
        }
        sleep(Duration::from_secs(2)).await;
        audit.last_words = self.testimonies(&cast).await;
        for group in cast.witnesses[..cast.groups].iter().chain(&cast.tallies) {
            self.end(group).await;
        }
        self.board.lock().audit = Some(audit);
    }

    pub(super) async fn end(&mut self, target: &str) {
        self.board.lock().audit_at = format!("{target} is ended");
        let request = Request::Kill { target: target.to_owned() };
        loop {
            match self.ask(&request, 1, Duration::from_secs(20)).await.0 {
                Some(Reply::Done) => break,
                // It was ended by the try before.
                Some(ref reply @ Reply::Refused { .. })
                    if matches!(errno_of(reply), Errno::DEAD | Errno::NOT_FOUND) =>
                {
                    break;
                }
                other => self.board.lock().audit_at = format!("{target} is ended: {other:?}"),
            }
        }
    }

    async fn until_answered(&mut self, target: &str, body: Vec<u8>, handles: Vec<String>, flags: i32) -> u64 {
        loop {
            self.board.lock().audit_at = format!("{target} is asked");
            if let Fate::Answered { number, .. } = self.call(target, body.clone(), handles.clone(), flags, 1).await {
                return number;
            }
        }
    }

    /// Asks somebody for a report, at one node, once.
    pub(super) async fn query(&mut self, target: &str, verb: u64) -> Option<Reply> {
        let request = Request::Call {
            target: target.to_owned(),
            body: order(verb, 0, 0, &[]),
            handles: Vec::new(),
            flags: call_flags::QUERY as u32,
            deadline_ms: 4_000,
            key: self.key(),
        };
        self.ask(&request, 1, Duration::from_secs(6)).await.0
    }

    async fn testimonies(&mut self, cast: &Cast) -> Vec<Option<Testimony>> {
        let mut all = Vec::new();
        for (n, witness) in cast.witnesses.iter().enumerate() {
            self.board.lock().audit_at = format!("{witness} testifies");
            let testimony = loop {
                match self.query(witness, verb::TESTIFY).await {
                    Some(Reply::Answer { status: 0, body, .. }) => {
                        break Some(Testimony::of(&body).expect("a testimony that is one"));
                    }
                    Some(_) if n >= cast.groups => break None,
                    _ => {}
                }
            };
            all.push(testimony);
        }
        all
    }
}

/// Is nothing on its way to the groups any more?
fn is_quiet(cast: &Cast, audit: &Audit) -> bool {
    audit.testimonies.iter().take(cast.groups).enumerate().all(|(n, testimony)| {
        let sent: u64 = audit.sent.iter().filter(|(_, to, _)| *to == n).map(|(.., sent)| sent).sum();
        testimony.is_some_and(|t| t.letters >= sent && t.timers_fired == t.timers_set && t.replies == t.calls)
    })
}
