//! The log engine's files: the system's, as the engine itself opens them, or those of a [`Files`] door.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use raft_engine::env::{DefaultFileSystem, FileSystem, Handle, Permission, WriteExt};

use crate::files::{Files, OpenFile};

/// See the module.
pub(crate) enum EngineFiles {
    System(DefaultFileSystem),
    Door(Arc<dyn Files>),
}

type SystemHandle = <DefaultFileSystem as FileSystem>::Handle;
type SystemFile = <DefaultFileSystem as FileSystem>::Reader;

pub(crate) enum AnyHandle {
    System(Arc<SystemHandle>),
    Door(Arc<dyn OpenFile>),
}

/// A reader or a writer: a handle with a position.
pub(crate) enum AnyFile {
    System(SystemFile),
    Door { file: Arc<dyn OpenFile>, at: u64 },
}

impl FileSystem for EngineFiles {
    type Handle = AnyHandle;
    type Reader = AnyFile;
    type Writer = AnyFile;

    fn create<P: AsRef<Path>>(&self, path: P) -> io::Result<AnyHandle> {
        match self {
            EngineFiles::System(system) => Ok(AnyHandle::System(Arc::new(system.create(path)?))),
            EngineFiles::Door(files) => Ok(AnyHandle::Door(files.create(path.as_ref())?)),
        }
    }
    fn open<P: AsRef<Path>>(&self, path: P, perm: Permission) -> io::Result<AnyHandle> {
        match self {
            EngineFiles::System(system) => Ok(AnyHandle::System(Arc::new(system.open(path, perm)?))),
            EngineFiles::Door(files) => Ok(AnyHandle::Door(files.open(path.as_ref(), perm == Permission::ReadWrite)?)),
        }
    }
    fn delete<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        match self {
            EngineFiles::System(system) => system.delete(path),
            EngineFiles::Door(files) => files.delete(path.as_ref()),
        }
    }
    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> io::Result<()> {
        match self {
            EngineFiles::System(system) => system.rename(from, to),
            EngineFiles::Door(files) => files.rename(from.as_ref(), to.as_ref()),
        }
    }
    fn new_reader(&self, handle: Arc<AnyHandle>) -> io::Result<AnyFile> {
        match (self, &*handle) {
            (EngineFiles::System(system), AnyHandle::System(handle)) => {
                Ok(AnyFile::System(system.new_reader(handle.clone())?))
            }
            (_, AnyHandle::Door(file)) => Ok(AnyFile::Door { file: file.clone(), at: 0 }),
            _ => Err(io::Error::other("a handle of the system in a simulation")),
        }
    }
    fn new_writer(&self, handle: Arc<AnyHandle>) -> io::Result<AnyFile> {
        // The engine's own readers and writers are one type, too.
        self.new_reader(handle)
    }
}

impl Handle for AnyHandle {
    fn truncate(&self, offset: usize) -> io::Result<()> {
        match self {
            AnyHandle::System(handle) => Handle::truncate(&**handle, offset),
            AnyHandle::Door(file) => file.set_len(offset as u64),
        }
    }
    fn file_size(&self) -> io::Result<usize> {
        match self {
            AnyHandle::System(handle) => Handle::file_size(&**handle),
            AnyHandle::Door(file) => usize::try_from(file.len()?).map_err(io::Error::other),
        }
    }
    fn sync(&self) -> io::Result<()> {
        match self {
            AnyHandle::System(handle) => Handle::sync(&**handle),
            AnyHandle::Door(file) => file.sync(),
        }
    }
}

impl Read for AnyFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            AnyFile::System(file) => file.read(buf),
            AnyFile::Door { file, at } => {
                let read = file.read_at(*at, buf)?;
                *at += read as u64;
                Ok(read)
            }
        }
    }
}

impl Write for AnyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            AnyFile::System(file) => file.write(bytes),
            AnyFile::Door { file, at } => {
                file.write_at(*at, bytes)?;
                *at += bytes.len() as u64;
                Ok(bytes.len())
            }
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            AnyFile::System(file) => file.flush(),
            AnyFile::Door { .. } => Ok(()),
        }
    }
}

impl Seek for AnyFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            AnyFile::System(file) => file.seek(to),
            AnyFile::Door { file, at } => {
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
        match self {
            AnyFile::System(file) => WriteExt::truncate(file, offset),
            AnyFile::Door { file, at } => {
                *at = offset as u64;
                file.set_len(*at)
            }
        }
    }
    fn allocate(&mut self, offset: usize, size: usize) -> io::Result<()> {
        match self {
            AnyFile::System(file) => WriteExt::allocate(file, offset, size),
            // Room is a matter of the disk behind the door.
            AnyFile::Door { .. } => Ok(()),
        }
    }
}
