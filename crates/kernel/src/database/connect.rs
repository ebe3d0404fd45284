//! Opens and interrupts connections to Postgres: plain, or TLS as `sslmode` demands.

mod failure;
mod last_failure;
mod socket;
pub(super) mod sqlstate;

use std::{
    str::FromStr as _,
    sync::{Arc, LazyLock},
    time::Duration,
};

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use tokio_postgres::{
    Config, NoTls,
    config::{Host, SslMode, SslNegotiation, TargetSessionAttrs},
};
use tokio_postgres_rustls::MakeRustlsConnect;

pub use failure::ConnectFailure;
use last_failure::LastFailure;
use socket::Negotiate;
use sqlstate::Coded;

use crate::telemetry::{
    statements::{self, Statements},
    traces,
};

/// How long Postgres waits for the next statement of a transaction before it ends the connection. No request lives as
/// long, and jobs call nobody within a transaction.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(60);

/// The longest that it takes to connect: TLS, and to sign in.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Config,
    /// The options of the URL.
    options: String,
    /// The TLS that the URL demands, which the connector negotiates itself, so that it sees every stream.
    ssl: (SslMode, SslNegotiation),
    last_failure: Arc<LastFailure>,
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
    /// `name` is what `pg_stat_activity` calls the connections.
    pub(crate) fn new(url: &str, name: &str, statement_timeout: Duration) -> anyhow::Result<Self> {
        let mut config = config(url)?;
        let options = config.get_options().unwrap_or_default().to_owned();
        let ssl = (config.get_ssl_mode(), config.get_ssl_negotiation());
        // To the library every stream is one that a handshake made; a socket of the file system has none.
        match is_local(&config) {
            true => config.ssl_mode(SslMode::Disable),
            false => config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct),
        };
        anyhow::ensure!(
            config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)) == is_local(&config)),
            "DATABASE_URL can't name both hosts and sockets"
        );
        let connector = Self { config, options, ssl, last_failure: Arc::default() };
        Ok(connector.renamed(name, statement_timeout))
    }

    /// Connects to the same server under another name, with another time limit for statements.
    pub(super) fn renamed(&self, name: &str, statement_timeout: Duration) -> Self {
        let (options, timeout) = (&self.options, statement_timeout.as_millis());
        // A transaction whose server vanished with its machine, and so never ended, would keep its locks for hours.
        let idle = IDLE_IN_TRANSACTION.as_millis();
        // Postgres compiles a statement when its estimate of the cost is high, which takes it longer, up to 370 ms, than any
        // of ours runs.
        let options = format!(
            "{options} -c statement_timeout={timeout} -c idle_in_transaction_session_timeout={idle} -c timezone=UTC -c jit=off"
        );
        let mut connector = self.clone();
        connector.config.options(options).application_name(name);
        connector
    }

    /// Of several hosts, connects to the one that accepts writes: the first that answers may be a standby, which would
    /// refuse every write for as long as the connection lives.
    pub(super) fn with_writes(mut self) -> Self {
        if self.config.get_hosts().len() > 1 && self.config.get_target_session_attrs() == TargetSessionAttrs::Any {
            self.config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        self
    }

    /// Returns why the last attempt to connect failed; `None` if it did not.
    pub(super) fn last_failure(&self) -> Option<String> {
        self.last_failure.get()
    }

    /// Returns the name of the database; that of the user is Postgres' default.
    pub(crate) fn database(&self) -> &str {
        self.config.get_dbname().or(self.config.get_user()).unwrap_or_default()
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// Names the host, the database, the cause and its cure.
    pub(crate) async fn connect(self) -> Result<AsyncPgConnection, ConnectFailure> {
        // A server that hangs accepts connections too: its system does.
        let connected = tokio::time::timeout(HANDSHAKE, self.open()).await;
        let connected = connected.unwrap_or_else(|_| Err(ConnectFailure::no_answer(&self.config)));
        match &connected {
            Ok(_) => self.last_failure.clear(),
            Err(failure) => self.last_failure.note(failure),
        }
        let mut connection = connected?;
        if traces::is_active() {
            let backend_pid = statements::backend_pid(&mut connection).await;
            connection.set_instrumentation(Statements::new(backend_pid));
        }
        Ok(connection)
    }

    async fn open(&self) -> Result<AsyncPgConnection, ConnectFailure> {
        let failed = |error: tokio_postgres::Error| ConnectFailure::new(&self.config, &error);
        let unusable = |error: ConnectionError| ConnectFailure::new(&self.config, &error);
        if is_local(&self.config) {
            let stream = Coded::new(socket::local(&self.config).await.map_err(unusable)?);
            let (client, connection) = self.config.connect_raw(stream, NoTls).await.map_err(failed)?;
            // Ends with the client or with Postgres, which the client notices.
            tokio::spawn(async move { connection.await.ok() });
            return AsyncPgConnection::try_from(client).await.map_err(unusable);
        }
        let negotiate = self.negotiate().map_err(unusable)?;
        let (client, connection) = self.config.connect(negotiate).await.map_err(failed)?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await.map_err(unusable)
    }

    fn negotiate(&self) -> ConnectionResult<Negotiate> {
        let (mode, negotiation) = self.ssl;
        let tls = if mode == SslMode::Disable { None } else { Some(tls()?) };
        Ok(Negotiate { tls, required: mode == SslMode::Require, direct: negotiation == SslNegotiation::Direct })
    }

    /// Cancels the statement that runs on a connection. Best effort: the statement may have ended by itself, and the
    /// request may arrive after the next one has begun, so the connection must not be lent again.
    pub(crate) async fn cancel(&self, connection: &AsyncPgConnection) {
        let token = connection.cancel_token();
        let cancel = async {
            if is_local(&self.config) {
                return Ok(token.cancel_query_raw(socket::local(&self.config).await?, NoTls).await?);
            }
            anyhow::Ok(token.cancel_query(self.negotiate()?).await?)
        };
        if !matches!(tokio::time::timeout(Duration::from_secs(1), cancel).await, Ok(Ok(()))) {
            tracing::debug!("a statement could not be cancelled");
        }
    }
}

/// Returns whether Postgres is reached through a socket of the file system.
fn is_local(config: &Config) -> bool {
    matches!(config.get_hosts().first(), Some(Host::Unix(_)))
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
