//! Waiting for what shall happen.

use std::time::{Duration, Instant};

use tokio::time::sleep;

const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Looks until there is something to see.
///
/// # Panics
/// With `what` if it does not come.
pub async fn until<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(began.elapsed() < within, "{what} has not come about within {} s", within.as_secs());
        sleep(LOOK_AGAIN).await;
    }
}

/// Looks until what is seen is the same `times` in a row.
///
/// # Panics
/// With `what` if it never rests.
pub async fn until_quiet<T: PartialEq>(
    what: &str,
    within: Duration,
    times: u32,
    mut look: impl AsyncFnMut() -> T,
) -> T {
    let began = Instant::now();
    let mut last = look().await;
    let mut same = 0;
    while same < times {
        assert!(began.elapsed() < within, "{what} does not rest within {} s", within.as_secs());
        sleep(LOOK_AGAIN).await;
        let next = look().await;
        same = if next == last { same + 1 } else { 0 };
        last = next;
    }
    last
}
