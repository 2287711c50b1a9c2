//! What the guest `gauge` is told, and what it answers: counts of how long calls took.

use pando_tests::{
    Asker, Spawn,
    guests::{order, verb},
};

/// Sub-buckets of one power of two.
const FINE: u64 = 32;
const BUCKETS: usize = 1_024;

/// How a gauge calls.
#[derive(Clone, Copy)]
pub struct Calls {
    /// So many.
    pub many: u64,
    /// So many on their way at once.
    pub at_once: u64,
    /// Nanoseconds; 0: none.
    pub deadline_ns: u64,
    /// Flags of `call`.
    pub flags: u64,
    /// Messages of which the last is a call.
    pub burst: u64,
    /// The body begins with a number below this one.
    pub keys: u64,
    /// Bytes of the body.
    pub bytes: usize,
}

impl Calls {
    /// So many calls of 8 bytes, so many at once.
    pub fn of(many: u64, at_once: u64) -> Calls {
        Calls { many, at_once, deadline_ns: 0, flags: 0, burst: 1, keys: 0, bytes: 8 }
    }

    fn rest(&self) -> Vec<u8> {
        let mut rest = Vec::new();
        for n in [self.deadline_ns, self.flags, self.burst, self.keys] {
            rest.extend_from_slice(&n.to_le_bytes());
        }
        rest.resize(rest.len() + self.bytes, 0);
        rest
    }

    /// The order of one gauge.
    pub fn order(&self) -> Vec<u8> {
        order(verb::RUN, self.many, self.at_once, &self.rest())
    }

    /// The same with everybody called in turn.
    pub fn sweep(&self) -> Vec<u8> {
        order(verb::SWEEP, self.many, self.at_once, &self.rest())
    }

    /// The order of a whole crew, of which so many work at a time.
    pub fn all(&self, at_a_time: u64) -> Vec<u8> {
        order(verb::ALL, at_a_time, 0, &self.order())
    }
}

/// How long things took: 32 counts for each power of two of nanoseconds.
#[derive(Clone)]
pub struct Times(Vec<u64>);

impl Default for Times {
    fn default() -> Times {
        Times(vec![0; BUCKETS])
    }
}

impl Times {
    /// Adds one.
    pub fn note(&mut self, ns: u64) {
        let ns = ns.max(1);
        let power = u64::from(ns.ilog2());
        let at = if ns < FINE { ns } else { (power - 4) * FINE + ((ns >> (power - 5)) & (FINE - 1)) };
        self.0[(at as usize).min(BUCKETS - 1)] += 1;
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Times) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a += b);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Microseconds that this part of them did not exceed: the upper end of the bucket.
    pub fn quantile_us(&self, part: f64) -> f64 {
        let rank = ((self.count() as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, n) in self.0.iter().enumerate() {
            seen += n;
            if seen >= rank {
                return upper_ns(at as u64) / 1e3;
            }
        }
        f64::NAN
    }
}

/// Where a bucket ends.
fn upper_ns(at: u64) -> f64 {
    if at < FINE {
        return at as f64 + 1.0;
    }
    let (power, sub) = (at / FINE + 4, at % FINE);
    (FINE + sub + 1) as f64 * 2f64.powi(power as i32 - 5)
}

/// A gauge under this name on this node.
pub async fn spawn(asker: &Asker, name: &str, node: u32) {
    asker.spawn(Spawn::guest("gauge").name(name).on(node)).await;
}

/// Gives an order and waits until it is done: how long the calls took.
///
/// # Panics
/// If a call failed: a figure with failures in it is none.
pub async fn tell(asker: &Asker, name: &str, order: Vec<u8>, whom: &[&str]) -> Times {
    let key = asker.client().next_key();
    let whom = whom.iter().map(|w| (*w).to_owned()).collect();
    let answer = asker
        .keyed(name, order, whom, 0, key, std::time::Duration::from_secs(300))
        .await
        .unwrap_or_else(|e| panic!("{name}: {e:?}"));
    let (failed, counts) = answer.body.split_first_chunk::<8>().expect("a gauge's answer");
    assert_eq!(u64::from_le_bytes(*failed), 0, "{name}: calls failed");
    let counts = counts.as_chunks::<4>().0.iter().map(|n| u64::from(u32::from_le_bytes(*n)));
    Times(counts.collect())
}

/// Has it hire so many of its own kind.
pub async fn hire(asker: &Asker, name: &str, many: u64) {
    tell(asker, name, order(verb::HIRE, many, 0, &[]), &[]).await;
}

/// Has it form a crew.
pub async fn form(asker: &Asker, name: &str, many: u64, partners_on: u32, whom: &[&str]) {
    tell(asker, name, order(verb::FORM, many, u64::from(partners_on), &[]), whom).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_found_within_a_thirty_second_of_itself() {
        for ns in [1, 31, 32, 33, 1_000, 999_999, 50_000_000] {
            let mut times = Times::default();
            times.note(ns);
            let us = times.quantile_us(0.5);
            assert!(us * 1e3 > ns as f64 && us * 1e3 <= ns as f64 * 33.0 / 32.0 + 1.0, "{ns}: {us}");
        }
    }

    #[test]
    fn quantiles_are_of_all_that_was_noted() {
        let (mut a, mut b) = (Times::default(), Times::default());
        (0..99).for_each(|_| a.note(1_000));
        b.note(1_000_000);
        a.add(&b);
        assert_eq!(a.count(), 100);
        assert!(a.quantile_us(0.99) < 1.1 && a.quantile_us(0.999) > 900.0);
    }
}
