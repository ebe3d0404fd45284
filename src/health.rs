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
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

use crate::{app::App, contract::policy, ephemeral::Circuit, id::PaymentId, outbound};

/// Whether this instance accepts requests, as `/readyz` and `grpc.health.v1` report it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    is_ready: Arc<AtomicBool>,
    reporter: HealthReporter,
}

impl Readiness {
    /// Makes balancers send requests, or stop to. Envoy checks health over gRPC, and so takes a draining instance out.
    pub async fn set(&self, ready: bool) {
        self.is_ready.store(ready, Ordering::Relaxed);
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        // The empty name is the server as a whole.
        self.reporter.set_service_status("", status).await;
        for service in policy::services() {
            self.reporter.set_service_status(service.full_name(), status).await;
        }
    }

    /// Whether this instance accepts requests.
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    /// The service `grpc.health.v1.Health`.
    pub fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }
}

/// The longest wait for the answer of a dependency.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reports the state of each dependency, and whether all are well. Takes a second at most.
///
/// If the gateway was unavailable and may be back, the report probes it, because an idle instance makes no other call
/// that would find out.
pub async fn report(app: &App) -> (bool, Value) {
    let ping =
        app.database.autocommit(|connection| async move { Ok(connection.batch_execute("SELECT 1").await?) }.boxed());
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
