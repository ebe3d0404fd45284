//! One Postgres and one Redis for all tests, and the migrated template that each test's database is cloned from.

use std::{path::Path, process::Stdio};

use mainstay_dev_servers::{Options, Postgres, Redis, RedisOptions};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tokio_postgres::Client;

use super::sql::{connect, url_of};

/// The key that encrypts the signing keys of every test server; worthless elsewhere.
pub(crate) const SECRET_KEY: &str = "dGVzdHMgc2VhbCB0aGVpciBrZXlzIHdpdGggdGhpcyE=";

/// The addresses of the servers.
pub(crate) struct Servers {
    pub(crate) postgres_url: String,
    pub(crate) redis_url: String,
    /// Servers that the tests start unless the environment names others. They end with this process, even if it is
    /// killed.
    _own: (Option<Postgres>, Option<Redis>),
}

static SERVERS: OnceCell<Servers> = OnceCell::const_new();
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// The servers of this run: the ones that the environment names, else new ones.
pub(crate) async fn servers() -> &'static Servers {
    SERVERS.get_or_init(start).await
}

async fn start() -> Servers {
    let variable = |name| {
        #[expect(clippy::disallowed_methods, reason = "how `make test` passes the URLs of its servers")]
        std::env::var(name).ok()
    };
    let (mut postgres, mut redis) = (None, None);
    let postgres_url = match variable("MAINSTAY_TEST_DATABASE_URL") {
        Some(url) => url,
        None => {
            let own = Postgres::start(Options::in_memory()).await.expect("a throwaway Postgres");
            postgres.insert(own).url().to_owned()
        }
    };
    let redis_url = match variable("MAINSTAY_TEST_REDIS_URL") {
        Some(url) => url,
        None => redis.insert(Redis::start(RedisOptions::default()).await.expect("a throwaway Redis")).url(),
    };
    Servers { postgres_url, redis_url, _own: (postgres, redis) }
}

/// The name of the migrated template, created once per cluster and schema by the first process that needs it, over a
/// connection to the server.
pub(crate) async fn template(client: &Client) -> &'static str {
    TEMPLATE.get_or_init(|| make_template(client)).await
}

async fn make_template(client: &Client) -> String {
    let name = format!("mainstay_template_{}", schema_hash());
    let url = &servers().await.postgres_url;
    // Held until the connection ends, even if this process dies in between.
    client.execute("SELECT pg_advisory_lock(hashtext($1))", &[&name]).await.expect("the lock");
    let rows = client.query("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await.expect("the catalogue");
    if rows.is_empty() {
        let building = format!("{name}_building");
        let statement = format!("DROP DATABASE IF EXISTS {building} WITH (FORCE)");
        client.batch_execute(&statement).await.expect("dropping what an earlier run left");
        client.batch_execute(&format!("CREATE DATABASE {building}")).await.expect("creating the template");
        migrate(&url_of(url, &building)).await;
        // Writes Postgres' cache of the catalogs to a file, which each copy has: the first connection to it need not fill it.
        drop(connect(&url_of(url, &building)).await);
        // Renamed only when complete, so a template that exists is usable. Postgres waits for the end of that connection.
        let statement = format!("ALTER DATABASE {building} RENAME TO {name}");
        client.batch_execute(&statement).await.expect("naming the template");
    }
    // Copies of it are made concurrently.
    client.execute("SELECT pg_advisory_unlock(hashtext($1))", &[&name]).await.expect("the lock");
    name
}

/// Runs the real command, which also installs the job queue's schema.
pub(crate) async fn migrate(url: &str) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.arg("migrate").env("DATABASE_URL", url).env("SINGLE_INSTANCE", "true").env("SECRET_KEY", SECRET_KEY);
    command.env("DATABASE_POOL_WAIT", "5s");
    command.env("FILES_URL", format!("file://{}", std::env::temp_dir().join("mainstay-tests").display()));
    let output = command.stdin(Stdio::null()).output().await.expect("the binary runs");
    assert!(output.status.success(), "mainstay migrate: {}", String::from_utf8_lossy(&output.stderr));
}

fn schema_hash() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = ["crates/kernel/migrations", "migrations"]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("migrations"))
        .map(|entry| entry.expect("an entry").path().join("up.sql"))
        .collect();
    files.sort();
    // The lock file identifies the job queue's own migrations.
    files.push(root.join("Cargo.lock"));
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.to_string_lossy().as_bytes());
        hash.update(std::fs::read(&file).unwrap_or_default());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
