//! The readiness of this instance, and the health of its dependencies.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use diesel_async::SimpleAsyncConnection as _;
use futures_util::{StreamExt, future::BoxFuture, stream, stream::BoxStream};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use tonic_health::{
    ServingStatus,
    pb::{
        HealthCheckRequest, HealthCheckResponse, health_check_response,
        health_server::{Health as HealthCalls, HealthServer},
    },
    server::{HealthReporter, HealthService},
};

use crate::{
    app::App,
    contract::Contract,
    database::{Connection, Database},
    error::{Error, Result},
};

/// Whether this instance accepts requests, as `/readyz` and `grpc.health.v1` report it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    is_ready: Arc<AtomicBool>,
    reporter: HealthReporter,
    services: Arc<[String]>,
    draining: CancellationToken,
}

impl Readiness {
    /// Creates the readiness of a server with the services of a contract, which is not ready yet.
    pub fn of(contract: &Contract) -> Self {
        Self {
            services: contract.services().map(|service| service.full_name().to_owned()).collect(),
            ..Self::default()
        }
    }

    /// Sets the readiness that load balancers see. Envoy checks it over gRPC, and stops using a draining instance.
    pub async fn set(&self, ready: bool) {
        self.is_ready.store(ready, Ordering::Relaxed);
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        // The empty name stands for the whole server.
        self.reporter.set_service_status("", status).await;
        for service in &*self.services {
            self.reporter.set_service_status(service, status).await;
        }
        if !ready {
            self.draining.cancel();
        }
    }

    /// Returns whether this instance accepts requests.
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    /// A token that is cancelled when this instance permanently stops accepting requests.
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// The service `grpc.health.v1.Health`.
    pub fn service(&self) -> HealthServer<impl HealthCalls + use<>> {
        HealthServer::new(PatientHealth(HealthService::from_health_reporter(self.reporter.clone())))
    }
}

/// tonic's service, except that a watch of an unknown service does not end: its client would call again at once. It
/// receives `SERVICE_UNKNOWN`, as health.proto demands. A contract gets no further services, so that this is final.
struct PatientHealth(HealthService);

#[tonic::async_trait]
impl HealthCalls for PatientHealth {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.0.check(request).await
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        match self.0.watch(request).await {
            Err(status) if status.code() == Code::NotFound => {
                let status = health_check_response::ServingStatus::ServiceUnknown.into();
                let unknown = stream::iter([Ok(HealthCheckResponse { status })]);
                Ok(Response::new(unknown.chain(stream::pending()).boxed()))
            }
            watch => watch.map(|response| response.map(StreamExt::boxed)),
        }
    }
}

const TIMEOUT: Duration = Duration::from_secs(1);

/// An external dependency in the health report.
#[derive(Debug, Clone, Copy)]
pub struct Dependency {
    /// The name in the report.
    pub name: &'static str,
    /// Returns whether it is available. A probe has a limit of one second, after which it continues in the background:
    /// an aborted probe would yield no verdict for a circuit breaker.
    pub is_available: fn(App) -> BoxFuture<'static, bool>,
}

const REUSE: Duration = Duration::from_secs(1);

/// The health of the dependencies. Clones share one report, which is refreshed at most once per second.
#[derive(Clone)]
pub struct Health {
    app: App,
    others: &'static [Dependency],
    last: Arc<Mutex<LastReport>>,
}

#[derive(Default)]
struct LastReport {
    report: Option<(Instant, Report)>,
    /// A dedicated connection: the report does not wait for the pool, nor requests for the report.
    postgres: Option<Connection>,
}

/// Whether all dependencies are available, and the state of each by name.
type Report = (bool, Value);

debug_fields!(Health);

impl Health {
    /// Reports on Postgres, Redis and these dependencies. Probes run on demand only.
    pub fn new(app: App, others: &'static [Dependency]) -> Self {
        Self { app, others, last: Arc::default() }
    }

    /// Reports the health of each dependency, and whether all are available, within a second.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if a probe panics.
    pub async fn report(&self) -> Result<(bool, Value)> {
        let mut last = self.last.clone().lock_owned().await;
        if let Some((_, report)) = last.report.as_ref().filter(|(at, _)| at.elapsed() < REUSE) {
            return Ok(report.clone());
        }
        let (app, others) = (self.app.clone(), self.others);
        // A cancelled request does not cancel the report, because others wait for it.
        let task = tokio::spawn(async move {
            let report = make(&app, others, &mut last.postgres).await;
            last.report = Some((Instant::now(), report.clone()));
            report
        });
        task.await.map_err(Error::internal)
    }
}

async fn make(app: &App, others: &[Dependency], postgres: &mut Option<Connection>) -> Report {
    let others = others.iter().map(|dependency| async {
        let probe = tokio::spawn((dependency.is_available)(app.clone()));
        let is_available = tokio::time::timeout(TIMEOUT, probe).await;
        (dependency.name, matches!(is_available, Ok(Ok(true))))
    });
    let postgres = async { tokio::time::timeout(TIMEOUT, ping(&app.database, postgres)).await.is_ok_and(|is| is) };
    let others = futures_util::future::join_all(others);
    let (postgres, redis, others) = tokio::join!(postgres, app.redis.is_available(), others);
    let mut dependencies = vec![("postgres", postgres), ("redis", redis)];
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

/// Pings Postgres over the report's connection, or over a new one if that is broken.
async fn ping(database: &Database, own: &mut Option<Connection>) -> bool {
    // The connection is taken out, so that it is dropped if the query is cancelled.
    if let Some(mut connection) = own.take()
        && connection.batch_execute("SELECT 1").await.is_ok()
    {
        *own = Some(connection);
        return true;
    }
    let Ok(mut connection) = database.dedicated().await else { return false };
    let answered = connection.batch_execute("SELECT 1").await.is_ok();
    *own = Some(connection).filter(|_| answered);
    answered
}
