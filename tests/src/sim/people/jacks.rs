//! People who let jacks do everything that the contract offers, and put an end to it.

use std::time::Duration;

use pando_abi::{Errno, Restart};
use pando_admin::{Reply, Request, SpawnRequest};
use tokio::time::sleep;

use super::{Cast, Client, Fate, Sizes, errno_of, spawn_request};
use crate::guests::{self, order, verb};

impl Client {
    /// The jacks, each under another policy.
    pub(super) async fn found_jacks(&mut self, cast: &mut Cast, sizes: Sizes) {
        cast.jack_groups = sizes.jack_groups;
        cast.jacks = (0..sizes.jack_groups + sizes.jacks).map(|n| format!("j{n}")).collect();
        if !cast.jacks.is_empty() {
            self.insist(&Request::PutModule { label: "jack".into(), wasm: guests::wasm("jack") }).await;
        }
        for jack in 0..cast.jacks.len() {
            let request = self.bear_jack(cast, jack);
            self.insist(&request).await;
        }
    }

    fn bear_jack(&mut self, cast: &Cast, jack: usize) -> Request {
        let module = *blake3::hash(&guests::wasm("jack")).as_bytes();
        let (replicas, node) =
            if jack < cast.jack_groups { (cast.replicas, None) } else { (0, Some(jack as u32 % self.nodes + 1)) };
        let restart = [Restart::Resume, Restart::Always, Restart::OnFailure, Restart::Never][jack % 4] as u8;
        match spawn_request(module, &cast.jacks[jack], replicas, node, self.key()) {
            Request::Spawn(request) => Request::Spawn(SpawnRequest { restart, ..request }),
            other => other,
        }
    }

    /// Tells a jack what to do; if it has ended, another one takes its name.
    pub(super) async fn deeds(&mut self, cast: &Cast, jack: usize, with: [usize; 2], many: u64, stir: u64) -> Fate {
        let request = Request::Send {
            target: cast.jacks[jack].clone(),
            body: order(verb::DEEDS, stir, many, &[]),
            handles: with.map(|n| cast.jacks[n].clone()).to_vec(),
            key: self.key(),
        };
        let patience = Duration::from_secs(6);
        match self.ask(&request, 2, patience).await {
            (Some(Reply::Done), _) => Fate::Done,
            (Some(ref reply @ Reply::Refused { .. }), maybe) => {
                for jack in [jack, with[0], with[1]] {
                    let request = self.bear_jack(cast, jack);
                    self.ask(&request, 1, patience).await;
                }
                if maybe { Fate::Unknown } else { Fate::Refused(errno_of(reply)) }
            }
            _ => Fate::Unknown,
        }
    }

    /// What the jacks that live say: deeds, and how often the contract was broken.
    pub(super) async fn accusations(&mut self, cast: &Cast) -> Vec<Option<(u64, u64)>> {
        let mut all = Vec::new();
        for jack in &cast.jacks {
            self.board.lock().audit_at = format!("{jack} accuses");
            let accusation = loop {
                match self.query(jack, verb::ACCUSE).await {
                    Some(Reply::Answer { status: 0, body, .. }) => break two_numbers(&body),
                    Some(Reply::Answer { status, .. }) if Errno::from_code(status) == Some(Errno::DEAD) => break None,
                    Some(ref reply @ Reply::Refused { .. })
                        if matches!(errno_of(reply), Errno::DEAD | Errno::NOT_FOUND) =>
                    {
                        break None;
                    }
                    _ => {}
                }
            };
            all.push(accusation);
        }
        all
    }

    /// Ends the jacks and whomever they have brought into the world, until none is left. A group that the last of them asked for may
    /// still be on its way into the world, so two looks in a row have to find nobody.
    pub(super) async fn end_jacks(&mut self, cast: &Cast) {
        let mut alone = false;
        loop {
            let Reply::Actors { rows, silent } = self.insist(&Request::Ps { node: None }).await else { continue };
            let others: Vec<String> = rows
                .into_iter()
                .filter(|row| !cast.witnesses.contains(&row.name) && !cast.tallies.contains(&row.name))
                .map(|row| row.id)
                .collect();
            if others.is_empty() && silent.is_empty() {
                if alone {
                    return;
                }
                alone = true;
                sleep(Duration::from_secs(5)).await;
                continue;
            }
            alone = false;
            for id in others {
                self.end(&id).await;
            }
            self.board.lock().audit_at.push_str(", and is there still");
        }
    }
}

/// A CBOR array of two numbers of nine bytes.
fn two_numbers(body: &[u8]) -> Option<(u64, u64)> {
    let rest = body.strip_prefix(&[0x82, 0x1b])?;
    let (first, rest) = rest.split_first_chunk::<8>()?;
    let (second, _) = rest.strip_prefix(&[0x1b])?.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*first), u64::from_be_bytes(*second)))
}
