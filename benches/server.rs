//! A dedicated server for a bench: the program as it is deployed, with limits that no caller reaches.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use base64::Engine as _;
use mainstay::proto::identity::v1::{
    CreateServiceKeyRequest, LoginRequest, auth_service_client::AuthServiceClient,
    service_key_service_client::ServiceKeyServiceClient,
};
use mainstay_dev_servers::{Options, Postgres, Redis, RedisOptions};
use tokio::process::{Child, Command};
use tonic::{Request, transport::Channel};

const EMAIL: &str = "bench@example.com";
const PASSWORD: &str = "measure twice, cut once";

/// A server with an admin.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) postgres: Postgres,
    process: Child,
    redis: Redis,
    _data: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let (postgres, redis) =
            (Postgres::start(Options::temporary()).await?, Redis::start(RedisOptions::default()).await?);
        let data = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mainstay = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
            command.env_clear().env("DATABASE_URL", postgres.url()).env("REDIS_URL", redis.url());
            command.env("MAINSTAY_DATA_DIR", data.path()).env("FILES_URL", "file:///tmp/mainstay-bench-files");
            command.env("SECRET_KEY", base64::engine::general_purpose::STANDARD.encode([7; 32]));
            command.env("LISTEN_ADDR", format!("127.0.0.1:{port}")).env("METRICS_LISTEN_ADDR", "127.0.0.1:0");
            command.env("JOBS_IN_SERVE", "false").env("RUST_LOG", "warn").env("RATE_LIMIT_ADDRESS", "1000000000/1m");
            for class in ["READ", "WRITE"] {
                command.env(format!("RATE_LIMIT_{class}"), "1000000000/1m");
            }
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
            command
        };
        anyhow::ensure!(mainstay().arg("migrate").status().await?.success(), "migrate");
        let mut admin = mainstay();
        admin.args(["users", "create-admin", EMAIL]).env("MAINSTAY_PASSWORD", PASSWORD);
        anyhow::ensure!(admin.status().await?.success(), "create-admin");
        let process = mainstay().arg("serve").spawn()?;
        Ok(Self { url: format!("http://127.0.0.1:{port}"), postgres, process, redis, _data: data })
    }

    /// Connects, once the server listens.
    pub(crate) async fn connect(&self) -> anyhow::Result<Channel> {
        let began = Instant::now();
        loop {
            match Channel::from_shared(self.url.clone())?.connect().await {
                Ok(channel) => return Ok(channel),
                Err(error) if began.elapsed() > Duration::from_secs(60) => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Returns the access token of the admin, and the id of its account.
    pub(crate) async fn sign_in(&self, channel: &Channel) -> anyhow::Result<(String, String)> {
        let request =
            LoginRequest { email: EMAIL.to_owned(), password: PASSWORD.to_owned(), ..LoginRequest::default() };
        let tokens =
            AuthServiceClient::new(channel.clone()).login(request).await?.into_inner().data.context("tokens")?;
        let (sql, connection) = tokio_postgres::connect(self.postgres.url(), tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        let account = "SELECT account_id::text FROM members JOIN users ON users.id = user_id WHERE email = $1";
        let account = sql.query_one(account, &[&EMAIL]).await?.get(0);
        Ok((tokens.access_token, account))
    }

    /// The process id.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.process.id().context("it runs")
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("its memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
    }

    pub(crate) async fn stop(self) {
        drop(self.process);
        self.redis.stop().await;
        self.postgres.stop().await;
    }
}

/// Creates keys that may read tickets.
pub(crate) async fn service_keys(channel: &Channel, token: &str, count: usize) -> anyhow::Result<Vec<String>> {
    let mut keys = Vec::new();
    for number in 0..count {
        let (name, scopes) = (format!("bench {number}"), vec!["support.tickets.read".to_owned()]);
        let request = CreateServiceKeyRequest { name, scopes, ..CreateServiceKeyRequest::default() };
        let mut client = ServiceKeyServiceClient::new(channel.clone());
        keys.push(client.create_service_key(authorize(request, token)?).await?.into_inner().secret);
    }
    Ok(keys)
}

/// Makes a request with a caller's token or service key.
///
/// # Errors
/// An error if `credential` can't be a header value.
pub(crate) fn authorize<T>(message: T, credential: &str) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {credential}").parse()?);
    Ok(request)
}
