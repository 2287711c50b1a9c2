//! Keeps values by key, and tells watchers what changes.
//!
//! ```pando
//! spawn kv --replicas 3 --name settings
//! call settings put colour blue
//! call settings get colour
//! ```

#![no_std]

use pando::{Any, Down, prelude::*};

/// Bytes of one key.
const KEY_BYTES_MAX: usize = 256;
/// Entries of one answer of `list`; more are had by asking on from the last.
const PAGE: usize = 1_000;

/// Values by key, and who wants to hear of changes.
#[derive(Default)]
pub struct Kv {
    values: BTreeMap<String, Any>,
    watchers: Vec<Watching>,
}

struct Watching {
    who: WatcherRef,
    prefix: String,
    monitor: u64,
}

/// What a watcher is sent.
#[pando::client]
trait Watcher {
    fn changed(key: String, value: Option<Any>);
}

/// Values by key.
#[pando::actor]
impl Kv {
    /// Puts a value of any kind, and answers with what was there.
    fn put(&mut self, key: String, value: Any) -> pando::Result<Option<Any>> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(format!("a key has 1 to {KEY_BYTES_MAX} bytes").into());
        }
        let before = self.values.insert(key.clone(), value.clone());
        if before.as_ref() != Some(&value) {
            self.tell(&key, Some(&value));
        }
        Ok(before)
    }

    /// The value, or none.
    #[query]
    fn get(&self, key: String) -> Option<Any> {
        self.values.get(&key).cloned()
    }

    /// Takes a value away, and answers with it.
    fn delete(&mut self, key: String) -> Option<Any> {
        let before = self.values.remove(&key);
        if before.is_some() {
            self.tell(&key, None);
        }
        before
    }

    /// Keys that begin with a prefix (all of them without one), in order, a thousand at most; `after` is where to go on.
    #[query]
    fn list(&self, prefix: Option<String>, after: Option<String>) -> Vec<String> {
        let prefix = prefix.unwrap_or_default();
        let from = after.unwrap_or_default().max(prefix.clone());
        let keys =
            self.values.range(from.clone()..).map(|(key, _)| key).skip_while(|key| **key == from && from != prefix);
        keys.take_while(|key| key.starts_with(&prefix)).take(PAGE).cloned().collect()
    }

    /// How many values there are.
    #[query]
    fn len(&self) -> u64 {
        self.values.len() as u64
    }

    /// From now on sends `changed(key, value)` to an actor whenever a key that begins with the prefix changes. It ends with
    /// the actor, or with `unwatch`.
    fn watch(&mut self, who: Handle, prefix: Option<String>) -> pando::Result<()> {
        let monitor = who.watch()?;
        self.watchers.push(Watching { who: who.cast(), prefix: prefix.unwrap_or_default(), monitor });
        Ok(())
    }

    /// Tells the actor no longer.
    fn unwatch(&mut self, who: Handle) -> bool {
        let before = self.watchers.len();
        self.watchers.retain(|watching| {
            let stays = *watching.who != who;
            if !stays {
                let _ = pando::unwatch(watching.monitor);
            }
            stays
        });
        self.watchers.len() < before
    }

    fn on_down(&mut self, down: Down) {
        self.watchers.retain(|watching| Some(watching.monitor) != down.monitor);
    }
}

impl Kv {
    fn tell(&self, key: &str, value: Option<&Any>) {
        for watching in self.watchers.iter().filter(|watching| key.starts_with(&watching.prefix)) {
            // One that cannot be reached any more is about to be reported as down.
            let _ = watching.who.changed(key, value.cloned()).send();
        }
    }
}

#[cfg(test)]
mod tests;
