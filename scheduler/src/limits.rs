//! Every limit and constant of the scheduler, in one place.

/// Worker seats of one scheduler at most.
pub const WORKERS_MAX: usize = 256;
/// Tasks in one worker's queue of one priority; further ones go to the injector, where every worker finds them.
pub const LOCAL_TASKS_MAX: usize = 256;
/// Tasks that one theft takes at most (it takes half of what it finds, up to this).
pub const STEAL_TASKS_MAX: usize = 32;
/// Times that the slot goes before a task that waits in its priority, before the task in it must go through the queue.
pub const SLOT_TURNS_MAX: u32 = 16;
/// Turns after which a worker that has work of its own looks into the injector nevertheless. A power of two.
pub const INJECTOR_TURNS: u64 = 64;
/// Turns after which the rotation of priorities begins anew. A power of two.
pub const ROTATION_TURNS: u64 = 16;
/// Overrunners on the low lane at most: each keeps a thread. One more is told that the lane is full and should be ended.
pub const LANE_MAX: usize = 256;
/// Threads that wait without a seat. One more ends.
pub const SPARES_MAX: usize = 4;
/// How "nice" an overrunner's thread is: the weakest there is.
pub const LANE_NICE: i32 = 19;
/// Events of one turn unless told.
pub const BATCH_EVENTS_DEFAULT: u32 = 64;
/// Processor time after which a turn is over, unless told.
pub const SLICE_NS_DEFAULT: u64 = 5_000_000;
/// Time between two ticks, unless told.
pub const TICK_NS_DEFAULT: u64 = 1_000_000;
/// Time between two ticks at least.
pub const TICK_NS_MIN: u64 = 100_000;
/// Ticks without anything running after which the ticker sleeps until it is called.
pub const TICKER_QUIET_TICKS: u32 = 16;
/// A worker without work looks for some at least this long before it sleeps.
pub const SPIN_NS_MIN: u64 = 3_000;
/// A worker without work looks for some at most this long before it sleeps: about what a wake-up across cores costs.
pub const SPIN_NS_MAX: u64 = 60_000;
/// Timers that wait at once in one wheel.
pub const TIMERS_MAX: usize = u32::MAX as usize - 1;

const _: () = {
    assert!(INJECTOR_TURNS.is_power_of_two() && ROTATION_TURNS.is_power_of_two());
    assert!(STEAL_TASKS_MAX <= LOCAL_TASKS_MAX);
    assert!(SPIN_NS_MIN <= SPIN_NS_MAX && SPIN_NS_MAX < TICK_NS_MIN);
    assert!(TICK_NS_MIN <= TICK_NS_DEFAULT && TICK_NS_DEFAULT <= SLICE_NS_DEFAULT);
};
