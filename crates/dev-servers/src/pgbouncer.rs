//! A PgBouncer for tests, in front of a running Postgres.

use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio_postgres::config::Host;
use tokio_postgres::{Config, NoTls};

use crate::account::Account;
use crate::binaries::find_pgbouncer;
use crate::launch::free_port;
use crate::process::{ServerProcess, Spawn, StopSignals};
use crate::{Error, temporary_dir};

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_ATTEMPTS: u32 = 10;
/// PgBouncer keeps no state, and a graceful stop would wait for its clients.
const STOP_SIGNALS: StopSignals = StopSignals { graceful: Signal::SIGQUIT, forced: Signal::SIGKILL };

/// The administration database, which answers `SHOW POOLS` and similar commands.
const CONSOLE: &str = "pgbouncer";

/// A running PgBouncer; it ends when this value is dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct PgBouncer {
    server: Option<ServerProcess>,
    program: PathBuf,
    dir: PathBuf,
    user: String,
    port: u16,
}

impl PgBouncer {
    /// Starts PgBouncer on a free port in front of the Postgres of a URL, with all of its databases, and waits until it
    /// answers.
    ///
    /// `settings` are those of its section `[pgbouncer]`, such as `pool_mode`. Clients need no password, and all of
    /// them are the URL's user to Postgres. Started by root, PgBouncer runs as an unprivileged account, like Postgres.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] with installation instructions; [`Error::Failed`] when it does not start.
    pub async fn start(url: &str, settings: &[(&str, &str)]) -> Result<Self, Error> {
        let program = find_pgbouncer()?;
        let postgres = Config::from_str(url)?;
        let dir = temporary_dir("pgbouncer")?;
        let user = postgres.get_user().unwrap_or(CONSOLE).to_owned();
        let mut pgbouncer = Self { server: None, program, dir, user, port: 0 };
        let mut attempt = 1;
        loop {
            pgbouncer.port = free_port()?;
            let path = pgbouncer.settings_file();
            let text = pgbouncer.configuration(&postgres, settings)?;
            std::fs::write(&path, text).map_err(Error::io("writing", &path))?;
            match pgbouncer.launch().await {
                Err(Error::Failed { log, .. }) if attempt < MAX_ATTEMPTS && log.contains("in use") => attempt += 1,
                outcome => return outcome.map(|()| pgbouncer),
            }
        }
    }

    /// The connection URL of a database of Postgres, through the pool; the database `pgbouncer` is the console.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{}@127.0.0.1:{}/{database}?sslmode=disable", self.user, self.port)
    }

    /// The URL of the console, which answers `SHOW POOLS` and similar commands.
    #[must_use]
    pub fn console(&self) -> String {
        self.url(CONSOLE)
    }

    /// Stops PgBouncer, which breaks every connection through it, and starts it again on the same port, which is not
    /// reserved meanwhile.
    ///
    /// # Errors
    ///
    /// See [`PgBouncer::start`].
    pub async fn restart(&mut self) -> Result<(), Error> {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        self.launch().await
    }

    fn settings_file(&self) -> PathBuf {
        self.dir.join("pgbouncer.ini")
    }

    fn configuration(&self, postgres: &Config, settings: &[(&str, &str)]) -> Result<String, Error> {
        let host = postgres.get_hosts().iter().find_map(|host| match host {
            Host::Tcp(name) => Some(name.as_str()),
            Host::Unix(_) => None,
        });
        let port = postgres.get_ports().first().copied().unwrap_or(5432);
        let password = String::from_utf8_lossy(postgres.get_password().unwrap_or_default());
        let mut text = format!(
            "[databases]\n* = host={} port={port} user={} password={}\n\n[pgbouncer]\n",
            quote(host.unwrap_or("127.0.0.1")),
            quote(&self.user),
            quote(&password)
        );
        let port = self.port.to_string();
        // Started by root, PgBouncer drops its privileges after reading this file, which contains the password.
        let account = Account::for_cluster(&self.dir)?;
        let own = [
            ("listen_addr", "127.0.0.1"),
            ("listen_port", &port),
            ("unix_socket_dir", ""),
            ("auth_type", "any"),
            ("logfile", ""),
            ("pidfile", ""),
        ];
        let user = account.as_ref().map(|account| ("user", account.name()));
        for (name, value) in own.into_iter().chain(user).chain(settings.iter().copied()) {
            // Writing to a string can't fail.
            let _written = writeln!(text, "{name} = {value}");
        }
        Ok(text)
    }

    async fn launch(&mut self) -> Result<(), Error> {
        let path = self.dir.join("pgbouncer.log");
        let mut server = ServerProcess::start(Spawn {
            program: &self.program,
            args: vec![self.settings_file().to_string_lossy().into_owned()],
            language: None,
            account: None,
            log: File::create(&path).map_err(Error::io("creating", &path))?,
            stop_signals: STOP_SIGNALS,
            remove: Some(&self.dir),
        })?;
        let console = &self.console();
        let connect = || async move { tokio_postgres::connect(console, NoTls).await.ok().map(drop) };
        server.wait_until_ready("pgbouncer", &path, READY_TIMEOUT, connect).await?;
        self.server = Some(server);
        Ok(())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.server.take());
        // Undeletable files are left to the cleanup of the system's temporary directory.
        let _gone = std::fs::remove_dir_all(&self.dir);
    }
}

/// Quotes a value of a connection string in its configuration.
fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}
