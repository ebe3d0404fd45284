//! Who waits for which kind of event.

use std::{collections::HashMap, fmt, sync::Arc};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use super::stripe;
use crate::{
    domain::inbound_event::{InboundEvent, Provider},
    error::Result,
    store::Connection,
};

/// What some kinds of events mean here.
///
/// It works in the transaction that marks the event as processed, so what it did and the mark commit together, once.
/// It makes no calls of its own (it adds jobs that do), and it bears events in any order: providers promise none.
pub trait Handler: fmt::Debug + Send + Sync {
    /// Whose events they are.
    fn provider(&self) -> Provider;

    /// The kinds, in the provider's words.
    fn kinds(&self) -> &[&'static str];

    /// Does what the event means.
    ///
    /// # Errors
    /// What keeps it from that; nothing is done then. `BUSINESS_RULE_VIOLATION` says that the event can't be taken at
    /// all, which makes it dead at once; after anything else it is tried again some time.
    fn handle<'c>(
        &'c self,
        connection: &'c mut Connection,
        event: &'c InboundEvent,
        now: DateTime<Utc>,
    ) -> BoxFuture<'c, Result<()>>;
}

/// Every handler there is.
pub fn all() -> Handlers {
    let all: [Arc<dyn Handler>; 2] = [Arc::new(stripe::Payments), Arc::new(stripe::Subscriptions)];
    Handlers::new(all)
}

type ByKind = HashMap<(Provider, &'static str), Arc<dyn Handler>>;

/// All of them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Handlers(Arc<ByKind>);

impl Handlers {
    /// The handlers of a house.
    ///
    /// # Panics
    /// When two wait for one kind, which is a mistake in this program.
    pub fn new(all: impl IntoIterator<Item = Arc<dyn Handler>>) -> Self {
        let mut found = HashMap::new();
        for handler in all {
            for kind in handler.kinds() {
                let other = found.insert((handler.provider(), *kind), handler.clone());
                assert!(other.is_none(), "two wait for {kind}");
            }
        }
        Self(Arc::new(found))
    }

    /// Whoever waits for the event.
    pub fn of(&self, event: &InboundEvent) -> Option<Arc<dyn Handler>> {
        // The key's text lives as long as the program; that of the event does not.
        let found = self.0.iter().find(|((provider, kind), _)| *provider == event.provider && *kind == event.kind);
        found.map(|(_, handler)| handler.clone())
    }
}
