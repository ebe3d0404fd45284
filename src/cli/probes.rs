//! A listener for health and metrics alone, apart from the API.

use std::time::Duration;

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use mainstay_kernel::{
    app::App,
    http::{health::Readiness, pages::Pages},
    telemetry,
};

/// How long a response may take that is being sent at the end.
const LAST_RESPONSE: Duration = Duration::from_secs(2);

/// The listener on `METRICS_LISTEN_ADDR`, if that is set.
pub(crate) struct Probes {
    stop: CancellationToken,
    serving: Option<JoinHandle<std::io::Result<()>>>,
}

impl Probes {
    /// Starts to listen. Metrics are recorded from now on, with or without a listener.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub(crate) async fn open(app: &App, readiness: &Readiness) -> anyhow::Result<Self> {
        let pages = Pages { app: app.clone(), metrics: telemetry::metrics(), readiness: readiness.clone() };
        let stop = CancellationToken::new();
        let Some(address) = app.config.server.metrics_listen else { return Ok(Self { stop, serving: None }) };
        let listener = TcpListener::bind(address).await;
        let listener =
            listener.map_err(|error| anyhow::anyhow!("METRICS_LISTEN_ADDR {address} can't be listened on: {error}"))?;
        let serving = axum::serve(listener, pages.probes()).with_graceful_shutdown(stop.clone().cancelled_owned());
        Ok(Self { stop, serving: Some(tokio::spawn(async move { serving.await })) })
    }

    /// Stops listening once the last response is sent. Called when the drain is over, which can be observed here.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        if let Some(mut serving) = self.serving {
            // A reader that stopped in the middle of a response must not hold up the shutdown.
            if tokio::time::timeout(LAST_RESPONSE, &mut serving).await.is_err() {
                serving.abort();
            }
        }
    }
}
