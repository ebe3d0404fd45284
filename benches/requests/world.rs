//! Starts the servers and fills the database.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use base64::Engine as _;
use mainstay::proto::identity::v1::{LoginRequest, auth_service_client::AuthServiceClient};
use mainstay_dev_servers::{Options as PostgresOptions, Postgres, Redis, RedisOptions};
use tokio::process::Command;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::{
    calls::{PASSWORD, Target, WEBHOOK_SECRET},
    children::{Server, cpu_with_children, free_port},
    money,
    options::Options,
    posts,
    recording::APPLICATION,
};

const BINARY: &str = env!("CARGO_BIN_EXE_mainstay");
pub(crate) const EMAIL: &str = "bench@example.com";
/// Tickets to read; pgbench accepts at most 128 scripts.
const READ: usize = 100;

/// The running processes.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) bare: Server,
    pub(crate) careful: Server,
    pub(crate) peer: Server,
    pub(crate) target: Target,
    /// An admin's access token.
    pub(crate) token: String,
    pub(crate) sql: Client,
    pub(crate) postgres: Postgres,
    /// Ids that requests refer to and do not create.
    pub(crate) fixtures: Vec<Uuid>,
    redis: Redis,
    options: Options,
    /// Last, because the server uses it.
    data: tempfile::TempDir,
}

impl World {
    pub(crate) async fn open(options: &Options) -> anyhow::Result<Self> {
        let postgres = Postgres::start(durable()).await?;
        let redis = Redis::start(RedisOptions::default()).await?;
        let data = tempfile::tempdir()?;
        let port = free_port()?;
        let mainstay = || {
            let mut command = mainstay(&postgres, &redis, options, data.path());
            command.env("LISTEN_ADDR", format!("127.0.0.1:{port}"));
            command
        };
        once(mainstay().arg("migrate")).await?;
        once(mainstay().args(["users", "create-admin", EMAIL]).env("MAINSTAY_PASSWORD", PASSWORD)).await?;
        let mut config: tokio_postgres::Config = postgres.url().parse()?;
        let (sql, connection) = config.application_name(APPLICATION).connect(NoTls).await?;
        tokio::spawn(connection);
        let began = Instant::now();
        let account = seed(&sql, options.tickets(), options.orders()).await?;
        eprintln!("{} tickets seeded in {:.1?}", options.tickets(), began.elapsed());

        let mut serve = mainstay();
        serve.arg("serve");
        let server = Server::start(serve, port).await?;
        let bare = bare_server(&postgres, options, &[]).await?;
        let careful = bare_server(&postgres, options, &["--keys", &server.url(), "--redis", &redis.url()]).await?;
        let token = sign_in(&server, EMAIL).await?;
        let port = free_port()?;
        let peer = Server::start(peer(&postgres, &redis, options, &token, port)?, port).await?;
        let posts = posts::publish(&server, &token).await?;
        let same_password =
            "UPDATE users SET password_hash = (SELECT password_hash FROM users WHERE email = $1) WHERE email = $2";
        sql.execute(same_password, &[&EMAIL, &Target::email(0)]).await?;
        let member = format!("Bearer {}", sign_in(&server, &Target::email(0)).await?);
        let target = target(&sql, posts, account, member).await?;
        let rows = sql.query("SELECT id FROM users WHERE email = $1 UNION SELECT id FROM products", &[&EMAIL]).await?;
        let fixtures = rows.iter().map(|row| row.get(0)).chain([target.account]).collect();
        let options = options.clone();
        Ok(Self { server, bare, careful, peer, target, token, sql, postgres, fixtures, redis, options, data })
    }

    /// CPU time of all processes of Postgres so far; `None` where there is no /proc.
    pub(crate) fn postgres_cpu(&self) -> Option<Duration> {
        cpu_with_children(self.postgres.pid()?)
    }

    /// Starts a worker with this many slots.
    pub(crate) fn worker(&self, places: usize) -> anyhow::Result<Server> {
        let mut worker = mainstay(&self.postgres, &self.redis, &self.options, self.data.path());
        worker.arg("worker").env("JOBS_CONCURRENCY", places.to_string());
        Server::spawn(worker)
    }

    /// Starts another server beside [`World::server`], with additional variables.
    pub(crate) async fn another(&self, variables: &[(&str, &str)]) -> anyhow::Result<Server> {
        let port = free_port()?;
        let mut serve = mainstay(&self.postgres, &self.redis, &self.options, self.data.path());
        serve.arg("serve").env("LISTEN_ADDR", format!("127.0.0.1:{port}")).envs(variables.iter().copied());
        Server::start(serve, port).await
    }

    pub(crate) async fn close(self) {
        self.server.stop().await;
        self.bare.stop().await;
        self.careful.stop().await;
        self.peer.stop().await;
        self.redis.stop().await;
        self.postgres.stop().await;
    }
}

/// Postgres with the durability of production: a commit is on disk before it is acknowledged.
fn durable() -> PostgresOptions {
    PostgresOptions::temporary()
        .set("fsync", "on")
        .set("synchronous_commit", "on")
        .set("full_page_writes", "on")
        .set("max_wal_size", "8GB")
        .set("shared_buffers", "1GB")
        // Recordings read the log; Postgres logs statements only while a recording enables it.
        .set("logging_collector", "on")
        .set("log_destination", "jsonlog")
}

/// The limits are never reached: the bench measures the check, not rejections.
fn environment(postgres: &Postgres, redis: &Redis, options: &Options) -> Vec<(&'static str, String)> {
    let unreachable = || "1000000000/1m".to_owned();
    vec![
        ("METRICS_LISTEN_ADDR", "127.0.0.1:0".to_owned()),
        ("DATABASE_URL", postgres.url().to_owned()),
        ("REDIS_URL", redis.url()),
        ("FILES_URL", "file:///tmp/mainstay-bench-files".to_owned()),
        ("SECRET_KEY", base64::engine::general_purpose::STANDARD.encode([7; 32])),
        ("DATABASE_POOL_SIZE", options.pool.to_string()),
        ("ACCESS_TOKEN_TTL", "1d".to_owned()),
        ("RATE_LIMIT_ADDRESS", unreachable()),
        ("RATE_LIMIT_READ", unreachable()),
        ("RATE_LIMIT_WRITE", unreachable()),
        ("RATE_LIMIT_BULK", unreachable()),
        ("MAX_CONNECTIONS", "100000".to_owned()),
        ("WEBHOOK_SECRETS_STRIPE", WEBHOOK_SECRET.to_owned()),
        ("WEBHOOK_ALLOW_PRIVATE", "true".to_owned()),
        ("RUST_LOG", options.log.clone()),
        // The load uses all CPUs, so Redis may be scheduled late; that must not count as an outage.
        ("REDIS_TIMEOUT", "1s".to_owned()),
        // In production, jobs have their own worker.
        ("JOBS_IN_SERVE", "false".to_owned()),
    ]
}

/// The server binary, with its environment.
fn mainstay(postgres: &Postgres, redis: &Redis, options: &Options, data: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().envs(environment(postgres, redis, options)).env("MAINSTAY_DATA_DIR", data);
    command
}

/// Starts this program as the bare server.
async fn bare_server(postgres: &Postgres, options: &Options, more: &[&str]) -> anyhow::Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--bare", postgres.url(), "--port", &port.to_string(), "--pool", &options.pool.to_string()]);
    command.args(more);
    Server::start(command, port).await
}

/// Returns the peer, whose packages `scripts/bench` installs.
fn peer(postgres: &Postgres, redis: &Redis, options: &Options, token: &str, port: u16) -> anyhow::Result<Command> {
    #[expect(clippy::disallowed_methods, reason = "how the script that installs the packages says where")]
    let program = std::env::var("BENCH_PEER").context("BENCH_PEER is not set: run the bench with scripts/bench")?;
    let mut command = Command::new("node");
    command
        .arg(program)
        .env("NODE_ENV", "production")
        .env("DATABASE_URL", postgres.url())
        .env("REDIS_URL", redis.url());
    command.env("PORT", port.to_string()).env("POOL_SIZE", options.pool.to_string()).env("TOKEN", token);
    Ok(command)
}

/// Runs a command of the server binary to completion.
async fn once(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().await.context("running mainstay")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{:?} failed: {stderr}", command.as_std());
    Ok(())
}

/// Fills the database; returns the account in which the requests create resources.
async fn seed(sql: &Client, tickets: u32, orders: u32) -> anyhow::Result<Uuid> {
    sql.batch_execute(&format!("SET mainstay.tickets = {tickets}")).await?;
    sql.batch_execute(&format!("BEGIN; {} COMMIT", include_str!("seed.sql"))).await?;
    // As the scheduled task does, so that totals are read from folded counters.
    sql.batch_execute("SELECT fold_ticket_counts()").await?;
    let account = sql.query_one("SELECT id FROM accounts WHERE name = 'Account 7'", &[]).await?.get(0);
    money::seed(sql, account, orders).await?;
    sql.batch_execute(include_str!("../peer/peer.sql")).await?;
    sql.batch_execute("VACUUM ANALYZE").await?;
    sql.batch_execute("CHECKPOINT").await?;
    Ok(account)
}

async fn sign_in(server: &Server, email: &str) -> anyhow::Result<String> {
    let mut client = AuthServiceClient::connect(server.url()).await?;
    let request = LoginRequest { email: email.to_owned(), password: PASSWORD.to_owned(), ..LoginRequest::default() };
    let tokens = client.login(request).await?.into_inner().data.context("no tokens")?;
    Ok(tokens.access_token)
}

async fn target(sql: &Client, posts: Vec<String>, account: Uuid, member: String) -> anyhow::Result<Target> {
    let query = "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY created_at) AS n, count(*) OVER () AS all FROM tickets) AS t \
                 WHERE n % greatest(t.all / $1, 1) = 0 LIMIT $1";
    let rows = sql.query(query, &[&(READ as i64)]).await?;
    let tickets: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    Ok(Target { tickets, posts, account, member, charged: Arc::default() })
}
