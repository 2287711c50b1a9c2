//! `pando restore`: a realm out of a backup, in an empty folder.
//!
//! 1. Nothing is made before the whole backup was read and found right.
//! 2. What could not be finished is taken away again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pando_abi::{ActorId, ModuleHash, RealmId};
use pando_kernel::{Genesis, Restore};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::{
    archive::{self, Manifest, Part},
    cli::RestoreArgs,
    failure::{Failure, io},
    outcome::Outcome,
    up::Progress,
};

const NODES_DEFAULT: u32 = 3;

/// A folder that is emptied again unless it became a realm.
struct Folder<'a> {
    path: &'a Path,
    made: bool,
    done: bool,
}

impl Folder<'_> {
    fn take(path: &Path) -> Result<Folder<'_>, Failure> {
        let mend = "use the folder's owner, or choose another with --data";
        let made = match fs::read_dir(path) {
            Ok(mut entries) => match entries.next() {
                None => false,
                Some(_) => {
                    let text = format!("{} is not empty", path.display());
                    return Err(Failure::new(text, "choose another folder with --data, or move what is in it away"));
                }
            },
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => true,
            Err(e) => return Err(io("look into", path, &e, mend)),
        };
        Ok(Folder { path, made, done: false })
    }
}

impl Drop for Folder<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let Ok(entries) = fs::read_dir(self.path) else { return };
        let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        for path in paths {
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
        if self.made {
            let _ = fs::remove_dir(self.path);
        }
    }
}

/// Makes a realm in `data` of a backup.
pub fn restore(
    runtime: &Runtime,
    data: &Path,
    args: &RestoreArgs,
    progress: &mut Progress<'_>,
) -> Result<Outcome, Failure> {
    let mut folder = Folder::take(data)?;
    progress(Some("reading the backup"));
    let manifest = archive::check(&args.file)?;
    let realm = RealmId::from_hex(&manifest.realm).ok_or_else(|| {
        Failure::new("the backup does not say of which realm it is", "restore from another copy of it")
    })?;
    let (genesis, groups, modules) = lay(runtime, data, args, realm, progress)?;
    folder.done = true;
    progress(None);
    Ok(told(data, &manifest, &genesis, groups, modules))
}

fn lay(
    runtime: &Runtime,
    data: &Path,
    args: &RestoreArgs,
    realm: RealmId,
    progress: &mut Progress<'_>,
) -> Result<(Genesis, usize, usize), Failure> {
    let mut restoring: Option<Restore> = None;
    let (mut groups, mut modules) = (0, 0);
    archive::parts(&args.file, |part, bytes| {
        let bytes = bytes.into();
        match (part, &restoring) {
            (Part::Root, None) => {
                let count = args.nodes.unwrap_or(NODES_DEFAULT);
                restoring = Some(runtime.block_on(Restore::begin(data, realm, &bytes, count)).map_err(failed)?);
            }
            (Part::Group(id), Some(restore)) => {
                groups += usize::from(runtime.block_on(restore.group(ActorId(id), &bytes)).map_err(failed)?);
                progress(Some(&format!("{groups} groups")));
            }
            (Part::Module(hash), Some(restore)) => {
                restore.module(ModuleHash(hash), &bytes).map_err(failed)?;
                modules += 1;
            }
            _ => return Err(Failure::new("the backup does not begin with the realm's own state", "make another one")),
        }
        Ok(())
    })?;
    let restore = restoring.ok_or_else(|| Failure::new("the backup is empty", "restore from another one"))?;
    let genesis = runtime.block_on(restore.finish()).map_err(failed)?;
    Ok((genesis, groups, modules))
}

fn failed(error: pando_kernel::RestoreError) -> Failure {
    match error {
        pando_kernel::RestoreError::Genesis(error) => error.into(),
        error => Failure::told(&error),
    }
}

fn told(data: &Path, manifest: &Manifest, genesis: &Genesis, groups: usize, modules: usize) -> Outcome {
    let nodes: Vec<String> = genesis.nodes.iter().map(|member| member.node.to_string()).collect();
    let text = format!(
        "realm {:.8} is restored in {}: {groups} groups, {modules} modules, on {}\n`pando up --data {}` starts it. Stop the realm that the backup was made of, if it runs still: this is another life of it",
        manifest.realm,
        data.display(),
        nodes.join(" "),
        data.display()
    );
    let json = json!({
        "realm": manifest.realm, "data": data.display().to_string(), "taken": manifest.taken,
        "nodes": nodes, "groups": groups, "modules": modules,
    });
    Outcome::done(text, json)
}
