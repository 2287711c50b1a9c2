//! What the kernel's random tests share: how many cases each runs.

use proptest::prelude::ProptestConfig;

/// So many random cases, or as many as `PANDO_CASES` says. A failure is printed shrunk, and written nowhere.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PANDO_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}
