//! A private Postgres, from start to stop.

use std::fmt;
use std::path::PathBuf;

use tokio_postgres::NoTls;

use crate::binaries::PostgresBinaries;
use crate::cluster_dir::ClusterDir;
use crate::launch::{launch, url};
use crate::process::{FreezeGuard, ServerProcess};
use crate::{Error, memory_dir, temporary_dir, temporary_dir_in};

/// The database that [`Postgres::url`] names.
const DATABASE: &str = "mainstay";

/// A throwaway cluster need not survive a power failure, and all tests of a run share its connections.
const TEMPORARY_SETTINGS: [(&str, &str); 7] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("autovacuum_naptime", "60s"),
    ("max_wal_size", "512MB"),
    ("max_connections", "400"),
    ("shared_buffers", "256MB"),
];

/// The free memory that a cluster in memory needs at its start, in bytes: its log has up to half a gigabyte, and each
/// database of a test some ten megabytes.
const MEMORY_ROOM: u64 = 4 << 30;

/// The location and the settings of a cluster.
#[derive(Debug, Clone)]
pub struct Options {
    location: Location,
    settings: Vec<(String, String)>,
    language: Option<String>,
}

/// The location of a cluster's files.
#[derive(Debug, Clone)]
enum Location {
    Persistent(PathBuf),
    /// Below the system's temporary directory.
    Temporary,
    /// Below a file system in memory; without enough room, the same as `Temporary`.
    Memory,
}

impl Options {
    /// A cluster in `dir`, which is created if necessary and should hold nothing else. Its data survives a restart, and
    /// a commit survives a power failure.
    pub fn persistent(dir: impl Into<PathBuf>) -> Self {
        Self { location: Location::Persistent(dir.into()), settings: Vec::new(), language: None }
    }

    /// A cluster for tests and benches that is deleted when it ends; fast and not crash-safe. Its messages are in the
    /// language of the variable `MAINSTAY_TEST_LANGUAGE`, as of [`Options::language`], if that is set.
    #[must_use]
    pub fn temporary() -> Self {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let settings = TEMPORARY_SETTINGS.map(own).to_vec();
        let options = Self { location: Location::Temporary, settings, language: None };
        match test_language() {
            Some(language) => options.language(&language),
            None => options,
        }
    }

    /// A temporary cluster whose files are in memory (Linux's `/dev/shm`) if 4 GiB are free there, otherwise on disk.
    /// Creating and dropping a database, some 800 files, takes a quarter of the CPU time in memory, and waits for no
    /// disk.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { location: Location::Memory, ..Self::temporary() }
    }

    /// Adds a server setting, as in `postgresql.conf`; the last one of a name wins.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets the server write its messages in a language, such as `de`, if its translations are installed. With glibc this
    /// needs no locale of that language.
    #[must_use]
    pub fn language(mut self, language: &str) -> Self {
        self.language = Some(language.to_owned());
        self.set("lc_messages", "C.UTF-8")
    }
}

/// A running Postgres; it ends when this value is dropped, or when this process ends in any way.
///
/// Dropping it blocks the thread until the server is gone (milliseconds in tests; about 20 seconds at worst). In async
/// code prefer [`Postgres::stop`].
pub struct Postgres {
    // Before `dir`: the server must be gone before the directory's lock is released.
    server: Option<ServerProcess>,
    dir: ClusterDir,
    binaries: PostgresBinaries,
    settings: Vec<(String, String)>,
    language: Option<String>,
    password: String,
    port: u16,
    url: String,
}

impl Postgres {
    /// Starts the cluster of `options`, which takes about a second the first time, and waits until it answers.
    ///
    /// A server that a killed process left running in the directory is stopped first. As root, the server runs as
    /// `postgres` or `nobody`.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] with the packages to install; [`Error::InUse`] while another process holds the directory;
    /// [`Error::Failed`] with the end of the server's log when it does not start.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let Options { location, settings, language } = options;
        let prepared = tokio::task::spawn_blocking(move || prepare(location)).await;
        let (dir, binaries, password) = prepared.map_err(|panic| Error::Damaged(panic.to_string()))??;
        let (server, port) = launch(&dir, &binaries, &settings, language.as_deref(), &password, None).await?;
        let url = url(port, &password, DATABASE);
        let postgres = Self { server: Some(server), dir, binaries, settings, language, password, port, url };
        postgres.ensure_database().await?;
        Ok(postgres)
    }

    /// Starts a standby of this server: a temporary copy with the same settings, roles and password, which follows it
    /// by streaming replication and accepts reads.
    ///
    /// # Errors
    ///
    /// See [`Postgres::start`].
    pub async fn standby(&self) -> Result<Self, Error> {
        let (binaries, password) = (self.binaries.clone(), self.password.clone());
        let (settings, language) = (self.settings.clone(), self.language.clone());
        let primary = self.url_of("postgres");
        let copied = tokio::task::spawn_blocking(move || {
            let dir = ClusterDir::open(&temporary_dir("postgres")?, true)?;
            dir.copy_cluster(&binaries, &primary, &password)?;
            Ok::<_, Error>((dir, binaries, password))
        });
        let (dir, binaries, password) = copied.await.map_err(|panic| Error::Damaged(panic.to_string()))??;
        let (server, port) = launch(&dir, &binaries, &settings, language.as_deref(), &password, None).await?;
        let url = url(port, &password, DATABASE);
        Ok(Self { server: Some(server), dir, binaries, settings, language, password, port, url })
    }

    /// The connection URL, for any Postgres client of any user of this machine; it contains the password, so don't log
    /// it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The connection URL of another database.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        url(self.port, &self.password, database)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The postmaster's process id; `None` between [`Postgres::crash`] and [`Postgres::restart`].
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(ServerProcess::pid)
    }

    /// Whether the postmaster is running.
    pub fn is_running(&mut self) -> bool {
        self.server.as_mut().is_some_and(ServerProcess::is_running)
    }

    /// Shuts the server down gracefully, without blocking the runtime.
    pub async fn stop(mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Suspends all processes of the server with SIGSTOP, like a hanging machine, until the value is dropped.
    #[must_use]
    pub fn freeze(&self) -> FreezeGuard {
        FreezeGuard::new(self.pid())
    }

    /// Kills the postmaster with SIGKILL, to test a crash; its sessions end by themselves.
    pub fn crash(&mut self) {
        if let Some(server) = self.server.take() {
            server.crash();
        }
    }

    /// Stops the server if it runs, and starts it again on the same port with the same URL.
    ///
    /// # Errors
    ///
    /// See [`Postgres::start`].
    pub async fn restart(&mut self) -> Result<(), Error> {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        let (settings, language) = (&self.settings, self.language.as_deref());
        let (server, _) =
            launch(&self.dir, &self.binaries, settings, language, &self.password, Some(self.port)).await?;
        self.server = Some(server);
        Ok(())
    }

    /// Creates the database `name`, as a copy of `template` if one is given (which must have no connections then).
    ///
    /// # Errors
    ///
    /// [`Error::Sql`], for example when the database exists or the template is in use.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), Error> {
        let template = template.map(|from| format!(" TEMPLATE {}", quote(from))).unwrap_or_default();
        self.execute(&format!("CREATE DATABASE {}{template}", quote(name))).await
    }

    /// Drops the database `name` if it exists, and ends its sessions.
    ///
    /// # Errors
    ///
    /// [`Error::Sql`].
    pub async fn drop_database(&self, name: &str) -> Result<(), Error> {
        self.execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote(name))).await
    }

    async fn ensure_database(&self) -> Result<(), Error> {
        use tokio_postgres::error::SqlState;
        match self.create_database(DATABASE, None).await {
            Err(Error::Sql(why)) if why.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(()),
            other => other,
        }
    }

    /// Runs one statement in the maintenance database.
    async fn execute(&self, statement: &str) -> Result<(), Error> {
        let (client, connection) = tokio_postgres::connect(&self.url_of("postgres"), NoTls).await?;
        let run = async move { client.batch_execute(statement).await };
        // The connection ends by itself once `run` has dropped the client.
        let (outcome, _closed) = tokio::join!(run, connection);
        Ok(outcome?)
    }
}

impl fmt::Debug for Postgres {
    /// Omits the password and the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("server", &self.server)
            .field("dir", &self.dir.path())
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.server.take());
        if self.dir.temporary {
            // Undeletable files are left to the cleanup of the system's temporary directory.
            std::fs::remove_dir_all(self.dir.path()).ok();
        }
    }
}

/// Returns the language that a test run sets for all servers.
#[expect(clippy::disallowed_methods, reason = "reaches all servers that tests start, wherever they do it")]
fn test_language() -> Option<String> {
    std::env::var("MAINSTAY_TEST_LANGUAGE").ok().filter(|language| !language.is_empty())
}

/// Prepares everything up to the start of the server: directory, binaries, password, cluster.
fn prepare(location: Location) -> Result<(ClusterDir, PostgresBinaries, String), Error> {
    let temporary = !matches!(location, Location::Persistent(_));
    let path = match location {
        Location::Persistent(dir) => dir,
        Location::Temporary => temporary_dir("postgres")?,
        Location::Memory => memory_dir(MEMORY_ROOM)
            .map_or_else(|| temporary_dir("postgres"), |dir| temporary_dir_in(&dir, "postgres"))?,
    };
    let dir = ClusterDir::open(&path, temporary)?;
    let binaries = PostgresBinaries::find(dir.major(), dir.programs())?;
    dir.remember_programs(&binaries)?;
    let password = dir.password()?;
    dir.init_cluster(&binaries, &password)?;
    Ok((dir, binaries, password))
}

/// Quotes `name` as an SQL identifier.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
