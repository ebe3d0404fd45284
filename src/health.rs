//! Whether this instance is alive, wants requests, and has all its parts.

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

use crate::{app::App, ephemeral::Circuit, outbound};

/// Whether this instance wants requests.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Tells balancers to send requests, or to stop.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    /// Whether it does.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The state of every dependency, named, and whether all are well. Takes a second at most.
pub async fn report(app: &App) -> (bool, Value) {
    let ping = app.database.read(|connection| async move { Ok(connection.batch_execute("SELECT 1").await?) }.boxed());
    let postgres = matches!(tokio::time::timeout(Duration::from_secs(1), ping).await, Ok(Ok(())));
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
