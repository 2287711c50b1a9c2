//! `backup`: the whole realm into one file, of one piece.
//!
//! The order of things, and why it gives one piece, is in the kernel's `backup.rs`.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use pando_abi::{ActorId, NodeId, RealmId};
use pando_admin::{Reply, Request};
use pando_kernel::realm::ROOT;
use serde_json::json;

use super::Eval;
use crate::{
    archive::{Part, Spool, Writer},
    failure::Failure,
    outcome::Outcome,
    render::size,
    session::{DEADLINE, unexpected},
};

/// How long the nodes hold still unless told again.
const HOLD: Duration = Duration::from_secs(20);
/// How often they are told.
const RENEW: Duration = Duration::from_secs(4);
/// What a group has for its copy to be made.
const COPY_DEADLINE: Duration = Duration::from_secs(30);

/// The nodes that hold still for one backup.
struct Hold {
    backup: u64,
    nodes: Vec<NodeId>,
    renewed: Instant,
}

impl Eval<'_> {
    pub(super) async fn backup(&mut self, path: &Path) -> Result<(), Failure> {
        let Reply::Hello { realm, .. } = self.ask(Request::Hello, DEADLINE).await? else { return Err(unexpected()) };
        let nodes = self.up().await?;
        let shown = nodes.iter().map(NodeId::to_string).collect();
        let mut writer = Writer::begin(path, &RealmId(realm).to_string(), shown)?;
        // As good a number as any that nobody else has.
        let key = self.session.ask.key();
        let backup = key.incarnation.wrapping_add(key.seq);
        let mut hold = Hold { backup, nodes, renewed: Instant::now() };
        self.sink.progress(Some("asking the nodes to hold still"));
        let held = match self.hold(&hold, false).await {
            Ok(()) => self.copy_all(&mut hold, &mut writer).await,
            Err(failure) => Err(failure),
        };
        // Whoever does not hear it holds for a few seconds more.
        for node in &hold.nodes {
            let _ = self.session.ask.ask(Some(*node), Request::Release { backup }, DEADLINE).await;
        }
        let (groups, modules) = held?;
        for (n, hash) in modules.iter().enumerate() {
            self.sink.progress(Some(&format!("copying modules: {n} of {}", modules.len())));
            let mut spool = writer.spool();
            self.pieces(None, &mut spool, None, |offset| Request::CopyModule { hash: *hash, offset }).await?;
            writer.part(Part::Module(*hash), spool)?;
        }
        let bytes = writer.finish()?;
        let many = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        let modules = modules.len();
        let text = format!(
            "{}  {}, {}, {}; `pando restore` makes a realm of it",
            path.display(),
            many(groups, "group"),
            many(modules, "module"),
            size(bytes)
        );
        let json = json!({ "file": path.display().to_string(), "groups": groups, "modules": modules, "bytes": bytes });
        self.sink.emit(Outcome::done(text, json));
        Ok(())
    }

    /// The nodes that are up.
    async fn up(&self) -> Result<Vec<NodeId>, Failure> {
        let Reply::Nodes(rows) = self.ask(Request::Nodes, DEADLINE).await? else { return Err(unexpected()) };
        Ok(rows.iter().filter(|row| row.up).map(|row| NodeId(row.node)).collect())
    }

    async fn hold(&self, hold: &Hold, renew: bool) -> Result<(), Failure> {
        let lasts_ms = HOLD.as_millis() as u32;
        for node in &hold.nodes {
            let request = Request::Hold { backup: hold.backup, lasts_ms, renew };
            match self.session.ask.ask(Some(*node), request, DEADLINE).await? {
                Reply::Done => {}
                _ => return Err(unexpected()),
            }
        }
        Ok(())
    }

    /// Copies every group while the nodes hold still, and makes sure that they did. How many there are, and which modules.
    async fn copy_all(&mut self, hold: &mut Hold, writer: &mut Writer) -> Result<(usize, Vec<[u8; 32]>), Failure> {
        let Some(first) = hold.nodes.first().copied() else { return Err(unexpected()) };
        self.sink.progress(Some("copying the realm's own state"));
        self.copy_group(hold, writer, ROOT, &[first]).await?;
        let Reply::Plan { groups, modules } = self.session.ask.ask(Some(first), Request::CopyPlan, DEADLINE).await?
        else {
            return Err(unexpected());
        };
        for (n, row) in groups.iter().enumerate() {
            self.sink.progress(Some(&format!("copying groups: {n} of {}", groups.len())));
            let voters: Vec<NodeId> =
                row.voters.iter().map(|n| NodeId(*n)).filter(|node| hold.nodes.contains(node)).collect();
            self.copy_group(hold, writer, ActorId(row.id), &voters).await?;
        }
        self.hold(hold, true).await?;
        let came: BTreeSet<NodeId> = self.up().await?.into_iter().filter(|node| !hold.nodes.contains(node)).collect();
        match came.first() {
            Some(node) => {
                Err(Failure::new(format!("{node} came up meanwhile, and did not hold"), "make the backup again"))
            }
            None => Ok((groups.len(), modules)),
        }
    }

    async fn copy_group(
        &mut self,
        hold: &mut Hold,
        writer: &mut Writer,
        id: ActorId,
        holders: &[NodeId],
    ) -> Result<(), Failure> {
        let mut last = Failure::new(
            format!("{} is held by no node that is up", pando_abi::Address::group(id)),
            "start enough of its nodes; `inspect` names them",
        );
        for node in holders {
            let mut spool = writer.spool();
            let backup = hold.backup;
            let request = |offset| Request::CopyGroup { backup, group: id.0, offset };
            match self.pieces(Some(*node), &mut spool, Some(hold), request).await {
                Ok(()) => return writer.part(if id == ROOT { Part::Root } else { Part::Group(id.0) }, spool),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    /// Asks for one piece after the other, and for the nodes to go on holding.
    async fn pieces(
        &self,
        node: Option<NodeId>,
        spool: &mut Spool,
        mut hold: Option<&mut Hold>,
        request: impl Fn(u64) -> Request,
    ) -> Result<(), Failure> {
        loop {
            let Reply::Piece { total, bytes } =
                self.session.ask.ask(node, request(spool.bytes()), COPY_DEADLINE).await?
            else {
                return Err(unexpected());
            };
            spool.write(&bytes)?;
            if let Some(hold) = hold.as_deref_mut().filter(|hold| hold.renewed.elapsed() > RENEW) {
                self.hold(hold, true).await?;
                hold.renewed = Instant::now();
            }
            if spool.bytes() >= total {
                return Ok(());
            }
            if bytes.is_empty() {
                return Err(Failure::new("a copy ended before its end", "make the backup again"));
            }
        }
    }
}
