//! Whom the commands ask: the realm, behind a trait, so that they are tested without one.

use std::{future::Future, pin::Pin, time::Duration};

use pando_abi::NodeId;
use pando_admin::{Client, ClientError, Replies, Reply, Request, SequenceKey};

/// A future in a box.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Asks the realm.
pub trait Ask: Send + Sync {
    /// Any node that is alive, or the one that is given.
    fn ask(&self, node: Option<NodeId>, request: Request, deadline: Duration) -> Boxed<'_, Result<Reply, ClientError>>;
    /// Answers that go on.
    fn follow(&self, node: Option<NodeId>, request: Request) -> Boxed<'_, Result<Box<dyn Answers>, ClientError>>;
    /// A key for one thing that must not happen twice.
    fn key(&self) -> SequenceKey;
    /// A node has gone: do not wait for it.
    fn forget(&self, node: NodeId) -> Boxed<'_, ()>;
}

/// Answers that go on.
pub trait Answers: Send {
    /// The next; `None` after the last.
    fn next(&mut self) -> Boxed<'_, Result<Option<Reply>, ClientError>>;
}

impl Ask for Client {
    fn ask(&self, node: Option<NodeId>, request: Request, deadline: Duration) -> Boxed<'_, Result<Reply, ClientError>> {
        Box::pin(async move {
            match node {
                Some(node) => Client::ask_node(self, node, request, deadline).await,
                None => Client::ask(self, request, deadline).await,
            }
        })
    }

    fn follow(&self, node: Option<NodeId>, request: Request) -> Boxed<'_, Result<Box<dyn Answers>, ClientError>> {
        Box::pin(async move {
            let replies = Client::follow(self, node, request).await?;
            Ok(Box::new(replies) as Box<dyn Answers>)
        })
    }

    fn key(&self) -> SequenceKey {
        self.next_key()
    }

    fn forget(&self, node: NodeId) -> Boxed<'_, ()> {
        Box::pin(Client::forget(self, node))
    }
}

impl Answers for Replies {
    fn next(&mut self) -> Boxed<'_, Result<Option<Reply>, ClientError>> {
        Box::pin(Replies::next(self))
    }
}
