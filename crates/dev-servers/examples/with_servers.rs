//! Runs a command with a throwaway Postgres and Redis, which stop when it exits.
//!
//! ```text
//! cargo build -p mainstay-dev-servers --example with_servers
//! target/debug/examples/with_servers cargo nextest run
//! ```
//!
//! The command finds them in `MAINSTAY_TEST_DATABASE_URL` (as the superuser, database `mainstay`) and
//! `MAINSTAY_TEST_REDIS_URL`. A runner that starts a process per test would otherwise start both for each test. `TMPDIR` is a
//! directory of this run, so that nothing is left over, and users do not meet in one directory.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    process::{Command, ExitCode},
};

use anyhow::Context as _;
use mainstay_dev_servers::{Options, Postgres, Redis, RedisOptions};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().context("usage: with_servers COMMAND [ARGUMENT]...")?;
    let postgres = Postgres::start(Options::in_memory()).await?;
    let redis = Redis::start(RedisOptions::default()).await?;
    // As for /tmp: Postgres runs as another user where this is root, and removes its directory itself.
    let temporary = tempfile::tempdir()?;
    // Not at its creation, which the process's file mode mask restricts.
    std::fs::set_permissions(temporary.path(), Permissions::from_mode(0o1777))?;
    let mut command = Command::new(&program);
    command.args(words).env("TMPDIR", temporary.path());
    command.env("MAINSTAY_TEST_DATABASE_URL", postgres.url()).env("MAINSTAY_TEST_REDIS_URL", redis.url());
    let status = tokio::task::spawn_blocking(move || command.status()).await?;
    let status = status.with_context(|| format!("running {}", program.to_string_lossy()))?;
    redis.stop().await;
    postgres.stop().await;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
