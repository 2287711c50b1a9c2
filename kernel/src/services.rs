//! The kernel's own native services, under ractor's supervision: few, long-lived, trusted.
//!
//! `peers` takes the transport's events, `hosting` keeps this node's groups as the root group wants them, `members`
//! keeps the transport's member set as the root group has it, `founding` founds the realm once, `seating` makes the voters of
//! the groups led here those that are wanted, `keeper`, where the root group is led, sees to it that what is wanted is on nodes
//! that are there, `moved` hears of actors that have moved to nodes that are gone. A service that panics
//! is started again; guests never run here.
//!
//! 1. A service holds nothing that is lost with it: its state is the kernel's.

mod founding;
mod hosting;
mod keeper;
mod members;
mod moved;
mod seating;

use std::sync::Arc;

use pando_transport::Events;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::{sync::Mutex, task::JoinHandle};

use crate::node::Kernel;

/// Which service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Peers,
    Hosting,
    Members,
    Founding,
    Seating,
    Keeper,
    Moved,
}

const ALL: [Kind; 7] =
    [Kind::Peers, Kind::Hosting, Kind::Members, Kind::Founding, Kind::Seating, Kind::Keeper, Kind::Moved];

/// What services are made of.
#[derive(Clone)]
pub(crate) struct Context {
    kernel: Arc<Kernel>,
    events: Arc<Mutex<Events>>,
}

impl Context {
    pub(crate) fn new(kernel: Arc<Kernel>, events: Events) -> Context {
        Context { kernel, events: Arc::new(Mutex::new(events)) }
    }

    async fn work(self, kind: Kind) {
        match kind {
            Kind::Peers => {
                // Held while this service lives, so that its successor takes over where it stopped.
                let mut events = self.events.lock().await;
                while let Some(event) = events.recv().await {
                    self.kernel.transport_event(event);
                }
            }
            Kind::Hosting => hosting::work(&self.kernel).await,
            Kind::Members => members::work(&self.kernel).await,
            Kind::Founding => founding::work(&self.kernel).await,
            Kind::Seating => seating::work(&self.kernel).await,
            Kind::Keeper => keeper::work(&self.kernel).await,
            Kind::Moved => moved::work(&self.kernel).await,
        }
    }
}

/// One service: its work in a task, its message the end of that task.
struct Service;

/// The task has ended.
struct Ended(Result<(), String>);

impl Actor for Service {
    type Msg = Ended;
    type State = JoinHandle<()>;
    type Arguments = (Kind, Context);

    async fn pre_start(
        &self,
        this: ActorRef<Ended>,
        (kind, context): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let work = tokio::spawn(context.work(kind));
        let stop = work.abort_handle();
        let watched = tokio::spawn(async move {
            let end = match work.await {
                Err(why) if why.is_panic() => Err(format!("{kind:?} panicked")),
                _ => Ok(()),
            };
            // The service may be stopped already.
            let _ = this.send_message(Ended(end));
        });
        // Stopping the service stops its work.
        Ok(tokio::spawn(async move {
            let _guard = AbortOnDrop(stop);
            let _ = watched.await;
        }))
    }

    async fn handle(
        &self,
        this: ActorRef<Ended>,
        Ended(end): Ended,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match end {
            Ok(()) => this.stop(None),
            Err(why) => return Err(why.into()),
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Ended>, state: &mut Self::State) -> Result<(), ActorProcessingErr> {
        state.abort();
        Ok(())
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts every service, and again what fails.
pub(crate) struct Supervisor;

pub(crate) struct Supervised {
    context: Context,
    running: Vec<(ractor::ActorId, Kind)>,
}

impl Supervised {
    async fn start(&mut self, kind: Kind, this: &ActorRef<()>) -> Result<(), ActorProcessingErr> {
        let (service, _) = Actor::spawn_linked(None, Service, (kind, self.context.clone()), this.get_cell()).await?;
        self.running.push((service.get_id(), kind));
        Ok(())
    }
}

impl Actor for Supervisor {
    type Msg = ();
    type State = Supervised;
    type Arguments = Context;

    async fn pre_start(&self, this: ActorRef<()>, context: Context) -> Result<Supervised, ActorProcessingErr> {
        let mut state = Supervised { context, running: Vec::new() };
        for kind in ALL {
            state.start(kind, &this).await?;
        }
        Ok(state)
    }

    async fn handle_supervisor_evt(
        &self,
        this: ActorRef<()>,
        event: SupervisionEvent,
        state: &mut Supervised,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(service, why) = event {
            let known = state.running.iter().position(|(id, _)| *id == service.get_id());
            if let Some((_, kind)) = known.map(|at| state.running.swap_remove(at)) {
                tracing::error!(service = ?kind, %why, "a kernel service failed and is started again");
                state.start(kind, &this).await?;
            }
        }
        Ok(())
    }
}
