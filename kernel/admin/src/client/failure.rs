//! Why a request got no answer.
//!
//! 1. Each is one sentence; [`ClientError::mend`] is the next.

use std::time::Duration;

use pando_abi::{Errno, NodeId};

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No node of the realm could be reached.
    #[error("no node of the realm answers{}", tried.iter().map(|(node, why)| format!("; {node}: {why}")).collect::<String>())]
    NoNode {
        /// Each node, and what came of it.
        tried: Vec<(NodeId, String)>,
    },
    /// The one node that was asked could not be reached.
    #[error("{node} does not answer: {why}")]
    NodeDown {
        /// The node.
        node: NodeId,
        /// What came of it.
        why: String,
    },
    /// The realm's record has no such node.
    #[error("the realm has no node {node}")]
    UnknownNode {
        /// The node.
        node: NodeId,
        /// Those it has.
        known: Vec<NodeId>,
    },
    /// The node went while the answer was awaited, and no other could be asked.
    #[error("the connection to {node} was lost before the answer came ({why}); the request may have happened")]
    Lost {
        /// The node.
        node: NodeId,
        /// What came of it.
        why: String,
    },
    /// The deadline passed.
    #[error("no answer came within {} ms; the request may have happened", after.as_millis())]
    Timeout {
        /// The deadline.
        after: Duration,
    },
    /// The node answered, and the answer is no.
    #[error("{text}")]
    Refused {
        /// An [`Errno`]'s code.
        errno: u16,
        /// The sentence.
        text: String,
        /// What to do about it.
        mend: String,
    },
    /// The node's answer cannot be read.
    #[error("{node} answered in a way that cannot be read: {why}")]
    Malformed {
        /// The node.
        node: NodeId,
        /// What is wrong.
        why: String,
    },
}

impl ClientError {
    /// What to do about it; may be empty.
    pub fn mend(&self) -> String {
        match self {
            ClientError::NoNode { .. } => "start the realm with `pando up`".to_owned(),
            ClientError::NodeDown { node, .. } => {
                format!("start it with `pando start-node {node}`, or ask another node")
            }
            ClientError::UnknownNode { known, .. } => {
                let known: Vec<String> = known.iter().map(NodeId::to_string).collect();
                format!("it has {}", known.join(", "))
            }
            ClientError::Lost { .. } => "look with `pando nodes` who is up, and ask again".to_owned(),
            ClientError::Timeout { .. } => {
                "give it longer with --deadline, or look with `pando nodes` who is up".to_owned()
            }
            ClientError::Refused { mend, .. } => mend.clone(),
            ClientError::Malformed { .. } => "run the same version of pando on both sides".to_owned(),
        }
    }

    /// The code of the errno that is nearest.
    pub fn errno(&self) -> Errno {
        match self {
            ClientError::NoNode { .. } | ClientError::NodeDown { .. } | ClientError::Lost { .. } => Errno::UNREACHABLE,
            ClientError::UnknownNode { .. } => Errno::NOT_FOUND,
            ClientError::Timeout { .. } => Errno::TIMEOUT,
            ClientError::Refused { errno, .. } => Errno::from_code(*errno).unwrap_or(Errno::INTERNAL),
            ClientError::Malformed { .. } => Errno::INTERNAL,
        }
    }
}
