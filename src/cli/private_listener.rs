//! The private listener, for health and metrics.

use std::{net::SocketAddr, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use mainstay_kernel::{
    app::App,
    http::{health::Readiness, listener as server, pages},
    module::Modules,
};

/// How long `close` waits for responses that are still being sent. A reader that stopped in the middle of one must not
/// hold up the shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Enough for probes and a few scrapers. A further connection takes the place of the one that is idle for longest.
const MAX_CONNECTIONS: usize = 64;

/// The listener on `METRICS_LISTEN_ADDR`.
pub(crate) struct PrivateListener {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<bool>,
}

impl PrivateListener {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub(crate) async fn open(app: &App, readiness: &Readiness) -> anyhow::Result<Self> {
        let pages = pages::private(Modules::of(app), app, readiness.clone());
        let stop = CancellationToken::new();
        let address = app.config.server.metrics_listen;
        let listener = TcpListener::bind(address).await;
        let listener =
            listener.map_err(|error| anyhow::anyhow!("METRICS_LISTEN_ADDR {address} can't be listened on: {error}"))?;
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

    /// Stops listening once the last response is sent. Called when the drain is over, which can be observed here.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        self.task.await.ok();
    }
}
