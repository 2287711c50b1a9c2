//! The log engine's files: the system's, as the engine itself opens them, or those of a [`Files`] door.
//!
//! Owns: what the engine may cut away when it opens a log. It takes whatever it cannot read for the torn tail of a crash,
//! also where that is none.
//!
//! 1. A read that fails is no end of the log: after one nothing is cut and nothing is written.
//! 2. Only the newest file of a queue may have a torn tail. What is broken in an older one is damage.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use pando_abi::planted::fail::{Point, fails};
use raft_engine::env::{DefaultFileSystem, FileSystem, Handle, Permission, WriteExt};

use crate::files::{Files, OpenFile};

/// Why the first read that failed did.
pub(crate) type Misread = Arc<OnceLock<String>>;

/// See the module.
pub(crate) struct EngineFiles {
    from: From,
    misread: Misread,
}

enum From {
    System(DefaultFileSystem),
    Door(Arc<dyn Files>),
}

type SystemHandle = <DefaultFileSystem as FileSystem>::Handle;
type SystemFile = <DefaultFileSystem as FileSystem>::Reader;

pub(crate) struct AnyHandle {
    kind: HandleKind,
    path: PathBuf,
    misread: Misread,
}

enum HandleKind {
    System(Arc<SystemHandle>),
    Door(Arc<dyn OpenFile>),
}

/// A reader or a writer: a handle with a position.
pub(crate) struct AnyFile {
    kind: FileKind,
    misread: Misread,
}

enum FileKind {
    System(SystemFile),
    Door { file: Arc<dyn OpenFile>, at: u64 },
}

fn unless_misread(misread: &Misread) -> io::Result<()> {
    match misread.get() {
        Some(why) => Err(io::Error::other(format!("a read has failed ({why}), so nothing more is written"))),
        None => Ok(()),
    }
}

/// Is there no newer file of the same queue?
fn is_newest(path: &Path) -> io::Result<bool> {
    let Some(folder) = path.parent() else { return Ok(true) };
    for entry in std::fs::read_dir(folder)? {
        let other = entry?.path();
        // The names are numbers of one width.
        if other.extension() == path.extension() && other.file_name() > path.file_name() {
            return Ok(false);
        }
    }
    Ok(true)
}

impl EngineFiles {
    /// Those of the door, or the system's.
    pub(crate) fn new(door: Option<Arc<dyn Files>>) -> EngineFiles {
        let from = door.map_or(From::System(DefaultFileSystem), From::Door);
        EngineFiles { from, misread: Arc::default() }
    }

    /// Set once a read has failed.
    pub(crate) fn misread(&self) -> Misread {
        self.misread.clone()
    }

    fn handle(&self, path: &Path, kind: HandleKind) -> AnyHandle {
        AnyHandle { kind, path: path.to_owned(), misread: self.misread.clone() }
    }
}

impl FileSystem for EngineFiles {
    type Handle = AnyHandle;
    type Reader = AnyFile;
    type Writer = AnyFile;

    fn create<P: AsRef<Path>>(&self, path: P) -> io::Result<AnyHandle> {
        let path = path.as_ref();
        let kind = match &self.from {
            From::System(system) => HandleKind::System(Arc::new(system.create(path)?)),
            From::Door(files) => HandleKind::Door(files.create(path)?),
        };
        Ok(self.handle(path, kind))
    }
    fn open<P: AsRef<Path>>(&self, path: P, perm: Permission) -> io::Result<AnyHandle> {
        let path = path.as_ref();
        let kind = match &self.from {
            From::System(system) => HandleKind::System(Arc::new(system.open(path, perm)?)),
            From::Door(files) => HandleKind::Door(files.open(path, perm == Permission::ReadWrite)?),
        };
        Ok(self.handle(path, kind))
    }
    fn delete<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        match &self.from {
            From::System(system) => system.delete(path),
            From::Door(files) => files.delete(path.as_ref()),
        }
    }
    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> io::Result<()> {
        match &self.from {
            From::System(system) => system.rename(from, to),
            From::Door(files) => files.rename(from.as_ref(), to.as_ref()),
        }
    }
    fn new_reader(&self, handle: Arc<AnyHandle>) -> io::Result<AnyFile> {
        let kind = match (&self.from, &handle.kind) {
            (From::System(system), HandleKind::System(handle)) => FileKind::System(system.new_reader(handle.clone())?),
            (_, HandleKind::Door(file)) => FileKind::Door { file: file.clone(), at: 0 },
            _ => return Err(io::Error::other("a handle of the system in a simulation")),
        };
        Ok(AnyFile { kind, misread: self.misread.clone() })
    }
    fn new_writer(&self, handle: Arc<AnyHandle>) -> io::Result<AnyFile> {
        // The engine's own readers and writers are one type, too.
        self.new_reader(handle)
    }
}

impl Handle for AnyHandle {
    /// The engine calls it only while it opens a log, for what it takes for a torn tail.
    fn truncate(&self, offset: usize) -> io::Result<()> {
        unless_misread(&self.misread)?;
        if !is_newest(&self.path)? {
            let name = self.path.file_name().unwrap_or_default().to_string_lossy();
            let why = format!("{name} is broken at byte {offset}, and newer files are behind it");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        match &self.kind {
            HandleKind::System(handle) => Handle::truncate(&**handle, offset),
            HandleKind::Door(file) => file.set_len(offset as u64),
        }
    }
    fn file_size(&self) -> io::Result<usize> {
        match &self.kind {
            HandleKind::System(handle) => Handle::file_size(&**handle),
            HandleKind::Door(file) => usize::try_from(file.len()?).map_err(io::Error::other),
        }
    }
    fn sync(&self) -> io::Result<()> {
        if fails(Point::LogBeforeSync) {
            return Err(io::Error::other("a fail point"));
        }
        match &self.kind {
            HandleKind::System(handle) => Handle::sync(&**handle),
            HandleKind::Door(file) => file.sync(),
        }
    }
}

impl Read for AnyFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.kind {
            FileKind::System(file) => file.read(buf),
            FileKind::Door { file, at } => file.read_at(*at, buf).inspect(|read| *at += *read as u64),
        };
        read.inspect_err(|e| {
            if e.kind() != io::ErrorKind::Interrupted {
                self.misread.get_or_init(|| e.to_string());
            }
        })
    }
}

impl Write for AnyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_misread(&self.misread)?;
        match &mut self.kind {
            FileKind::System(file) => file.write(bytes),
            FileKind::Door { file, at } => {
                file.write_at(*at, bytes)?;
                *at += bytes.len() as u64;
                Ok(bytes.len())
            }
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.kind {
            FileKind::System(file) => file.flush(),
            FileKind::Door { .. } => Ok(()),
        }
    }
}

impl Seek for AnyFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.kind {
            FileKind::System(file) => file.seek(to),
            FileKind::Door { file, at } => {
                let (from, by) = match to {
                    SeekFrom::Start(at) => (at, 0),
                    SeekFrom::Current(by) => (*at, by),
                    SeekFrom::End(by) => (file.len()?, by),
                };
                *at = from.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?;
                Ok(*at)
            }
        }
    }
}

impl WriteExt for AnyFile {
    fn truncate(&mut self, offset: usize) -> io::Result<()> {
        unless_misread(&self.misread)?;
        match &mut self.kind {
            FileKind::System(file) => WriteExt::truncate(file, offset),
            FileKind::Door { file, at } => {
                *at = offset as u64;
                file.set_len(*at)
            }
        }
    }
    fn allocate(&mut self, offset: usize, size: usize) -> io::Result<()> {
        match &mut self.kind {
            FileKind::System(file) => WriteExt::allocate(file, offset, size),
            // Room is a matter of the disk behind the door.
            FileKind::Door { .. } => Ok(()),
        }
    }
}
