//! A Redis, or a Redis Sentinel, for tests and benches: no data on disk, loopback only.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::binaries::find_redis;
use crate::launch::free_port;
use crate::process::{ServerProcess, Spawn, StopSignals};
use crate::{Error, temporary_dir};

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_ATTEMPTS: u32 = 10;
const STOP_SIGNALS: StopSignals = StopSignals { graceful: Signal::SIGTERM, forced: Signal::SIGKILL };

/// The settings of a [`Redis`].
#[derive(Debug, Clone, Copy, Default)]
pub struct RedisOptions {
    /// The memory limit beyond which writes are rejected (policy `noeviction`); `None` for no limit.
    pub maxmemory_bytes: Option<u64>,
    /// The port of the primary that this server replicates; `None` for a primary.
    pub primary: Option<u16>,
}

/// The role of a server.
#[derive(Debug, Clone)]
enum Role {
    Store(RedisOptions),
    /// A node of a Redis Cluster, standalone at first.
    Node,
    /// Monitors the primary of this name, at a port, and promotes a replica when it fails.
    Sentinel {
        name: String,
        primary: u16,
    },
}

/// How long a primary may be silent before a Sentinel fails over, in milliseconds.
const DOWN_AFTER_MS: u64 = 500;
/// The failover timeout in milliseconds; Redis' default is three minutes. A Sentinel whose last contact with its
/// replica was more than five seconds before the primary failed finds no replica to promote, and retries after twice
/// this time.
const FAILOVER_TIMEOUT_MS: u64 = 3000;

/// Like [`DOWN_AFTER_MS`], for a cluster; longer, because a node writes its configuration to the disk at each change of a slot
/// (`nodes.conf`, with fsync) and is silent meanwhile. A busy disk must not cost a primary its slots.
const NODE_TIMEOUT_MS: u64 = 5000;

/// A running, empty Redis; it ends when this value is dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct Redis {
    server: Option<ServerProcess>,
    program: PathBuf,
    dir: PathBuf,
    role: Role,
    port: u16,
    /// The port of the cluster bus.
    bus_port: u16,
}

impl Redis {
    /// Starts the server on a free port and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] with the package to install; [`Error::Failed`] when it does not start.
    pub async fn start(options: RedisOptions) -> Result<Self, Error> {
        Self::start_as(Role::Store(options)).await
    }

    /// Starts a Redis Sentinel that monitors a primary under a name, and promotes a replica of it on failure.
    ///
    /// # Errors
    ///
    /// See [`Redis::start`].
    pub async fn sentinel(name: &str, primary: &Self) -> Result<Self, Error> {
        Self::start_as(Role::Sentinel { name: name.to_owned(), primary: primary.port }).await
    }

    /// Starts a node for a cluster.
    ///
    /// # Errors
    ///
    /// See [`Redis::start`].
    pub(crate) async fn node() -> Result<Self, Error> {
        Self::start_as(Role::Node).await
    }

    async fn start_as(role: Role) -> Result<Self, Error> {
        let program = find_redis()?;
        let dir = temporary_dir("redis")?;
        let mut redis = Self { server: None, program, dir, role, port: 0, bus_port: 0 };
        let mut attempt = 1;
        loop {
            (redis.port, redis.bus_port) = (free_port()?, free_port()?);
            match redis.launch().await {
                Err(Error::Failed { log, .. }) if attempt < MAX_ATTEMPTS && log.contains("Address already in use") => {
                    attempt += 1;
                }
                outcome => return outcome.map(|()| redis),
            }
        }
    }

    /// The connection URL, for any Redis client of this machine.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port on 127.0.0.1 for the other nodes of a cluster.
    pub(crate) fn bus_port(&self) -> u16 {
        self.bus_port
    }

    /// Sends a command without special characters, and returns the answer in Redis' protocol.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Failed`] with the answer, if it is an error.
    pub(crate) async fn command(&self, text: &str) -> Result<String, Error> {
        let ask = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(format!("{text}\r\nQUIT\r\n").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.map(|_| answer)
        };
        let answer = ask.await.map_err(Error::io("asking Redis for", Path::new(text)))?;
        if answer.starts_with('-') {
            return Err(Error::Failed { what: format!("redis-server refused {text}"), log: answer });
        }
        Ok(answer)
    }

    /// The server's process id; `None` between [`Redis::crash`] and [`Redis::restart`].
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(ServerProcess::pid)
    }

    /// Kills the server with SIGKILL. Its port is not reserved, so restart soon.
    pub fn crash(&mut self) {
        if let Some(server) = self.server.take() {
            server.crash();
        }
    }

    /// Stops the server if it runs, and starts an empty one on the same port.
    ///
    /// # Errors
    ///
    /// See [`Redis::start`].
    pub async fn restart(&mut self) -> Result<(), Error> {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        self.launch().await
    }

    /// Stops the server without blocking the runtime.
    pub async fn stop(mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    async fn launch(&mut self) -> Result<(), Error> {
        let path = self.dir.join("redis.log");
        let log = File::create(&path).map_err(Error::io("creating", &path))?;
        let mut server = ServerProcess::start(Spawn {
            program: &self.program,
            args: self.args()?,
            language: None,
            account: None,
            log,
            stop_signals: STOP_SIGNALS,
            remove: Some(&self.dir),
        })?;
        let this = &*self;
        let answer = || async move { this.answers().await.then_some(()) };
        server.wait_until_ready("redis-server", &path, READY_TIMEOUT, answer).await?;
        // Another server on the same port would have answered as well.
        if !server.is_running() {
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            return Err(Error::Failed { what: "redis-server ended immediately".to_owned(), log });
        }
        self.server = Some(server);
        Ok(())
    }

    fn args(&self) -> Result<Vec<String>, Error> {
        let (mut args, own) = match &self.role {
            Role::Store(options) => (Vec::new(), of_store(*options)),
            Role::Node => {
                let mut own = of_store(RedisOptions::default());
                own.extend([
                    ("cluster-enabled", "yes".to_owned()),
                    ("cluster-port", self.bus_port.to_string()),
                    ("cluster-node-timeout", NODE_TIMEOUT_MS.to_string()),
                ]);
                (Vec::new(), own)
            }
            Role::Sentinel { name, primary } => {
                // A Sentinel stores its state in its configuration file.
                let path = self.dir.join("sentinel.conf");
                let text = format!(
                    "sentinel monitor {name} 127.0.0.1 {primary} 1\n\
                     sentinel down-after-milliseconds {name} {DOWN_AFTER_MS}\n\
                     sentinel failover-timeout {name} {FAILOVER_TIMEOUT_MS}\n"
                );
                std::fs::write(&path, text).map_err(Error::io("writing", &path))?;
                (vec![path.to_string_lossy().into_owned(), "--sentinel".to_owned()], Vec::new())
            }
        };
        let common = [
            ("bind", "127.0.0.1".to_owned()),
            ("port", self.port.to_string()),
            ("dir", self.dir.to_string_lossy().into_owned()),
            ("daemonize", "no".to_owned()),
        ];
        args.extend(own.into_iter().chain(common).flat_map(|(name, value)| [format!("--{name}"), value]));
        Ok(args)
    }

    async fn answers(&self) -> bool {
        let ping = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(b"PING\r\n").await?;
            let mut pong = [0; 5];
            stream.read_exact(&mut pong).await.map(|_| &pong == b"+PONG")
        };
        matches!(tokio::time::timeout(READY_TIMEOUT, ping).await, Ok(Ok(true)))
    }
}

/// Returns the settings of a server that holds data.
fn of_store(RedisOptions { maxmemory_bytes, primary }: RedisOptions) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("save", String::new()),
        ("appendonly", "no".to_owned()),
        ("maxmemory", maxmemory_bytes.unwrap_or(0).to_string()),
        ("maxmemory-policy", "noeviction".to_owned()),
        // A replica is synchronized at once, without waiting for other replicas.
        ("repl-diskless-sync-delay", "0".to_owned()),
    ];
    settings.extend(primary.map(|primary| ("replicaof", format!("127.0.0.1 {primary}"))));
    settings
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.server.take());
        // Undeletable files are left to the cleanup of the system's temporary directory.
        std::fs::remove_dir_all(&self.dir).ok();
    }
}
