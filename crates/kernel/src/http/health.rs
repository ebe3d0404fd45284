//! The readiness of this instance, and the state of its dependencies.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use diesel_async::SimpleAsyncConnection as _;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

use crate::{app::App, breaker::Circuit, contract};

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
        for service in contract::current().services() {
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
const TIMEOUT: Duration = Duration::from_secs(1);

/// An external dependency in the health report.
#[derive(Debug, Clone, Copy)]
pub struct Dependency {
    /// The name in the report.
    pub name: &'static str,
    /// Whether it is available. It may probe the dependency, within a second; after that it continues in the background,
    /// because a probe that is aborted tells a circuit breaker nothing.
    pub is_available: fn(App) -> BoxFuture<'static, bool>,
}

/// Reports the state of each dependency, and whether all are available. Takes a second at most.
pub async fn report(app: &App) -> (bool, Value) {
    let ping = app.database.autocommit(async move |connection| Ok(connection.batch_execute("SELECT 1").await?));
    let others = app.part::<&[Dependency]>().iter().map(|dependency| async {
        let probe = tokio::spawn((dependency.is_available)(app.clone()));
        let is_available = tokio::time::timeout(TIMEOUT, probe).await;
        (dependency.name, matches!(is_available, Ok(Ok(true))))
    });
    let (ping, others) = tokio::join!(tokio::time::timeout(TIMEOUT, ping), futures_util::future::join_all(others));
    let mut dependencies =
        vec![("postgres", matches!(ping, Ok(Ok(())))), ("redis", app.redis.state() == Circuit::Closed)];
    dependencies.extend(others);
    let healthy = dependencies.iter().all(|(_, is_available)| *is_available);
    let word = |is_available: bool| Value::from(if is_available { "ok" } else { "unavailable" });
    let dependencies: Map<_, _> = dependencies.into_iter().map(|(name, is)| (name.to_owned(), word(is))).collect();
    let report = json!({
        "status": if healthy { "ok" } else { "degraded" },
        "version": env!("CARGO_PKG_VERSION"),
        "dependencies": dependencies,
    });
    (healthy, report)
}
