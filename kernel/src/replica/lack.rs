//! What it means that a replica has not the module of an event.

use pando_abi::ModuleHash;

/// Why a replica has no module.
#[derive(Debug)]
pub enum NoModule {
    /// It cannot run replicated; so say all nodes.
    Unfit(String),
    /// This node has lost it.
    Absent(String),
}

/// What stands in the reason of a replica that has stopped because a module is not on its node.
pub const LACKS_MODULE: &str = "is missing, so this replica cannot go on";

/// What all replicas say alike about a module. One that only this node lacks must not become part of the state: this
/// replica stops, and says why.
pub(super) fn fit(hash: ModuleHash, why: NoModule) -> String {
    match why {
        NoModule::Unfit(why) => why,
        #[expect(clippy::panic, reason = "said above: only this replica stops")]
        NoModule::Absent(why) => panic!("module {hash:.8} {LACKS_MODULE}: {why}"),
    }
}
