//! Waiting for several things at once.
//!
//! The `futures` crate's combinators work as well; these are the few that most actors need, and small.

use core::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use crate::{prelude::*, time::poll_pinned};

/// Which of two was first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum First<L, R> {
    /// The left one.
    Left(L),
    /// The right one.
    Right(R),
}

/// The output of whichever is ready first; the other is dropped. If both are, it is the left one.
pub async fn race<L: Future, R: Future>(left: L, right: R) -> First<L::Output, R::Output> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(move |cx| {
        if let Poll::Ready(output) = left.as_mut().poll(cx) {
            return Poll::Ready(First::Left(output));
        }
        right.as_mut().poll(cx).map(First::Right)
    })
    .await
}

/// Both outputs.
pub async fn join<L: Future, R: Future>(left: L, right: R) -> (L::Output, R::Output) {
    let (mut left, mut right) = (pin!(left), pin!(right));
    let (mut left_done, mut right_done) = (None, None);
    poll_fn(move |cx| {
        if left_done.is_none()
            && let Poll::Ready(output) = left.as_mut().poll(cx)
        {
            left_done = Some(output);
        }
        if right_done.is_none()
            && let Poll::Ready(output) = right.as_mut().poll(cx)
        {
            right_done = Some(output);
        }
        match (left_done.take(), right_done.take()) {
            (Some(left), Some(right)) => Poll::Ready((left, right)),
            (left, right) => {
                (left_done, right_done) = (left, right);
                Poll::Pending
            }
        }
    })
    .await
}

/// Every output, in the order of the futures.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.into_iter().map(|future| Some(Box::pin(future))).collect();
    let mut outputs: Vec<Option<F::Output>> = waiting.iter().map(|_| None).collect();
    poll_fn(move |cx| {
        let mut all = true;
        for (future, output) in waiting.iter_mut().zip(&mut outputs) {
            match poll_pinned(future, cx) {
                Poll::Ready(Some(ready)) => *output = Some(ready),
                Poll::Ready(None) => {}
                Poll::Pending => all = false,
            }
        }
        if all { Poll::Ready(outputs.iter_mut().filter_map(Option::take).collect()) } else { Poll::Pending }
    })
    .await
}
