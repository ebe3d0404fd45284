//! The terms of an intent: gateway, time and lease.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    app::App,
    error::{Error, Reason, Result},
    gateway::Gateway,
    outbound::Circuit,
};

/// The terms under which an intent is committed.
#[derive(Debug, Clone)]
pub struct Terms {
    pub(in crate::ops) gateway: Arc<dyn Gateway>,
    pub(in crate::ops) now: DateTime<Utc>,
    /// How long the process that committed the intent may work on it.
    pub(in crate::ops) lease: TimeDelta,
}

impl Terms {
    /// Returns this deployment's terms.
    pub fn of(app: &App) -> Self {
        Self { gateway: app.gateway.clone(), now: app.clock.now(), lease: app.config.payments.lease() }
    }

    pub(in crate::ops) fn until(&self) -> DateTime<Utc> {
        self.now + self.lease
    }

    /// Fails for an effect that was begun at another gateway, which only that gateway knows.
    pub(in crate::ops) fn check_gateway(&self, begun_at: &str) -> Result<()> {
        if begun_at == self.gateway.name() {
            return Ok(());
        }
        let now = self.gateway.name();
        Err(Error::rule(format!("It was created at the gateway {begun_at}; this server uses {now}.")))
    }

    /// Fails if the circuit is open, so that no intent is committed that can't be carried out.
    pub(in crate::ops) fn check_circuit(&self) -> Result<()> {
        match self.gateway.circuit() {
            Circuit::Open => Err(Error::new(Reason::CircuitOpen).retry_after(std::time::Duration::from_secs(5))),
            Circuit::Closed | Circuit::HalfOpen => Ok(()),
        }
    }
}
