//! The readiness of this instance, and the state of its dependencies.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use diesel_async::SimpleAsyncConnection as _;
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::{app::App, ephemeral::Circuit, id::PaymentId, outbound};

/// Whether this instance is ready for requests.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Makes the instance ready for requests, or not, as load balancers see it.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    /// Whether the instance is ready.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The longest wait for the answer of a dependency.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reports the state of each dependency, and whether all are well. Takes a second at most.
///
/// If the gateway was unavailable and may be back, the report probes it, because an idle instance makes no other call
/// that would find out.
pub async fn report(app: &App) -> (bool, Value) {
    let ping = app.database.read(|connection| async move { Ok(connection.batch_execute("SELECT 1").await?) }.boxed());
    let (ping, ()) = tokio::join!(tokio::time::timeout(PATIENCE, ping), probe(app));
    let postgres = matches!(ping, Ok(Ok(())));
    let redis = app.ephemeral.state() == Circuit::Closed;
    let gateway = app.gateway.circuit() == outbound::Circuit::Closed;
    let mail = app.mail.circuit() == outbound::Circuit::Closed;
    let healthy = postgres && redis && gateway && mail;
    let word = |well: bool| if well { "ok" } else { "away" };
    let report = json!({
        "status": if healthy { "ok" } else { "degraded" },
        "version": env!("CARGO_PKG_VERSION"),
        "dependencies": {
            "postgres": word(postgres), "redis": word(redis), "gateway": word(gateway), "mail": word(mail),
        },
    });
    (healthy, report)
}

/// Looks up a payment that does not exist, if the gateway's circuit would let one call through. The circuit lets one
/// probe through at a time and waits longer after each failure, so repeated reports do not make the server probe more
/// often.
async fn probe(app: &App) {
    if app.gateway.circuit() != outbound::Circuit::HalfOpen {
        return;
    }
    let gateway = app.gateway.clone();
    // The probe continues in the background after the time limit: one that is aborted tells the circuit nothing.
    let asked = tokio::spawn(async move { gateway.find_charge(PaymentId(uuid::Uuid::nil())).await });
    tokio::time::timeout(PATIENCE, asked).await.ok();
}
