//! How a connection to Postgres is made and interrupted: plain, or TLS as `sslmode` asks.

use std::{
    str::FromStr as _,
    sync::{Arc, LazyLock},
    time::Duration,
};

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::AsyncPgConnection;
use tokio_postgres::{Config, NoTls, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
}

/// How a server is reached that may vanish without a word, behind a firewall or with its machine: such a connection is
/// noticed within 20 s whether it waits for an answer or for work, not after the quarter of an hour of the system's own
/// defaults. The pools find it broken then.
pub(super) fn config(url: &str) -> anyhow::Result<Config> {
    let mut config = Config::from_str(url)?;
    config.connect_timeout(Duration::from_millis(700));
    // Where the system has it: sent and not acknowledged.
    config.tcp_user_timeout(Duration::from_secs(10));
    config.keepalives_idle(Duration::from_secs(10)).keepalives_interval(Duration::from_secs(3)).keepalives_retries(3);
    Ok(config)
}

impl Connector {
    pub(super) fn new(url: &str, statement_timeout: Duration) -> anyhow::Result<Self> {
        let mut config = config(url)?;
        let options = config.get_options().unwrap_or_default();
        config.options(format!("{options} -c statement_timeout={} -c timezone=UTC", statement_timeout.as_millis()));
        config.application_name("mainstay");
        Ok(Self { config })
    }

    pub(super) async fn connect(self) -> ConnectionResult<AsyncPgConnection> {
        let failed = |error: tokio_postgres::Error| ConnectionError::BadConnection(error.to_string());
        if self.config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = self.config.connect(NoTls).await.map_err(failed)?;
            return AsyncPgConnection::try_from_client_and_connection(client, connection).await;
        }
        let (client, connection) = self.config.connect(tls()?).await.map_err(failed)?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await
    }
}

/// Certificates are checked against the system's roots, as `sslmode=verify-full` would. The roots are read once: they
/// are a hundred files.
pub(super) fn tls() -> ConnectionResult<MakeRustlsConnect> {
    static CONFIG: LazyLock<Result<rustls::ClientConfig, String>> = LazyLock::new(|| {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in rustls_native_certs::load_native_certs().certs {
            // A root the library can't read is one no server can use; the others still count.
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

/// Asks Postgres to stop the statement that runs on a connection. Best effort: it may have ended by itself.
pub(super) async fn cancel(connection: &AsyncPgConnection) {
    let token = connection.cancel_token();
    let cancelled = match tls() {
        Ok(tls) => tokio::time::timeout(Duration::from_secs(1), token.cancel_query(tls)).await,
        Err(_) => return,
    };
    if !matches!(cancelled, Ok(Ok(()))) {
        tracing::debug!("a statement could not be cancelled");
    }
}
