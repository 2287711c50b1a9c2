//! One node with one group that has much memory: the log on a disk, the replicated machine, a guest in Wasm, and clocks beside them.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pando_abi::{ActorId, Address, ModuleHash, NodeId, Rights, SpawnSpec, id::service};
use pando_actors::{Body, Capability, Class, Engine, EngineConfig, Exit, Handles, Message, Module, Verdict};
use pando_kernel::{
    input::{Delivery, Input, SpawnOrder},
    replica::{
        Leading, NoModule, Output, Port, Replica,
        entry::{BATCH, BIRTH, Batch, BatchItem, Birth},
    },
    wire,
};
use pando_raft::{Applied, Config, Cut, Entry, GroupId, Groups, Machine, Machines, Parts, Wire};

/// The group.
pub const GROUP: ActorId = ActorId([5; 16]);
/// Bytes of each event.
pub const EVENT: usize = 1024;
/// How long anything may take.
pub const LONG: Duration = Duration::from_secs(120);

/// Body: how many places, bytes of each, the first place, the distance between places. Each place is added to.
const FILLER: &str = r#"(module
  (memory (export "memory") 2)
  (func (export "pando_inbox") (param i32) (result i32) (i32.const 1024))
  (func (export "pando_receive") (param i32)
    (local $n i32) (local $len i32) (local $at i32) (local $step i32) (local $end i32)
    (if (i32.ne (i32.load16_u (i32.const 1024)) (i32.const 1)) (then (return)))
    (local.set $n (i32.load (i32.const 1072)))
    (local.set $len (i32.load (i32.const 1076)))
    (local.set $at (i32.load (i32.const 1080)))
    (local.set $step (i32.load (i32.const 1084)))
    (local.set $end (i32.add (i32.add (local.get $at) (i32.mul (local.get $n) (local.get $step))) (local.get $len)))
    (if (i32.gt_u (local.get $end) (i32.mul (memory.size) (i32.const 65536))) (then
      (if (i32.eq (i32.const -1) (memory.grow (i32.sub
          (i32.add (i32.div_u (local.get $end) (i32.const 65536)) (i32.const 1)) (memory.size)))) (then (unreachable)))))
    (loop $places
      (if (i32.eqz (local.get $n)) (then (return)))
      (local.set $end (i32.add (local.get $at) (local.get $len)))
      (loop $words
        (i64.store (local.get $at)
          (i64.add (i64.mul (i64.load (local.get $at)) (i64.const 6364136223846793005))
            (i64.add (i64.extend_i32_u (local.get $at)) (i64.const 1442695040888963407))))
        (br_if $words (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $end))))
      (local.set $at (i32.add (i32.sub (local.get $at) (local.get $len)) (local.get $step)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $places))))"#;

/// The longest that each took, in microseconds, and counts.
#[derive(Default)]
pub struct Longest {
    /// An entry.
    pub apply: AtomicU64,
    /// A root.
    pub root: AtomicU64,
    /// The cut of a snapshot, for which events wait.
    pub cut: AtomicU64,
    /// A whole snapshot, from its cut until it was on the disk.
    pub snapshot: AtomicU64,
    /// Bytes of parts that were made.
    pub written: AtomicU64,
    /// How many cuts, and how many of those are on the disk.
    pub cuts: AtomicU64,
    /// See `cuts`.
    pub kept: AtomicU64,
    /// How many roots.
    pub roots: AtomicU64,
    /// Of all roots together.
    pub root_ns: AtomicU64,
    /// Roots are left out.
    pub no_roots: AtomicBool,
}

impl Longest {
    fn time<R>(&self, which: &AtomicU64, f: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = f();
        which.fetch_max(start.elapsed().as_micros() as u64, Ordering::Relaxed);
        result
    }

    /// What was longest since the last time, in words.
    pub fn take(&self) -> String {
        let ms = |n: &AtomicU64| n.swap(0, Ordering::Relaxed) as f64 / 1_000.0;
        format!(
            "apply {:.2} ms, root {:.2} ms, cut {:.2} ms ({} cuts)",
            ms(&self.apply),
            ms(&self.root),
            ms(&self.cut),
            self.cuts.swap(0, Ordering::Relaxed)
        )
    }
}

/// A replica, with a clock beside it.
struct Timed {
    replica: Replica,
    longest: Arc<Longest>,
}

impl Machine for Timed {
    fn apply(&mut self, index: u64, entry: &Entry) -> Applied {
        self.longest.time(&self.longest.apply, || self.replica.apply(index, entry))
    }
    fn batch_end(&mut self) -> [u8; 32] {
        if self.longest.no_roots.load(Ordering::Relaxed) {
            return [0; 32];
        }
        let Longest { root: longest, root_ns, roots, .. } = &*self.longest;
        let start = Instant::now();
        let root = self.replica.batch_end();
        let took = start.elapsed();
        longest.fetch_max(took.as_micros() as u64, Ordering::Relaxed);
        root_ns.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
        roots.fetch_add(1, Ordering::Relaxed);
        root
    }
    fn snapshot(&mut self) -> Vec<u8> {
        self.replica.snapshot()
    }
    fn restore(&mut self, image: &[u8]) -> Result<(), String> {
        self.replica.restore(image)
    }
    fn cut(&mut self) -> Box<dyn Cut> {
        self.longest.cuts.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let cut = self.longest.time(&self.longest.cut, || self.replica.cut());
        Box::new(Counted { cut, began, longest: self.longest.clone() })
    }
    fn take_up(&mut self, image: &dyn Parts) -> Result<(), String> {
        self.replica.take_up(image)
    }
    fn role(&mut self, leading: bool, term: u64) {
        self.replica.role(leading, term);
    }
    fn as_any(&mut self) -> &mut dyn Any {
        &mut self.replica
    }
}

/// Counts the parts that had to be made.
struct Counted {
    cut: Box<dyn Cut>,
    began: Instant,
    longest: Arc<Longest>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.longest.snapshot.fetch_max(self.began.elapsed().as_micros() as u64, Ordering::Relaxed);
        self.longest.kept.fetch_add(1, Ordering::Relaxed);
    }
}

impl Cut for Counted {
    fn count(&self) -> usize {
        self.cut.count()
    }
    fn name(&self, part: usize) -> Option<[u8; 32]> {
        self.cut.name(part)
    }
    fn bytes(&self, part: usize) -> Vec<u8> {
        let bytes = self.cut.bytes(part);
        self.longest.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        bytes
    }
    fn named(&mut self, part: usize, name: [u8; 32]) {
        self.cut.named(part, name);
    }
}

struct World {
    module: Arc<Module>,
    longest: Arc<Longest>,
}

impl Port for World {
    fn module(&self, _: ModuleHash) -> Result<Arc<Module>, NoModule> {
        Ok(self.module.clone())
    }
    fn leads(&self, _: ActorId, _: u64, _: Leading) {}
    fn follows(&self, _: ActorId) {}
    fn effects(&self, _: ActorId, _: Output) {}
    fn ended(&self, _: ActorId, exit: &Exit) {
        panic!("the group ended: {exit}");
    }
}

struct Made(Arc<World>);

impl Machines for Made {
    fn make(&self, _: GroupId) -> Box<dyn Machine> {
        let replica = Replica::new(GROUP, NodeId(1), self.0.clone());
        Box::new(Timed { replica, longest: self.0.longest.clone() })
    }
}

struct Alone;

impl Wire for Alone {
    fn send(&self, _: NodeId, _: Vec<u8>, _: bool) -> bool {
        false
    }
}

/// A node with a group of one.
pub struct Single {
    /// Its groups, of which there is one.
    pub groups: Groups,
    /// Its clocks.
    pub longest: Arc<Longest>,
    module: Arc<Module>,
    /// The number of the latest entry.
    pub seq: AtomicU64,
}

impl Single {
    /// Opens it in this folder, or founds it.
    pub async fn open(dir: &Path, tune: impl FnOnce(&mut Config)) -> Single {
        let config = EngineConfig { cache_dir: None, on_epoch: Arc::new(|| Verdict::Continue) };
        let module = Engine::new(config).unwrap().load(&wat::parse_str(FILLER).unwrap(), Class::Replicated).unwrap();
        let longest = Arc::new(Longest::default());
        let mut config = Config::new(dir, NodeId(1));
        config.rest_idle = Duration::ZERO;
        tune(&mut config);
        let world = Arc::new(World { module: module.clone(), longest: longest.clone() });
        let groups = Groups::open(config, Arc::new(Alone), Arc::new(Made(world))).await.unwrap();
        groups.create(GROUP, &[NodeId(1)]).await.unwrap();
        Single { groups, longest, module, seq: AtomicU64::new(0) }
    }

    async fn log(&self, kind: u16, payload: Vec<u8>) -> u64 {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        let entry = Entry { origin: [7; 16], incarnation: seq, seq, epoch: 1, kind, payload, ..Entry::default() };
        self.groups.propose(GROUP, entry, LONG).await.unwrap().index
    }

    /// Starts the actor.
    pub async fn birth(&self) {
        let spec = SpawnSpec { replicas: 1, memory_bytes: 1 << 30, fuel_millions: 60_000, ..SpawnSpec::new() };
        let order = SpawnOrder {
            child: Address::group(GROUP),
            spec,
            args: Body::new(),
            handles: Handles::new(),
            parent: Capability::actor(Address::actor(NodeId(1), ActorId([99; 16])), Rights::NONE),
            realm: None,
        };
        let (engine, abi) = (pando_kernel::launch::ENGINE.into(), pando_abi::IMPORT_MODULE.into());
        let birth = Birth { epoch: 1, engine, abi, order: (&order).into(), module: self.module.hash().0 };
        self.log(BIRTH, wire::encode(&birth)).await;
    }

    /// One event that writes to so many places.
    pub async fn write(&self, places: u32, len: u32, first: u32, step: u32) -> u64 {
        let mut body: Vec<u8> = [places, len, first, step].into_iter().flat_map(u32::to_le_bytes).collect();
        body.resize(EVENT, 0);
        let message = Message::bytes(&body);
        let from = Address::service(service::CONSOLE);
        let delivery = Delivery::new(from, message);
        let items = vec![BatchItem { stamp: None, input: (&Input::Message(Box::new(delivery))).into() }];
        self.log(BATCH, wire::encode(&Batch { acks: Vec::new(), items })).await
    }

    /// The `n`th of many events that each write to eight pages of so much memory, far from each other and elsewhere each time.
    pub async fn scatter(&self, bytes: u32, n: u32) {
        let apart = (bytes / 4096 - 80) / 9;
        self.write(8, 8, (40 + n * 7919 % apart) * 4096, apart * 4096).await;
    }

    /// Waits until so much is applied.
    pub async fn reach(&self, index: u64) {
        while self.groups.applied(GROUP) < index {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Writes every page up to `bytes`, a piece at a time.
    pub async fn fill(&self, bytes: u32) {
        let piece = 16 << 20;
        for first in (128 << 10..bytes - (128 << 10)).step_by(piece) {
            let end = (first + piece as u32).min(bytes - (128 << 10));
            self.write((end - first) / 4096, 4096, first, 4096).await;
        }
    }

    /// The root as it is.
    pub fn root(&self) -> [u8; 32] {
        self.groups
            .with_machine(GROUP, |machine| machine.as_any().downcast_mut::<Replica>().unwrap().batch_end())
            .unwrap()
    }
}
