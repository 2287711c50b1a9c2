//! Time: the event's, and waiting for later ones.
//!
//! Owns: sleeping, ticking, giving up. Does not know: a clock; time is what the event says.

use core::{
    future::Future,
    ops::{Add, Sub},
    pin::Pin,
    task::{Context, Poll, ready},
};

use pando_abi::limits::DELAY_NS_MAX;

use crate::{
    Data, Errno, Result,
    data::{Malformed, Reader, Writer},
    prelude::*,
    runtime::{Kind, Waiting, current},
    schema::Type,
    sys,
};

/// A point in time: nanoseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub u64);

impl Time {
    /// How long after `earlier` it is; zero if it is not.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, later: Duration) -> Time {
        Time(self.0.saturating_add(nanos(later)))
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

/// Nanoseconds since 1970.
impl Data for Time {
    const TYPE: &'static Type = &Type::Word("u64");
    fn write(&self, out: &mut Writer) {
        out.unsigned(self.0);
    }
    fn read(from: &mut Reader<'_>) -> core::result::Result<Self, Malformed> {
        from.unsigned().map(Time)
    }
}

/// The time of the event that is being handled. It moves at the next `.await` that waits, not before; in a group it is the
/// same on every replica.
pub fn now() -> Time {
    Time(current(|runtime| runtime.present.get().time_ns))
}

/// Nanoseconds, no more than the kernel takes.
pub(crate) fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()));
    nanos.min(DELAY_NS_MAX)
}

/// Waits. The time counts from the event that is being handled.
///
/// # Panics
/// With more timers than an actor may have (`TIMERS_MAX`), and in a query. [`Timer::start`] tells instead.
pub fn sleep(duration: Duration) -> Timer {
    match Timer::start(duration) {
        Ok(timer) => timer,
        Err(_) => panic!("no timer can be had: there are too many, or this is a query"),
    }
}

/// A point in time to wait for. Dropping it takes it back.
#[must_use = "a timer does nothing until it is awaited"]
#[derive(Debug)]
pub struct Timer(Waiting);

impl Timer {
    /// Starts one, and tells if it cannot be started.
    ///
    /// # Errors
    /// `LIMIT`; `READ_ONLY` in a query.
    pub fn start(duration: Duration) -> Result<Timer> {
        let id = sys::timer(nanos(duration))?;
        Ok(Timer(Waiting::begin(Kind::Timer, id)))
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx).map(drop)
    }
}

/// Lets the events that wait have their turn first.
pub async fn yield_now() {
    sleep(Duration::ZERO).await;
}

/// Something to do again and again: `loop { every.tick().await; .. }`.
#[derive(Debug)]
pub struct Interval {
    period: Duration,
    next: Time,
}

/// Ticks for the first time one `period` from now. A tick that was missed is not made up for.
pub fn interval(period: Duration) -> Interval {
    Interval { period, next: now() + period }
}

impl Interval {
    /// Waits for the next tick.
    pub async fn tick(&mut self) {
        let now = now();
        sleep(self.next.since(now)).await;
        let woken = crate::now();
        self.next = self.next + self.period;
        if self.next <= woken {
            self.next = woken + self.period;
        }
    }
}

/// The future's answer, or `TIMEOUT` if it takes longer.
///
/// # Errors
/// `TIMEOUT`.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output> {
    match crate::future::race(future, sleep(limit)).await {
        crate::future::First::Left(output) => Ok(output),
        crate::future::First::Right(()) => Err(Errno::TIMEOUT.into()),
    }
}

/// Waits for a future that may be there or not.
pub(crate) fn poll_pinned<F: Future + ?Sized>(
    future: &mut Option<Pin<Box<F>>>,
    cx: &mut Context<'_>,
) -> Poll<Option<F::Output>> {
    let Some(inner) = future else { return Poll::Ready(None) };
    let output = ready!(inner.as_mut().poll(cx));
    *future = None;
    Poll::Ready(Some(output))
}
