//! A network between real processes that can be made bad: UDP, with loss, delay, reordering, duplication and cuts.
//!
//! ```text
//!                     public address of n2            its private one
//!   n1, private  ──▶  [ socket ]  n1 ▶ n2  [ socket of this pair ]  ──▶  n2
//!                ◀──               n2 ▶ n1                          ◀──
//! ```
//!
//! Owns: a socket at every node's public address, one more for each pair of sender and node, and what waits. Does not
//! know: what is in a packet, nor what a node is.
//!
//! 1. Who sends is told by the private address that packets come from; whoever has none is a person, number 0.
//! 2. Each way from one to another is treated by settings of its own, which may change at any time.
//! 3. What happens to the n-th packet of a way is drawn from the seed. When packets come is not.
//! 4. Everything is bounded; what does not fit is lost, and counted.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::dice::Dice;

/// Persons, who have no number of their own.
pub const PERSON: u32 = 0;
/// Packets that wait for their time.
const WAITING_MAX: usize = 16_384;
/// Pairs of one sender and one node. Persons come and go.
const PAIRS_MAX: usize = 1_024;
/// Bytes of one packet; UDP has no more.
const PACKET_BYTES_MAX: usize = 65_536;

/// A node: where others find it, and where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its number.
    pub node: u32,
    /// Where others send to: the proxy listens here.
    pub public: SocketAddr,
    /// Where it listens.
    pub private: SocketAddr,
}

/// How packets fare on one way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Way {
    /// Of a thousand packets, so many are lost.
    pub loss: u32,
    /// Of a thousand packets, so many come twice.
    pub twice: u32,
    /// Every packet takes at least so long ...
    pub delay_ms: u64,
    /// ... and up to so much longer: packets overtake each other.
    pub jitter_ms: u64,
    /// Nothing comes through.
    pub cut: bool,
}

impl Way {
    /// Nothing comes through.
    pub const CUT: Way = Way { loss: 0, twice: 0, delay_ms: 0, jitter_ms: 0, cut: true };
}

/// What became of packets so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Sent on, repetitions among them.
    pub passed: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost to a cut.
    pub cut: u64,
    /// Sent on once more.
    pub twice: u64,
    /// Lost because too much waited, or to a socket's error.
    pub overflown: u64,
}

#[derive(Default)]
struct Counters {
    passed: AtomicU64,
    lost: AtomicU64,
    cut: AtomicU64,
    twice: AtomicU64,
    overflown: AtomicU64,
}

struct Packet {
    bytes: Box<[u8]>,
    by: Arc<UdpSocket>,
    to: SocketAddr,
}

struct Net {
    places: Vec<Place>,
    seed: u64,
    ways: Mutex<HashMap<(u32, u32), (Way, Dice)>>,
    waiting: Mutex<BTreeMap<(Instant, u64), Packet>>,
    more: Notify,
    serial: AtomicU64,
    counters: Counters,
}

/// See the module. Dropping it closes every socket.
pub struct Proxy {
    net: Arc<Net>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Listens at every public address. To be called within a tokio runtime.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub async fn start(places: &[Place], seed: u64) -> io::Result<Proxy> {
        let net = Arc::new(Net {
            places: places.to_vec(),
            seed,
            ways: Mutex::default(),
            waiting: Mutex::default(),
            more: Notify::new(),
            serial: AtomicU64::new(0),
            counters: Counters::default(),
        });
        let mut tasks = JoinSet::new();
        for place in places {
            let socket = Arc::new(UdpSocket::bind(place.public).await?);
            tasks.spawn(listen(net.clone(), *place, socket));
        }
        tasks.spawn(keep_time(net.clone()));
        Ok(Proxy { net, _tasks: tasks })
    }

    /// From now on packets of `from` to `to` fare so.
    pub fn set(&self, from: u32, to: u32, way: Way) {
        self.net.with_way(from, to, |w, _| *w = way);
    }

    /// Both directions.
    pub fn set_both(&self, a: u32, b: u32, way: Way) {
        self.set(a, b, way);
        self.set(b, a, way);
    }

    /// Every way is as good as new. What waits still comes.
    pub fn calm(&self) {
        lock(&self.net.ways).values_mut().for_each(|(way, _)| *way = Way::default());
    }

    /// What became of packets so far.
    pub fn counts(&self) -> Counts {
        let n = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let c = &self.net.counters;
        Counts {
            passed: n(&c.passed),
            lost: n(&c.lost),
            cut: n(&c.cut),
            twice: n(&c.twice),
            overflown: n(&c.overflown),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Net {
    fn with_way<T>(&self, from: u32, to: u32, act: impl FnOnce(&mut Way, &mut Dice) -> T) -> T {
        let mut ways = lock(&self.ways);
        let fresh = || (Way::default(), Dice::of(self.seed, u64::from(from) << 32 | u64::from(to)));
        let (way, dice) = ways.entry((from, to)).or_insert_with(fresh);
        act(way, dice)
    }

    /// How late each copy of the next packet of a way is; none if it is lost.
    fn fate(&self, from: u32, to: u32) -> Fate {
        self.with_way(from, to, |way, dice| {
            // Always as many throws, so that a change of settings does not move what comes after.
            let (lost, twice) = (dice.below(1_000), dice.below(1_000));
            let late = [dice.throw(), dice.throw()].map(|throw| way.delay_ms + throw % (way.jitter_ms + 1));
            if way.cut {
                Fate::Cut
            } else if lost < u64::from(way.loss) {
                Fate::Lost
            } else if twice < u64::from(way.twice) {
                Fate::Twice(late)
            } else {
                Fate::Once(late[0])
            }
        })
    }

    async fn carry(&self, from: u32, to: u32, bytes: &[u8], by: &Arc<UdpSocket>, at: SocketAddr) {
        let count = |counter: &AtomicU64| {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        match self.fate(from, to) {
            Fate::Cut => count(&self.counters.cut),
            Fate::Lost => count(&self.counters.lost),
            Fate::Once(late_ms) => self.send(late_ms, bytes, by, at).await,
            Fate::Twice(late_ms) => {
                count(&self.counters.twice);
                for late_ms in late_ms {
                    self.send(late_ms, bytes, by, at).await;
                }
            }
        }
    }

    async fn send(&self, late_ms: u64, bytes: &[u8], by: &Arc<UdpSocket>, to: SocketAddr) {
        if late_ms == 0 {
            return self.send_now(bytes, by, to).await;
        }
        let due = Instant::now() + Duration::from_millis(late_ms);
        {
            let mut waiting = lock(&self.waiting);
            if waiting.len() >= WAITING_MAX {
                self.counters.overflown.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let serial = self.serial.fetch_add(1, Ordering::Relaxed);
            waiting.insert((due, serial), Packet { bytes: bytes.into(), by: by.clone(), to });
        }
        self.more.notify_one();
    }

    async fn send_now(&self, bytes: &[u8], by: &UdpSocket, to: SocketAddr) {
        let sent = by.send_to(bytes, to).await.is_ok();
        let counter = if sent { &self.counters.passed } else { &self.counters.overflown };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn who(&self, private: SocketAddr) -> u32 {
        self.places.iter().find(|p| p.private == private).map_or(PERSON, |p| p.node)
    }
}

enum Fate {
    Cut,
    Lost,
    Once(u64),
    Twice([u64; 2]),
}

/// Sends what waits when its time has come.
async fn keep_time(net: Arc<Net>) {
    loop {
        let (due, next) = {
            let mut waiting = lock(&net.waiting);
            let mut due = Vec::new();
            while waiting.first_key_value().is_some_and(|((at, _), _)| *at <= Instant::now()) {
                due.extend(waiting.pop_first().map(|(_, packet)| packet));
            }
            (due, waiting.first_key_value().map(|((at, _), _)| *at))
        };
        for packet in due {
            net.send_now(&packet.bytes, &packet.by, packet.to).await;
        }
        match next {
            Some(at) => tokio::select! {
                () = sleep_until(at) => {}
                () = net.more.notified() => {}
            },
            None => net.more.notified().await,
        }
    }
}

/// Takes what is sent to one node, and makes a pair for each sender.
async fn listen(net: Arc<Net>, place: Place, public: Arc<UdpSocket>) {
    let mut pairs: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut returning = JoinSet::new();
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    loop {
        // An error is about an earlier packet that nobody took (ICMP), not about the socket.
        let Ok((len, sender)) = public.recv_from(&mut buffer).await else { continue };
        let who = net.who(sender);
        if !pairs.contains_key(&sender) {
            if pairs.len() >= PAIRS_MAX {
                // Persons of long ago; whoever is still there is seen again at the next packet.
                pairs.clear();
                returning.abort_all();
                while returning.join_next().await.is_some() {}
            }
            let Ok(socket) = UdpSocket::bind((place.private.ip(), 0)).await else {
                net.counters.overflown.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let socket = Arc::new(socket);
            returning.spawn(carry_back(net.clone(), place, socket.clone(), public.clone(), sender));
            pairs.insert(sender, socket);
        }
        net.carry(who, place.node, &buffer[..len], &pairs[&sender], place.private).await;
    }
}

/// Takes what the node answers one sender.
async fn carry_back(net: Arc<Net>, place: Place, pair: Arc<UdpSocket>, public: Arc<UdpSocket>, sender: SocketAddr) {
    let who = net.who(sender);
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    loop {
        let Ok((len, from)) = pair.recv_from(&mut buffer).await else { continue };
        if from == place.private {
            net.carry(place.node, who, &buffer[..len], &public, sender).await;
        }
    }
}

#[cfg(test)]
mod tests;
