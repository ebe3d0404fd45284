//! Events: what happened to a resource, published in the transaction of the change.
//!
//! The kinds of events are declared in the contract (`mainstay.policy.v1.module`), with qualified names such as
//! `orders.order.paid`. A module registers its listeners: handlers run as jobs that commit with the event,
//! subscribers run in the publishing transaction itself.

use std::future::ready;

use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, try_join_all};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    app::App,
    contract::Policies,
    database::{
        Connection, after_commit,
        pipeline::{Queued, queued},
    },
    error::{Error, Result},
    id::AccountId,
    queue::{self, Handler, Job},
};

/// A kind of event, as a type.
pub trait EventKind: 'static {
    /// The qualified name, as in the contract.
    const NAME: &'static str;
}

/// Defines kinds of events.
#[macro_export]
macro_rules! event_kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl $crate::events::EventKind for $name {
            const NAME: &'static str = $text;
        }
    )*};
}

/// An event about a resource. It contains only the resource's id and version: receivers read the resource through the
/// API, and so see its current state as far as they are authorized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The kind, by its qualified name.
    pub kind: std::borrow::Cow<'static, str>,
    /// The account that the resource belongs to.
    pub account: AccountId,
    /// The id of the resource.
    pub resource: Uuid,
    /// The resource's version after the event.
    pub version: i64,
}

impl Event {
    /// Makes an event.
    pub fn of<E: EventKind>(account: AccountId, resource: Uuid, version: i64) -> Self {
        Self::of_kind(E::NAME, account, resource, version)
    }

    /// Makes an event of a kind by its name.
    pub fn of_kind(kind: &'static str, account: AccountId, resource: Uuid, version: i64) -> Self {
        Self { kind: kind.into(), account, resource, version }
    }
}

/// Receives every event within the publishing transaction. It only reads and locks, and returns the statements that
/// write, which must be suitable for [`Work::queue`](crate::unit_of_work::Work::queue).
pub type Subscriber = for<'c> fn(&'c Connection, &'c [Event], DateTime<Utc>) -> BoxFuture<'c, Result<Option<Queued>>>;

/// Handles one event, as a job.
pub type Handle = for<'a> fn(&'a App, &'a Event) -> BoxFuture<'a, Result<()>>;

/// The handler that a module registered for a kind of event.
#[derive(Debug, Clone, Copy)]
pub struct HandlerEntry {
    /// The module.
    pub module: &'static str,
    /// The kind of event.
    pub kind: &'static str,
    /// The handler.
    pub handle: Handle,
}

#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) policies: &'static Policies,
    pub(crate) handlers: Vec<HandlerEntry>,
    pub(crate) subscribers: Vec<Subscriber>,
}

type Listening<'c> = BoxFuture<'c, Result<Option<Queued>>>;

/// Runs the statements of the listeners that read and lock, pipelined, and returns those that write.
pub(crate) async fn read(connection: &Connection, events: &[Event], now: DateTime<Utc>) -> Result<Vec<Queued>> {
    Ok(try_join_all(listen(connection, events, now)?).await?.into_iter().flatten().collect())
}

fn listen<'c>(connection: &'c Connection, events: &'c [Event], now: DateTime<Utc>) -> Result<Vec<Listening<'c>>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let listeners = after_commit::listeners::<Listeners>();
    let listeners = listeners.ok_or_else(|| Error::internal(anyhow::anyhow!("events outside a unit of work")))?;
    for Event { kind, .. } in events {
        // A listener could not ask for it by name. The first test that publishes it finds this; production need not fail.
        debug_assert!(listeners.policies.event(kind).is_some(), "{kind} is declared in no module.proto");
    }
    let jobs: Vec<_> = events.iter().flat_map(|event| HandleEvent::of(&listeners.handlers, event)).collect();
    let enqueue = (!jobs.is_empty())
        .then(|| queued(move |connection| Box::pin(async move { queue::enqueue_all(connection, &jobs).await })));
    let enqueue: Listening<'_> = Box::pin(ready(Ok(enqueue)));
    let subscribers = listeners.subscribers.iter().map(|subscriber| subscriber(connection, events, now));
    Ok(std::iter::once(enqueue).chain(subscribers).collect())
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HandleEvent {
    module: String,
    event: Event,
}

impl HandleEvent {
    fn of(handlers: &[HandlerEntry], event: &Event) -> impl Iterator<Item = Self> {
        let listening = handlers.iter().filter(|entry| entry.kind == event.kind);
        listening.map(|entry| Self { module: entry.module.to_owned(), event: event.clone() })
    }
}

impl Job for HandleEvent {
    const NAME: &'static str = "handle_event";
    const MAX_ATTEMPTS: i32 = 10;

    /// The same for the same event and module, so that an event published twice is handled once while the first waits.
    fn subject(&self) -> Uuid {
        let Event { kind, resource, version, .. } = &self.event;
        let hash = Sha256::new()
            .chain_update(&self.module)
            .chain_update([0])
            .chain_update(kind.as_bytes())
            .chain_update(resource)
            .chain_update(version.to_be_bytes())
            .finalize();
        Uuid::new_v8(hash[..16].try_into().expect("16 of 32 bytes"))
    }
}

impl Handler for HandleEvent {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        let listeners = app.database.listeners::<Listeners>();
        let mut handlers = listeners.iter().flat_map(|listeners| &listeners.handlers);
        let handler = handlers.find(|entry| entry.kind == self.event.kind && entry.module == self.module);
        let Some(entry) = handler else {
            // A module that was removed, or an event of a version that this one no longer knows.
            return Err(Error::internal(anyhow::anyhow!("{} does not handle {}", self.module, self.event.kind)));
        };
        (entry.handle)(app, &self.event).await
    }
}
