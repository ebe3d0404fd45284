//! The private listener, for health and metrics.

use std::{net::SocketAddr, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use mainstay_kernel::{
    app::App,
    http::{health::Readiness, pages},
    module::Modules,
};

/// How long `close` waits for responses that are still being sent.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The listener on `METRICS_LISTEN_ADDR`.
pub(crate) struct PrivateListener {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl PrivateListener {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub(crate) async fn open(app: &App, readiness: &Readiness) -> anyhow::Result<Self> {
        let pages = pages::private(Modules::installed(), app, readiness.clone());
        let stop = CancellationToken::new();
        let address = app.config.server.metrics_listen;
        let listener = TcpListener::bind(address).await;
        let listener =
            listener.map_err(|error| anyhow::anyhow!("METRICS_LISTEN_ADDR {address} can't be listened on: {error}"))?;
        let address = listener.local_addr()?;
        let server = axum::serve(listener, pages).with_graceful_shutdown(stop.clone().cancelled_owned());
        Ok(Self { address, stop, task: tokio::spawn(async move { server.await }) })
    }

    /// Stops listening once the last response is sent. Called when the drain is over, which can be observed here.
    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        // A reader that stopped in the middle of a response must not hold up the shutdown.
        if tokio::time::timeout(DRAIN_TIMEOUT, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}
