//! The founding record of a realm: who was there at the first moment.
//!
//! Owns: the data folder's layout and the file `realm.toml`. Does not know: what the members became afterwards; that is
//! the root group's ([`crate::root`]).
//!
//! ```text
//! DATA/realm.toml      the record, for shells
//! DATA/user.key        the person's key, made at first boot on this machine
//! DATA/n1/realm.toml   the same record, for the node
//! DATA/n1/node.key     the node's key
//! DATA/n1/node.pid     while it runs
//! DATA/n1/node.begins  before it takes part for the first time
//! DATA/n1/node.log     what it said
//! DATA/n1/raft/ store/ cache/
//! ```
//!
//! 1. The realm's id is the BLAKE3 hash of the first founding members' numbers and keys: no two foundings share one. A realm
//!    that is restored from a backup keeps its id, on nodes with new numbers and keys.
//! 2. The record never changes after it is written, except for addresses, which are only where to knock first.
//! 3. The record of a node that was admitted later says so, and whom it was told of. Such a node founds nothing.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
};

use pando_abi::{NodeId, RealmId};
use pando_transport::{Identity, Member, MemberSet, PublicKey};
use serde::{Deserialize, Serialize};

/// The founding record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The realm.
    pub realm: RealmId,
    /// Its first nodes, or those that a node was told of when it was admitted, itself among them.
    pub nodes: Vec<Member>,
    /// Who may use the admin interface.
    pub users: Vec<PublicKey>,
    /// The node was admitted to a realm that ran already.
    pub joined: bool,
}

/// Why a founding record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// A file or folder.
    #[error("cannot use {path}: {source}; check that the folder exists and is yours, or choose another with --data")]
    Io {
        /// Where.
        path: PathBuf,
        /// What.
        source: io::Error,
    },
    /// The record is not one.
    #[error(
        "{path} is not a realm's record: {why}; restore it from another node's folder, or start anew with an empty --data folder"
    )]
    Malformed {
        /// Where.
        path: PathBuf,
        /// What.
        why: String,
    },
    /// There is a realm already.
    #[error("{0} holds a realm already; boot it with `pando up --data`, or choose an empty folder")]
    Exists(PathBuf),
}

#[derive(Serialize, Deserialize)]
struct File {
    realm: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    joined: bool,
    #[serde(default)]
    node: Vec<FileNode>,
    #[serde(default)]
    user: Vec<FileUser>,
}

#[derive(Serialize, Deserialize)]
struct FileNode {
    number: u32,
    key: String,
    addr: SocketAddr,
}

#[derive(Serialize, Deserialize)]
struct FileUser {
    key: String,
}

impl Genesis {
    /// Founds a realm of `count` nodes on loopback under `data`: keys, free UDP ports, the record in every folder.
    ///
    /// # Errors
    /// If `data` holds a realm already, or a file cannot be written.
    pub fn found(data: &Path, count: u32) -> Result<Genesis, GenesisError> {
        let (genesis, _) = Self::prepare(data, None, NodeId(1), count)?;
        genesis.complete(data)?;
        Ok(genesis)
    }

    /// Everything of a founding but the record in `data` that makes it one, and the person's key: keys, free UDP ports and
    /// folders of `count` nodes, numbered from `first` on. `realm`: one that was before, on other nodes.
    ///
    /// # Errors
    /// If `data` holds a realm already, or a file cannot be written.
    pub fn prepare(
        data: &Path,
        realm: Option<RealmId>,
        first: NodeId,
        count: u32,
    ) -> Result<(Genesis, [u8; 32]), GenesisError> {
        if Self::record_path(data).exists() {
            return Err(GenesisError::Exists(data.to_owned()));
        }
        Self::make_folder(data)?;
        let user = identity(&Self::user_key_path(data))?.public();
        // Held until all are chosen, so that no port is chosen twice.
        let mut sockets = Vec::new();
        let mut nodes = Vec::new();
        for number in (first.0..).take(count as usize) {
            let dir = Self::node_dir(data, NodeId(number));
            Self::make_folder(&dir)?;
            let key = identity(&dir.join("node.key"))?.public();
            let socket = free_port().map_err(at(&dir))?;
            let addr = socket.local_addr().map_err(at(&dir))?;
            sockets.push(socket);
            nodes.push(Member { node: NodeId(number), key, addr });
        }
        let mut hash = blake3::Hasher::new_derive_key("pando realm founding record 1");
        for member in &nodes {
            hash.update(&member.node.0.to_le_bytes());
            hash.update(&member.key.0);
        }
        let realm = realm.unwrap_or(RealmId(*hash.finalize().as_bytes()));
        Ok((Genesis { realm, nodes, users: vec![user], joined: false }, user.0))
    }

    /// Writes the record: first into every node's folder, then into `data`. Where that is, the founding is complete.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn complete(&self, data: &Path) -> Result<(), GenesisError> {
        for member in &self.nodes {
            self.write(&Self::record_path(&Self::node_dir(data, member.node)))?;
        }
        self.write(&Self::record_path(data))
    }

    /// Writes the record of a node that was admitted into its folder.
    ///
    /// # Errors
    /// If the folder has a record already, or it cannot be written.
    pub fn join(&self, dir: &Path) -> Result<(), GenesisError> {
        let record = Self::record_path(dir);
        if record.exists() {
            return Err(GenesisError::Exists(dir.to_owned()));
        }
        Self::make_folder(dir)?;
        self.write(&record)
    }

    /// The founders that vote in the root group from the first moment.
    pub fn seats(&self) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self.nodes.iter().map(|member| member.node).collect();
        nodes.sort_unstable();
        nodes.truncate(crate::root::SEATS_MAX);
        nodes
    }

    /// A folder for a realm or a node, that nobody else may look into: what actors know lies below it. One that is there
    /// already stays as it is.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make_folder(path: &Path) -> Result<(), GenesisError> {
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(path).map_err(at(path))
    }

    /// Reads the record in a node's folder or in the data folder.
    ///
    /// # Errors
    /// If it cannot be read, or is not a record.
    pub fn load(dir: &Path) -> Result<Genesis, GenesisError> {
        let path = Self::record_path(dir);
        let text = std::fs::read_to_string(&path).map_err(at(&path))?;
        let malformed = |why: String| GenesisError::Malformed { path: path.clone(), why };
        let file: File = toml::from_str(&text).map_err(|e| malformed(e.message().to_owned()))?;
        let key = |hex: &str| {
            pando_abi::ModuleHash::from_hex(hex)
                .map(|h| PublicKey(h.0))
                .ok_or_else(|| malformed(format!("`{hex}` is not a key of 64 hexadecimal digits")))
        };
        let realm = RealmId::from_hex(&file.realm)
            .ok_or_else(|| malformed(format!("`{}` is not a realm id of 64 hexadecimal digits", file.realm)))?;
        let mut nodes = Vec::new();
        for node in &file.node {
            if node.number == 0 {
                return Err(malformed("node numbers start at 1".into()));
            }
            nodes.push(Member { node: NodeId(node.number), key: key(&node.key)?, addr: node.addr });
        }
        let users = file.user.iter().map(|u| key(&u.key)).collect::<Result<_, _>>()?;
        Ok(Genesis { realm, nodes, users, joined: file.joined })
    }

    fn write(&self, path: &Path) -> Result<(), GenesisError> {
        let file = File {
            realm: self.realm.to_string(),
            joined: self.joined,
            node: self.nodes.iter().map(|m| FileNode { number: m.node.0, key: hex(&m.key), addr: m.addr }).collect(),
            user: self.users.iter().map(|k| FileUser { key: hex(k) }).collect(),
        };
        let text = toml::to_string(&file)
            .map_err(|e| GenesisError::Malformed { path: path.to_owned(), why: e.to_string() })?;
        let text = format!("# The record of a Pando realm. Written once; do not edit.\n{text}");
        let temporary = path.with_extension("new");
        std::fs::write(&temporary, text).map_err(at(&temporary))?;
        std::fs::rename(&temporary, path).map_err(at(path))
    }

    /// Who may connect at the first moment.
    pub fn member_set(&self) -> MemberSet {
        MemberSet { realm: self.realm, members: self.nodes.clone(), users: self.users.clone() }
    }

    /// Where a folder keeps the record.
    pub fn record_path(dir: &Path) -> PathBuf {
        dir.join("realm.toml")
    }

    /// Where a node of the realm in `data` keeps its own.
    pub fn node_dir(data: &Path, node: NodeId) -> PathBuf {
        data.join(node.to_string())
    }

    /// Where a node keeps its groups.
    pub fn log_dir(node_dir: &Path) -> PathBuf {
        node_dir.join("raft")
    }

    /// Where a node keeps what can be had again.
    pub fn store_dir(node_dir: &Path) -> PathBuf {
        node_dir.join("store")
    }

    /// Where the person's key is.
    pub fn user_key_path(data: &Path) -> PathBuf {
        data.join("user.key")
    }

    /// Where a node keeps the number of its beginning, until it has begun.
    pub fn life_path(node_dir: &Path) -> PathBuf {
        node_dir.join("node.begins")
    }

    /// Where a running node keeps its process id.
    pub fn pid_path(node_dir: &Path) -> PathBuf {
        node_dir.join("node.pid")
    }
}

/// A port of this machine that nobody has, and that the system gives to nobody while its node is down: below the ports
/// that it hands out by itself (from 32,768 on Linux, from 49,152 by RFC 6335).
///
/// # Errors
/// If there is none at all.
#[expect(
    clippy::disallowed_methods,
    reason = "before there is a realm: two nodes that are made at once should not try the same ports"
)]
pub fn free_port() -> io::Result<UdpSocket> {
    for _ in 0..64 {
        let drawn = getrandom::u32().map_err(|e| io::Error::other(e.to_string()))?;
        let port = 20_000 + (drawn % 12_000) as u16;
        if let Ok(socket) = UdpSocket::bind(("127.0.0.1", port)) {
            return Ok(socket);
        }
    }
    UdpSocket::bind("127.0.0.1:0")
}

fn hex(key: &PublicKey) -> String {
    pando_abi::ModuleHash(key.0).to_string()
}

fn identity(path: &Path) -> Result<Identity, GenesisError> {
    Identity::load_or_create(path).map_err(|e| GenesisError::Malformed { path: path.to_owned(), why: e.to_string() })
}

fn at(path: &Path) -> impl Fn(io::Error) -> GenesisError + '_ {
    move |source| GenesisError::Io { path: path.to_owned(), source }
}
