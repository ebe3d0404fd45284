//! Opens and interrupts connections to Postgres: plain, or TLS as `sslmode` demands.

mod failure;
mod last_failure;
mod server;
mod socket;
pub(super) mod sqlstate;

use std::{
    net::IpAddr,
    path::PathBuf,
    str::FromStr as _,
    sync::{Arc, OnceLock},
    time::Duration,
};

use diesel::{ConnectionError, ConnectionResult, QueryResult, deserialize::QueryableByName, sql_types::Text};
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use rand::seq::SliceRandom as _;
use tokio::net::UnixStream;
use tokio_postgres::{
    Client, Config, NoTls, SimpleQueryMessage,
    config::{LoadBalanceHosts, SslMode, SslNegotiation, TargetSessionAttrs},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use failure::Attempts;
pub use failure::ConnectFailure;
use last_failure::LastFailure;
use server::Server;
use socket::{BoxError, Negotiate};
use sqlstate::Coded;

use crate::telemetry::{
    statements::{self, Statements},
    traces,
};

/// How long Postgres waits for the next statement of a transaction before it ends the connection. No request lives as
/// long, and jobs make no call to a provider within a transaction.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(60);

/// The longest that it takes to connect, to all servers together: TLS, and to sign in.
const HANDSHAKE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) struct Connector {
    /// The hosts of the URL, or its one socket.
    servers: Arc<[Server]>,
    /// Whether to try them, and their addresses, in random order.
    shuffles: bool,
    config: Config,
    options: String,
    /// The TLS that the URL demands, which the connector negotiates itself, so that it sees every stream.
    ssl: (SslMode, SslNegotiation),
    tls: Arc<OnceLock<Result<rustls::ClientConfig, String>>>,
    last_failure: Arc<LastFailure>,
}

/// Returns the settings of a URL without its servers: the library would try them itself, and tell only why the last one
/// failed.
///
/// Adds time limits for a server that may vanish silently, behind a firewall or with its machine: such a connection is
/// detected within 20 s, whether it waits for an answer or is idle, rather than after the quarter of an hour of the system's
/// defaults. The pools then find it broken.
fn settings(url: &Config) -> Config {
    let mut config = Config::new();
    if let Some(user) = url.get_user() {
        config.user(user);
    }
    if let Some(password) = url.get_password() {
        config.password(password);
    }
    if let Some(name) = url.get_dbname() {
        config.dbname(name);
    }
    config.channel_binding(url.get_channel_binding()).target_session_attrs(url.get_target_session_attrs());
    config.connect_timeout(Duration::from_millis(700));
    // Bounds data that was sent and not acknowledged, on systems that support it.
    config.tcp_user_timeout(Duration::from_secs(10)).keepalives(url.get_keepalives());
    config.keepalives_idle(Duration::from_secs(10)).keepalives_interval(Duration::from_secs(3)).keepalives_retries(3);
    config
}

impl Connector {
    /// `name` is what `pg_stat_activity` calls the connections.
    pub(crate) fn new(url: &str, name: &str, statement_timeout: Duration) -> anyhow::Result<Self> {
        let url = Config::from_str(url)?;
        let servers: Arc<[_]> = Server::all(&url).into();
        let is_local = servers.iter().any(|server| server.socket().is_some());
        anyhow::ensure!(!is_local || servers.len() == 1, "DATABASE_URL must name either hosts or one socket");
        let mut config = settings(&url);
        // To the library every stream is one that a handshake made; a socket of the file system has none.
        match is_local {
            true => config.ssl_mode(SslMode::Disable),
            false => config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct),
        };
        let connector = Self {
            servers,
            shuffles: url.get_load_balance_hosts() == LoadBalanceHosts::Random,
            config,
            options: url.get_options().unwrap_or_default().to_owned(),
            ssl: (url.get_ssl_mode(), url.get_ssl_negotiation()),
            tls: Arc::default(),
            last_failure: Arc::default(),
        };
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

    /// Connects as this role, of which the user must be a member.
    pub(super) fn with_role(mut self, role: &str) -> Self {
        let options = format!("{} -c role={role}", self.config.get_options().unwrap_or_default());
        self.config.options(options);
        self
    }

    /// Reads tables by their indexes. A plan that Postgres made while a table was empty would scan the table, however large it
    /// has become, until the first ANALYZE.
    pub(super) fn without_scans(mut self) -> Self {
        let options = format!("{} -c enable_seqscan=off", self.config.get_options().unwrap_or_default());
        self.config.options(options);
        self
    }

    /// Of several hosts, connects to the one that accepts writes: the first that answers may be a standby, which would
    /// refuse every write for as long as the connection lives.
    pub(super) fn with_writes(mut self) -> Self {
        if self.servers.len() > 1 && self.config.get_target_session_attrs() == TargetSessionAttrs::Any {
            self.config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        self
    }

    pub(super) fn expect_loss(&self) {
        self.last_failure.expect_loss();
    }

    pub(super) fn last_failure(&self) -> Option<String> {
        self.last_failure.get()
    }

    pub(crate) fn database(&self) -> &str {
        self.config.get_dbname().or(self.config.get_user()).unwrap_or_default()
    }

    /// Opens a connection.
    /// Errors: names the servers, the database, what each server said, and the cure.
    pub(crate) async fn connect(self) -> Result<AsyncPgConnection, ConnectFailure> {
        let mut attempts = Attempts::default();
        // A server that hangs accepts connections too: its system does.
        let result = tokio::time::timeout(HANDSHAKE, self.open(&mut attempts)).await;
        let Some(mut connection) = result.ok().flatten() else {
            let failure = ConnectFailure::new(&self.servers, &self.config, attempts);
            self.last_failure.record(failure.to_string());
            return Err(failure);
        };
        self.last_failure.clear();
        if traces::is_active() {
            let backend_pid = statements::backend_pid(&mut connection).await;
            connection.set_instrumentation(Statements::new(backend_pid));
        }
        Ok(connection)
    }

    async fn open(&self, attempts: &mut Attempts) -> Option<AsyncPgConnection> {
        for server in self.in_turn(self.servers.to_vec()) {
            if let Some(connection) = self.open_server(&server, attempts).await {
                return Some(connection);
            }
        }
        None
    }

    async fn open_server(&self, server: &Server, attempts: &mut Attempts) -> Option<AsyncPgConnection> {
        attempts.begin(server.to_string());
        if let Some(path) = server.socket() {
            return attempts.record(self.open_socket(path).await);
        }
        let addresses = self.in_turn(attempts.record(server.addresses().await)?);
        for address in &addresses {
            if addresses.len() > 1 {
                attempts.begin(format!("{server} [{address}]"));
            }
            if let Some(connection) = attempts.record(self.open_address(server, *address).await) {
                return Some(connection);
            }
        }
        None
    }

    #[expect(clippy::disallowed_methods, reason = "spreads connections; nothing depends on which comes first")]
    fn in_turn<T>(&self, mut all: Vec<T>) -> Vec<T> {
        if self.shuffles {
            all.shuffle(&mut rand::rng());
        }
        all
    }

    async fn open_socket(&self, path: PathBuf) -> Result<AsyncPgConnection, BoxError> {
        let stream = Coded::new(UnixStream::connect(path).await?, self.last_failure.clone());
        let (client, connection) = self.config.connect_raw(stream, NoTls).await?;
        // Ends with the client or with Postgres, which the client notices.
        tokio::spawn(async move { connection.await.ok() });
        // Of a stream that it did not open, the library does not check this.
        let is_refused = match self.config.get_target_session_attrs() {
            TargetSessionAttrs::ReadWrite => is_read_only(&client).await?,
            TargetSessionAttrs::ReadOnly => !is_read_only(&client).await?,
            _ => false,
        };
        if is_refused {
            return Err("the server is not as target_session_attrs demands".into());
        }
        Ok(AsyncPgConnection::try_from(client).await?)
    }

    async fn open_address(&self, server: &Server, address: IpAddr) -> Result<AsyncPgConnection, BoxError> {
        let config = server.at(address, &self.config);
        let (client, connection) = config.connect(self.negotiate()?).await?;
        Ok(AsyncPgConnection::try_from_client_and_connection(client, connection).await?)
    }

    fn negotiate(&self) -> ConnectionResult<Negotiate> {
        let (mode, negotiation) = self.ssl;
        let tls = if mode == SslMode::Disable { None } else { Some(self.tls()?) };
        let (required, direct) = (mode == SslMode::Require, negotiation == SslNegotiation::Direct);
        Ok(Negotiate { tls, required, direct, failures: self.last_failure.clone() })
    }

    /// Returns the TLS configuration. The roots are read once, because they are about a hundred files.
    fn tls(&self) -> ConnectionResult<MakeRustlsConnect> {
        let config = self.tls.get_or_init(tls).clone();
        config.map(MakeRustlsConnect::new).map_err(ConnectionError::BadConnection)
    }

    /// Cancels the statement that runs on a connection. Best effort: the statement may have ended by itself, and the
    /// request may arrive after the next one has begun, so the connection must not be lent again.
    pub(crate) async fn cancel(&self, connection: &AsyncPgConnection) {
        let token = connection.cancel_token();
        let cancel = async {
            if let Some(path) = self.servers.first().and_then(Server::socket) {
                return Ok(token.cancel_query_raw(UnixStream::connect(path).await?, NoTls).await?);
            }
            anyhow::Ok(token.cancel_query(self.negotiate()?).await?)
        };
        if !matches!(tokio::time::timeout(Duration::from_secs(1), cancel).await, Ok(Ok(()))) {
            tracing::debug!("a statement could not be cancelled");
        }
    }
}

/// Returns whether a connection leads through a pooler, so that its next statement may run in another session: every connection of
/// this program sends the setting at its start, and poolers do not forward it.
pub(super) async fn leads_through_pooler(connection: &mut AsyncPgConnection) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Setting {
        #[diesel(sql_type = Text)]
        source: String,
    }
    const SQL: &str = "SELECT source FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'";
    // Not a method, because a trait with `first` in scope would hide that of the servers.
    let setting: Setting = diesel_async::RunQueryDsl::get_result(diesel::sql_query(SQL), connection).await?;
    Ok(setting.source != "client")
}

async fn is_read_only(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let answer = client.simple_query("SHOW transaction_read_only").await?;
    Ok(answer.iter().any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("on"))))
}

/// Returns the TLS configuration, which checks certificates against the system's roots, as `sslmode=verify-full` would.
fn tls() -> Result<rustls::ClientConfig, String> {
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
}
