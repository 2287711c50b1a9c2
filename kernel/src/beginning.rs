//! The first time that a node takes part in its realm, and why it happens once.
//!
//! Owns: the way from an empty disk to a replica of the root group, seen from the newcomer and from those whom it asks. Does not
//! know: how a newcomer became a member.
//!
//! A node whose log holds no root group has never taken part, or has lost its disk. In the second case it must not vote: it has
//! forgotten what it promised. So it asks the others, with a number that it draws for this beginning: the realm writes that
//! number down, and refuses another one later.
//!
//! ```text
//! newcomer  -- MayBegin(life) -->  member  -- Begin(node, life) -->  root group
//!           <-- Begins(word) ----
//! ```
//!
//! 1. Who was admitted begins only after the root group has written it down.
//! 2. A founder begins also when a majority of the founders, itself among them, know of no founding: then there was none.
//! 3. A crash between the writing and the beginning is mended by the number, which is kept in a file until then.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use pando_abi::planted::fail::{Point, pass};
use pando_abi::{Errno, NodeId};
use pando_raft::CreateError;
use tokio::time::{Instant, timeout_at};

use crate::{
    genesis::Genesis,
    node::Kernel,
    realm::{ROOT, Refusal},
    root::RootCommand,
    wire::{BeginWord, ControlMessage},
};

/// How often the others are asked.
const AGAIN: Duration = Duration::from_millis(250);

/// Sees to it that this node has its replica of the root group: at once if it had one before, otherwise as soon as the others
/// let it.
///
/// # Errors
/// If the log cannot be written.
pub(crate) async fn begin(kernel: &Arc<Kernel>, dir: &Path) -> Result<(), CreateError> {
    if kernel.groups().status(ROOT).is_some() {
        forget_life(dir);
        return Ok(());
    }
    let life = life(kernel, dir).map_err(|e| CreateError::Stopped(format!("{}: {e}", dir.display())))?;
    if majority(kernel) == 1 {
        return take_part(kernel, dir).await;
    }
    let (kernel, dir) = (kernel.clone(), dir.to_owned());
    tokio::spawn(ask(kernel, dir, life));
    Ok(())
}

/// How many founders make sure that there was no founding. A node that was admitted later takes nobody's ignorance for that.
fn majority(kernel: &Kernel) -> usize {
    let genesis = &kernel.parts.genesis;
    if genesis.joined { usize::MAX } else { genesis.nodes.len() / 2 + 1 }
}

async fn take_part(kernel: &Arc<Kernel>, dir: &Path) -> Result<(), CreateError> {
    let genesis = &kernel.parts.genesis;
    let seats = genesis.seats();
    if genesis.joined || !seats.contains(&kernel.id()) {
        kernel.groups().join(ROOT).await?;
    } else {
        kernel.groups().create(ROOT, &seats).await?;
    }
    pass(Point::BeginTaken);
    forget_life(dir);
    Ok(())
}

async fn ask(kernel: Arc<Kernel>, dir: PathBuf, life: u64) {
    let mut words = kernel.calls().hear_words();
    let others: Vec<NodeId> =
        kernel.parts.genesis.nodes.iter().map(|member| member.node).filter(|node| *node != kernel.id()).collect();
    let mut blank = BTreeSet::from([kernel.id()]);
    loop {
        for node in &others {
            // Who cannot be asked now is asked again.
            kernel.send_control(*node, &ControlMessage::MayBegin { life });
        }
        let until = Instant::now() + AGAIN;
        let begins = loop {
            match timeout_at(until, words.recv()).await {
                Ok(Some((from, about, word))) if about == life => match word {
                    BeginWord::Begin => break true,
                    BeginWord::Blank => {
                        blank.insert(from);
                        if blank.len() >= majority(&kernel) {
                            break true;
                        }
                    }
                    BeginWord::Refused { text, mend } => {
                        return kernel.refuse(Refusal::new(Errno::REFUSED, text, mend));
                    }
                },
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break false,
            }
        };
        if begins {
            match take_part(&kernel, &dir).await {
                Ok(()) => return,
                Err(why) => tracing::error!(%why, "the root group's replica could not be made"),
            }
        }
    }
}

impl Kernel {
    /// A member with an empty disk asks whether it may begin.
    pub(crate) fn may_begin(self: &Arc<Self>, from: NodeId, life: u64) {
        if !self.calls().beginning.lock().insert(from) {
            return;
        }
        let kernel = self.clone();
        self.runtime().spawn(async move {
            let word = kernel.word_on(from, life).await;
            kernel.calls().beginning.lock().remove(&from);
            if let Some(word) = word {
                kernel.send_control(from, &ControlMessage::Begins { life, word });
            }
        });
    }

    /// `None`: nothing is known yet.
    async fn word_on(&self, node: NodeId, life: u64) -> Option<BeginWord> {
        let founded = self.root().read(|root| root.is_founded());
        if !founded && self.groups_opened().await.is_blank(ROOT) {
            return (!self.parts.genesis.joined).then_some(BeginWord::Blank);
        }
        match self.root_command(RootCommand::Begin { node, life }).await {
            Ok(_) => Some(BeginWord::Begin),
            Err(Refusal { errno: Errno::EXISTS | Errno::NOT_FOUND, text, mend }) => {
                Some(BeginWord::Refused { text, mend })
            }
            Err(why) => {
                tracing::info!(%node, %why, "it is not known yet whether a node may begin");
                None
            }
        }
    }
}

/// The number of this beginning: the one in the file, or a new one that is put there.
fn life(kernel: &Kernel, dir: &Path) -> io::Result<u64> {
    let path = Genesis::life_path(dir);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            if let Some(life) = u64::from_str_radix(text.trim(), 16).ok().filter(|life| *life != 0) {
                return Ok(life);
            }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let life = kernel.door().seed() | 1;
    let scratch = path.with_extension("new");
    let mut file = std::fs::File::create(&scratch)?;
    writeln!(file, "{life:016x}")?;
    file.sync_all()?;
    std::fs::rename(&scratch, &path)?;
    std::fs::File::open(dir)?.sync_all()?;
    pass(Point::BeginWritten);
    Ok(life)
}

fn forget_life(dir: &Path) {
    let path = Genesis::life_path(dir);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %e, "a file that is needed no more could not be removed");
        }
        _ => {}
    }
}
