//! A snapshot that is coming in: first its manifest, then the parts of it that are not on this disk yet.
//!
//! Owns: what has come so far, and what is wanted next. Does not know who sends.
//!
//! 1. A part is taken only if its bytes have its hash, and at once lies on the disk, not in memory.
//! 2. What has come counts for another image as well: whoever sends next, and whatever newer image it is, sends only what is
//!    missing.
//! 3. Nothing of it is the current snapshot before somebody says so.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::Snapshots;
use super::form::{MANIFEST_BYTES_MAX, Manifest, Name, Place};
use super::kept::{Kept, PartFile, Reader};
use super::trickle::Trickle;
use crate::entry::GroupId;
use crate::machine::PART_BYTES_MAX;

/// Bytes of parts that are asked for at once. With the rest of a packet they fit a frame.
pub(crate) const WANTED_BYTES: usize = 512 << 10;
/// How many of them.
pub(crate) const WANTED_MAX: usize = 512;

/// What a sender says.
pub(crate) enum Piece {
    /// Bytes of the manifest from `offset` on.
    Manifest { total: u64, offset: u64, bytes: Vec<u8> },
    /// Parts by their number in the manifest.
    Parts(Vec<(u32, Vec<u8>)>),
}

/// What is to be said to it.
pub(crate) enum Next {
    /// The manifest's bytes from here on.
    Manifest(u64),
    /// These parts.
    Parts(Vec<u32>),
    /// It is all here.
    Whole(Arc<Kept>),
    /// What was sent makes no sense.
    Nonsense(&'static str),
}

/// What has come so far.
pub(crate) struct Incoming {
    image: Name,
    /// Of its manifest.
    bytes: Vec<u8>,
    plan: Option<Plan>,
    /// What came of an image before this one, until it is known which of it this one has too.
    earlier: Option<Found>,
}

/// Parts that are on this disk.
#[derive(Default)]
struct Found {
    have: BTreeMap<Name, Place>,
    files: BTreeMap<u64, Arc<PartFile>>,
}

struct Plan {
    manifest: Manifest,
    found: Found,
    own: u64,
    out: Trickle,
    /// Every part before this one is here.
    first: usize,
}

impl Incoming {
    fn new(image: Name, before: Option<Incoming>) -> io::Result<Incoming> {
        let (plan, mut earlier) = before.map_or((None, None), |before| (before.plan, before.earlier));
        if let Some(mut plan) = plan {
            // Its file is written to no more, and may be named by this image.
            plan.out.flush()?;
            earlier = Some(plan.found);
        }
        Ok(Incoming { image, bytes: Vec::new(), plan: None, earlier })
    }
}

impl Plan {
    /// `false`: these are not the bytes of such a part.
    fn take(&mut self, part: u32, bytes: &[u8]) -> io::Result<bool> {
        let Some(row) = self.manifest.parts.get(part as usize) else { return Ok(false) };
        if row.len as usize != bytes.len() || *blake3::hash(bytes).as_bytes() != row.name {
            return Ok(false);
        }
        if !self.found.have.contains_key(&row.name) {
            let place = Place { file: self.own, at: self.out.end() };
            self.out.write(bytes)?;
            self.found.have.insert(row.name, place);
        }
        Ok(true)
    }

    /// What to ask for next. Nothing: it is all here.
    fn wanted(&mut self) -> Vec<u32> {
        let missing = |n: &usize| {
            let row = self.manifest.parts.get(*n);
            row.is_some_and(|row| !self.found.have.contains_key(&row.name))
        };
        let Some(first) = (self.first..self.manifest.parts.len()).find(missing) else { return Vec::new() };
        self.first = first;
        let mut room = WANTED_BYTES.max(PART_BYTES_MAX);
        let mut wanted = Vec::new();
        for (n, row) in self.manifest.parts.iter().enumerate().skip(first) {
            if self.found.have.contains_key(&row.name) {
                continue;
            }
            match room.checked_sub(row.len as usize) {
                Some(left) if wanted.len() < WANTED_MAX => room = left,
                _ => break,
            }
            wanted.push(n as u32);
        }
        wanted
    }

    fn whole(mut self, bytes: Vec<u8>) -> io::Result<Kept> {
        self.out.flush()?;
        let places = self.manifest.parts.iter().map(|row| self.found.have.get(&row.name).copied());
        let Some(places) = places.collect::<Option<Vec<Place>>>() else {
            return Err(io::Error::other("a snapshot counted as whole and was not"));
        };
        Ok(Kept::new(bytes, self.manifest, places, self.found.files))
    }
}

impl Snapshots {
    /// Takes a piece of an image. `before` is what came until now, of this image or another. Blocks.
    pub(crate) fn receive(
        &self,
        group: GroupId,
        before: &mut Option<Incoming>,
        image: Name,
        piece: Piece,
    ) -> io::Result<Next> {
        let mut incoming = match before.take() {
            Some(incoming) if incoming.image == image => incoming,
            other => match &piece {
                Piece::Manifest { offset: 0, .. } => Incoming::new(image, other)?,
                _ => {
                    *before = other;
                    return Ok(Next::Manifest(0));
                }
            },
        };
        let next = self.go_on(group, &mut incoming, piece);
        if !matches!(next, Ok(Next::Whole(_) | Next::Nonsense(_))) {
            *before = Some(incoming);
        }
        next
    }

    fn go_on(&self, group: GroupId, incoming: &mut Incoming, piece: Piece) -> io::Result<Next> {
        match (piece, &mut incoming.plan) {
            (Piece::Manifest { total, offset, bytes }, None) => {
                let end = offset.saturating_add(bytes.len() as u64);
                if total > MANIFEST_BYTES_MAX as u64 || end > total {
                    return Ok(Next::Nonsense("a manifest's chunk outside of its length"));
                }
                if offset == incoming.bytes.len() as u64 {
                    incoming.bytes.extend_from_slice(&bytes);
                }
                let have = incoming.bytes.len() as u64;
                if have < total {
                    return Ok(Next::Manifest(have));
                }
                if *blake3::hash(&incoming.bytes).as_bytes() != incoming.image {
                    return Ok(Next::Nonsense("a manifest that is another one than was said"));
                }
                let Ok(manifest) = Manifest::read(&incoming.bytes) else {
                    return Ok(Next::Nonsense("a manifest that is none"));
                };
                let earlier = incoming.earlier.take().unwrap_or_default();
                incoming.plan = Some(self.plan(group, manifest, earlier)?);
            }
            (Piece::Manifest { .. }, Some(_)) => {}
            (Piece::Parts(_), None) => return Ok(Next::Manifest(incoming.bytes.len() as u64)),
            (Piece::Parts(parts), Some(plan)) => {
                for (part, bytes) in parts {
                    if !plan.take(part, &bytes)? {
                        return Ok(Next::Nonsense("a part of a snapshot that is not what its manifest says"));
                    }
                }
            }
        }
        let Some(plan) = &mut incoming.plan else { return Ok(Next::Manifest(0)) };
        let wanted = plan.wanted();
        if !wanted.is_empty() {
            return Ok(Next::Parts(wanted));
        }
        match incoming.plan.take() {
            Some(plan) => Ok(Next::Whole(Arc::new(plan.whole(std::mem::take(&mut incoming.bytes))?))),
            None => Ok(Next::Manifest(0)),
        }
    }

    /// What of an image is here already: of the current snapshot, and of what came before it was cut short.
    fn plan(&self, group: GroupId, manifest: Manifest, earlier: Found) -> io::Result<Plan> {
        let reader = Reader::new(self.files());
        let current = self.known(group)?;
        let here = current.as_ref().map(|kept| kept.index()).unwrap_or_default();
        let mut found = Found::default();
        for row in &manifest.parts {
            let place = match (earlier.have.get(&row.name), here.get(&row.name), &current) {
                (Some(place), ..) => earlier.files.get(&place.file).map(|file| (*place, file.clone())),
                // Its hash says what it was; whether it is that still is known only after reading it.
                (None, Some((place, _)), Some(kept)) => match reader.at(&kept.files, *row, *place) {
                    Ok(_) => kept.files.get(&place.file).map(|file| (*place, file.clone())),
                    Err(e) if e.kind() == io::ErrorKind::InvalidData => None,
                    Err(e) => return Err(e),
                },
                _ => None,
            };
            if let Some((place, file)) = place {
                found.have.insert(row.name, place);
                found.files.insert(place.file, file);
            }
        }
        let own = self.new_file(group)?;
        let out = Trickle::new(self.files().create(&own.path)?);
        let number = own.number;
        found.files.insert(number, own);
        Ok(Plan { manifest, found, own: number, out, first: 0 })
    }
}
