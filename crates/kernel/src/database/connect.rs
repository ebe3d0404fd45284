//! Opens and interrupts connections to Postgres: plain, or TLS as `sslmode` demands.

use std::{
    str::FromStr as _,
    sync::{Arc, LazyLock},
    time::Duration,
};

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::AsyncPgConnection;
use tokio_postgres::{Config, NoTls, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Config,
}

/// Parses a URL and adds time limits for a server that may vanish silently, behind a firewall or with its machine: such
/// a connection is detected within 20 s, whether it waits for an answer or is idle, rather than after the quarter of an
/// hour of the system's defaults. The pools then find it broken.
pub(crate) fn config(url: &str) -> anyhow::Result<Config> {
    let mut config = Config::from_str(url)?;
    config.connect_timeout(Duration::from_millis(700));
    // Bounds data that was sent and not acknowledged, on systems that support it.
    config.tcp_user_timeout(Duration::from_secs(10));
    config.keepalives_idle(Duration::from_secs(10)).keepalives_interval(Duration::from_secs(3)).keepalives_retries(3);
    Ok(config)
}

impl Connector {
    pub(crate) fn new(url: &str, statement_timeout: Duration) -> anyhow::Result<Self> {
        let mut config = config(url)?;
        let options = config.get_options().unwrap_or_default();
        config.options(format!("{options} -c statement_timeout={} -c timezone=UTC", statement_timeout.as_millis()));
        config.application_name("mainstay");
        Ok(Self { config })
    }

    pub(crate) async fn connect(self) -> ConnectionResult<AsyncPgConnection> {
        let failed = |error: tokio_postgres::Error| ConnectionError::BadConnection(error.to_string());
        if self.config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = self.config.connect(NoTls).await.map_err(failed)?;
            return AsyncPgConnection::try_from_client_and_connection(client, connection).await;
        }
        let (client, connection) = self.config.connect(tls()?).await.map_err(failed)?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await
    }
}

/// Returns the TLS configuration, which checks certificates against the system's roots, as `sslmode=verify-full` would.
/// The roots are read once, because they are about a hundred files.
pub(crate) fn tls() -> ConnectionResult<MakeRustlsConnect> {
    static CONFIG: LazyLock<Result<rustls::ClientConfig, String>> = LazyLock::new(|| {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in rustls_native_certs::load_native_certs().certs {
            // A root that the library can't parse could not verify any server; the others still count.
            roots.add(certificate).ok();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    });
    let config = CONFIG.as_ref().map_err(|error| ConnectionError::BadConnection(error.clone()))?;
    Ok(MakeRustlsConnect::new(config.clone()))
}

/// Cancels the statement that runs on a connection. Best effort: the statement may have ended by itself.
pub(crate) async fn cancel(connection: &AsyncPgConnection) {
    let token = connection.cancel_token();
    let cancelled = match tls() {
        Ok(tls) => tokio::time::timeout(Duration::from_secs(1), token.cancel_query(tls)).await,
        Err(_) => return,
    };
    if !matches!(cancelled, Ok(Ok(()))) {
        tracing::debug!("a statement could not be cancelled");
    }
}
