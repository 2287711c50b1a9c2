//! The realm service: names, nodes, modules. It answers those whose spawner granted the realm's handle.

use pando_abi::{ModuleHash, NodeId};

use crate::{Errno, prelude::*};

/// One node of the realm.
#[derive(Data, Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its number.
    pub number: u32,
    /// Can it be reached?
    pub up: bool,
    /// Does it count in quorums?
    pub voter: bool,
}

/// SPEC.md, section 13.
#[pando_macros::client]
trait Realm {
    fn register(name: String, who: Handle);
    fn unregister(name: String);
    #[query]
    fn lookup(name: String) -> Handle;
    #[query]
    fn names(prefix: String) -> Vec<String>;
    #[query]
    fn nodes() -> Vec<Node>;
    #[query]
    fn module(label: String) -> Vec<u8>;
}

fn realm() -> RealmRef {
    RealmRef::of(Handle::realm())
}

/// Gives an actor a name. The name gives others the rights that `who` has.
///
/// # Errors
/// `EXISTS` if another actor has it; `DENIED` without the share right on `who`, or without a realm.
pub async fn register(name: &str, who: &Handle) -> Result<()> {
    realm().register(name, who.clone()).await
}

/// Takes a name away.
///
/// # Errors
/// `NOT_FOUND`; `DENIED` without a realm.
pub async fn unregister(name: &str) -> Result<()> {
    realm().unregister(name).await
}

/// The actor that has the name: `let kv: KvRef = realm::lookup("settings").await?;`.
///
/// # Errors
/// `NOT_FOUND`; `DENIED` without a realm.
pub async fn lookup<C: Client>(name: &str) -> Result<C> {
    realm().lookup(name).await.map(C::of)
}

/// The actor that has the name, if any has.
///
/// # Errors
/// `DENIED` without a realm, and what keeps the realm from answering.
pub async fn whereis<C: Client>(name: &str) -> Result<Option<C>> {
    match lookup(name).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.errno() == Errno::NOT_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names that begin so, in order.
///
/// # Errors
/// `DENIED` without a realm, and what keeps the realm from answering.
pub async fn names(prefix: &str) -> Result<Vec<String>> {
    realm().names(prefix).await
}

/// The realm's nodes, in order of number.
///
/// # Errors
/// `DENIED` without a realm, and what keeps the realm from answering.
pub async fn nodes() -> Result<Vec<Node>> {
    realm().nodes().await
}

/// Numbers of the nodes that are up.
///
/// # Errors
/// As [`nodes`].
pub async fn nodes_up() -> Result<Vec<NodeId>> {
    Ok(nodes().await?.into_iter().filter(|node| node.up).map(|node| NodeId(node.number)).collect())
}

/// The hash of the module with this label, for [`crate::Spawn::module`].
///
/// # Errors
/// `NO_MODULE`; `DENIED` without a realm.
pub async fn module(label: &str) -> Result<ModuleHash> {
    let hash = realm().module(label).await?;
    let hash = <[u8; 32]>::try_from(hash.as_slice()).map_err(|_| Error::from(Errno::INTERNAL))?;
    Ok(ModuleHash(hash))
}
