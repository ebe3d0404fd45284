//! Handlers of events, by provider and type.

use std::{collections::HashMap, fmt, sync::Arc};

use futures_util::future::BoxFuture;

use crate::webhooks::inbound_event::model::InboundEvent;
use mainstay_kernel::{error::Result, unit_of_work::Work};

/// Handles some types of events.
///
/// A handler runs in the transaction that marks the event as processed, so its effects and the mark commit together,
/// once. It makes no calls to other services (it queues jobs that do), and must accept events in any order, because
/// providers do not guarantee one.
pub trait InboundEventHandler: fmt::Debug + Send + Sync {
    /// The [name](super::InboundProvider::NAME) of the provider of the events.
    fn provider(&self) -> &'static str;

    /// The types of events, as the provider names them.
    fn kinds(&self) -> &[&'static str];

    /// Handles an event.
    ///
    /// # Errors
    /// Any error rolls back the handler's effects. A violated business rule means that the event can never be accepted,
    /// which makes it dead immediately; after any other error it is retried.
    fn handle<'c>(&'c self, work: &'c mut Work, event: &'c InboundEvent) -> BoxFuture<'c, Result<()>>;
}

type ByKind = HashMap<&'static str, Arc<dyn InboundEventHandler>>;

/// Handlers, by provider and type. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Handlers(Arc<HashMap<&'static str, ByKind>>);

impl Handlers {
    /// Indexes handlers by provider and type.
    ///
    /// # Errors
    /// An error if two handlers have the same type of event.
    pub fn new(all: impl IntoIterator<Item = Arc<dyn InboundEventHandler>>) -> Result<Self, String> {
        let mut handlers: HashMap<&'static str, ByKind> = HashMap::new();
        for handler in all {
            for kind in handler.kinds() {
                let other = handlers.entry(handler.provider()).or_default().insert(kind, handler.clone());
                if other.is_some() {
                    return Err(format!("two modules handle the inbound event {kind}: remove one of the handlers"));
                }
            }
        }
        Ok(Self(Arc::new(handlers)))
    }

    /// Checks that modules declare the providers of all handlers: no other event would ever be received.
    pub(crate) fn check_providers(self, declared: &[&str]) -> Result<Self, String> {
        let mut undeclared: Vec<_> = self.0.keys().filter(|name| !declared.contains(name)).collect();
        undeclared.sort_unstable();
        let fault = |name| {
            let declared = declared.join(", ");
            format!("a module handles events of the provider {name}, which no module declares, only {declared}")
        };
        undeclared.first().map_or(Ok(()), |name| Err(fault(name))).map(|()| self)
    }

    /// Returns the handler of an event.
    pub fn of(&self, event: &InboundEvent) -> Option<Arc<dyn InboundEventHandler>> {
        self.0.get(&*event.provider)?.get(event.kind.as_str()).cloned()
    }
}
