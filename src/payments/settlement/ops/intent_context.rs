//! The context in which an intent is committed: gateway, time and lease.

use crate::payments::config::PaymentsConfig;
use crate::proto::payments::v1::Reason as PaymentsReason;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::payments::gateway::Gateway;
use mainstay_kernel::{
    app::App,
    breaker::Circuit,
    error::{Error, Reason, Result},
};

/// The gateway, the time and the lease with which an intent is committed.
#[derive(Debug, Clone)]
pub struct IntentContext {
    pub(crate) gateway: Arc<dyn Gateway>,
    pub(crate) now: DateTime<Utc>,
    /// How long the process that committed the intent may work on it.
    pub(crate) lease: TimeDelta,
}

impl IntentContext {
    /// Returns the context of this deployment.
    pub fn new(app: &App) -> Self {
        Self {
            gateway: app.part::<Arc<dyn Gateway>>().clone(),
            now: app.clock.now(),
            lease: app.config.section::<PaymentsConfig>().lease(),
        }
    }

    pub(crate) fn until(&self) -> DateTime<Utc> {
        self.now + self.lease
    }

    /// Returns an error for a gateway request of another gateway, because only that gateway knows it.
    pub(crate) fn check_gateway(&self, created_at: &str) -> Result<()> {
        if created_at == self.gateway.name() {
            return Ok(());
        }
        let now = self.gateway.name();
        Err(Error::with_message(
            PaymentsReason::GatewayChanged,
            format!("It was created at the gateway {created_at}; this server uses {now}."),
        ))
    }

    /// Returns an error if the circuit is open, so that no intent is committed that can't be carried out.
    pub(crate) fn check_circuit(&self) -> Result<()> {
        match self.gateway.circuit() {
            Circuit::Open => Err(Error::new(Reason::CircuitOpen).retry_after(std::time::Duration::from_secs(5))),
            Circuit::Closed | Circuit::HalfOpen => Ok(()),
        }
    }
}
