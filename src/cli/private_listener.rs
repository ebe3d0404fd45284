//! The private listener, for health and metrics.

use std::{net::SocketAddr, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use mainstay_kernel::{
    app::App,
    http::{health::Readiness, listener as server, pages},
    module::Modules,
};

/// How long `close` waits for responses that are still being sent. It bounds the delay that a stalled reader causes.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum number of connections: enough for probes and a few scrapers. A further connection replaces the one that
/// has been idle the longest.
const MAX_CONNECTIONS: usize = 64;

/// The listener on `METRICS_LISTEN_ADDR`.
pub(crate) struct PrivateListener {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<bool>,
}

/// Binds `METRICS_LISTEN_ADDR`.
///
/// # Errors
/// The address cannot be bound, as while another process listens on it.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| {
        anyhow::anyhow!("Cannot listen on {address}: {error}; set METRICS_LISTEN_ADDR to another address")
    })
}

impl PrivateListener {
    /// Starts to serve.
    ///
    /// # Errors
    /// The listener has no local address.
    pub(crate) fn open(listener: TcpListener, app: &App, readiness: &Readiness) -> anyhow::Result<Self> {
        let pages = pages::private(Modules::of(app), app, readiness.clone());
        let stop = CancellationToken::new();
        let address = listener.local_addr()?;
        let bounds = server::Bounds {
            connections: MAX_CONNECTIONS,
            per_network: MAX_CONNECTIONS,
            drain: DRAIN_TIMEOUT,
            drain_delay: Duration::ZERO,
            ..server::Bounds::new(&app.config.server)
        };
        let server = server::serve(listener, None, pages::service(pages), bounds, stop.clone().cancelled_owned());
        Ok(Self { address, stop, task: tokio::spawn(server) })
    }

    /// Stops listening once the last response is sent. Called after the drain, which is observable on this listener.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        self.task.await.ok();
    }
}
