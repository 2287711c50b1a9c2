//! Our side and the peer's in turn, in the same run.
//!
//! 1. Each does the work once before anything counts.
//! 2. A peer that fails is a sentence in its row, never the end of the run.

/// How much is done for each figure.
#[derive(Clone, Copy)]
pub struct Effort {
    /// A smoke run.
    pub quick: bool,
    /// Counted runs of each side.
    pub runs: usize,
    /// Groups where there are many of them.
    pub groups: u64,
    /// Peers are asked too.
    pub peers: bool,
}

impl Effort {
    /// So many of a thing.
    pub fn scaled(self, n: u64) -> u64 {
        if self.quick { n.div_ceil(50) } else { n }
    }

    /// The same for peers' own programs.
    pub fn percent(self) -> u64 {
        if self.quick { 2 } else { 100 }
    }

    /// Seconds of what runs by the clock.
    pub fn seconds(self) -> u64 {
        if self.quick { 1 } else { 3 }
    }

    /// Counted runs of what takes seconds each and has no peer.
    pub fn few(self) -> usize {
        self.runs.min(3)
    }
}

/// What both sides gave, run by run.
pub struct Duel {
    /// Ours.
    pub ours: Vec<f64>,
    /// The peer's, or why there is none.
    pub theirs: Result<Vec<f64>, String>,
}

/// Runs both sides in turn: once that does not count, then as often as the effort says.
pub async fn duel(
    effort: Effort,
    mut ours: impl AsyncFnMut() -> f64,
    mut theirs: impl FnMut() -> Result<f64, String>,
) -> Duel {
    let mut ask = || tokio::task::block_in_place(&mut theirs);
    let mut duel = Duel { ours: Vec::new(), theirs: Ok(Vec::new()) };
    for run in 0..=effort.runs {
        let our = ours().await;
        if run > 0 {
            duel.ours.push(our);
        }
        if let Ok(list) = &mut duel.theirs {
            match ask() {
                Ok(their) if run > 0 => list.push(their),
                Ok(_) => {}
                Err(why) => duel.theirs = Err(why),
            }
        }
    }
    duel
}

/// Our side alone.
pub async fn alone(runs: usize, mut ours: impl AsyncFnMut() -> f64) -> Vec<f64> {
    ours().await;
    let mut values = Vec::new();
    for _ in 0..runs {
        values.push(ours().await);
    }
    values
}
