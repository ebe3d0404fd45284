//! A listener for health and metrics alone, apart from the API.

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{app::App, health::Readiness, pages::Pages, telemetry};

/// Listens on METRICS_LISTEN_ADDR, if it is set, until `stop` is cancelled. Returns what resolves when the last answer is
/// sent.
///
/// # Errors
/// The address can't be listened on.
pub(super) async fn listen(
    app: &App,
    readiness: &Readiness,
    stop: CancellationToken,
) -> anyhow::Result<BoxFuture<'static, ()>> {
    // Also without a listener: what is counted is there when somebody asks.
    let pages = Pages { app: app.clone(), metrics: telemetry::metrics(), readiness: readiness.clone() };
    let Some(address) = app.config.server.metrics_listen else { return Ok(std::future::ready(()).boxed()) };
    let listener = TcpListener::bind(address).await;
    let listener =
        listener.map_err(|error| anyhow::anyhow!("METRICS_LISTEN_ADDR {address} can't be listened on: {error}"))?;
    let serving = axum::serve(listener, pages.probes()).with_graceful_shutdown(stop.cancelled_owned());
    let serving = tokio::spawn(async move { serving.await });
    Ok(serving.map(drop).boxed())
}
