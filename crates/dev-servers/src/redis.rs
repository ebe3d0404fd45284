//! A Redis for tests and benches: nothing on disk, loopback only.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::binaries::find_redis;
use crate::launch::free_port;
use crate::process::{ServerProcess, Spawn, StopSignals};
use crate::{Error, temporary_dir};

const READY_WITHIN: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(10);
const MAX_ATTEMPTS: u32 = 10;
const STOP_SIGNALS: StopSignals = StopSignals { graceful: Signal::SIGTERM, forced: Signal::SIGKILL };

/// The settings of a [`Redis`].
#[derive(Debug, Clone, Copy, Default)]
pub struct RedisOptions {
    /// The memory limit beyond which writes are refused (policy `noeviction`); `None`: no limit.
    pub maxmemory_bytes: Option<u64>,
}

/// A running, empty Redis; it ends when this value is dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct Redis {
    server: Option<ServerProcess>,
    program: PathBuf,
    dir: PathBuf,
    options: RedisOptions,
    port: u16,
}

impl Redis {
    /// Starts the server on a free port and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] with the package to install; [`Error::Failed`] when it does not start.
    pub async fn start(options: RedisOptions) -> Result<Self, Error> {
        let program = find_redis()?;
        let dir = temporary_dir("redis")?;
        let mut redis = Self { server: None, program, dir, options, port: 0 };
        let mut attempt = 1;
        loop {
            redis.port = free_port()?;
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

    /// The server's process id; `None` between [`Redis::crash`] and [`Redis::restart`].
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(ServerProcess::pid)
    }

    /// Kills the server with SIGKILL. Nothing reserves its port, so restart soon.
    pub fn crash(&mut self) {
        if let Some(server) = self.server.take() {
            server.crash();
        }
    }

    /// Stops the server if it runs, and starts an empty one on the same port.
    ///
    /// # Errors
    ///
    /// As [`Redis::start`].
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
            args: self.args(),
            language: None,
            account: None,
            log,
            stop_signals: STOP_SIGNALS,
            remove: Some(&self.dir),
        })?;
        let since = Instant::now();
        while !self.answers().await {
            let ended = !server.is_running();
            if ended || since.elapsed() > READY_WITHIN {
                let what =
                    if ended { "redis-server ended while it was starting" } else { "redis-server does not answer" };
                let log = std::fs::read_to_string(&path).unwrap_or_default();
                return Err(Error::Failed { what: what.to_owned(), log });
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        // Another server on the same port would have answered as well.
        if !server.is_running() {
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            return Err(Error::Failed { what: "redis-server ended immediately".to_owned(), log });
        }
        self.server = Some(server);
        Ok(())
    }

    fn args(&self) -> Vec<String> {
        let dir = self.dir.to_string_lossy().into_owned();
        let port = self.port.to_string();
        let maxmemory = self.options.maxmemory_bytes.unwrap_or(0).to_string();
        let pairs = [
            ("--bind", "127.0.0.1"),
            ("--port", &port),
            ("--dir", &dir),
            ("--save", ""),
            ("--appendonly", "no"),
            ("--daemonize", "no"),
            ("--maxmemory", &maxmemory),
            ("--maxmemory-policy", "noeviction"),
        ];
        pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_owned()]).collect()
    }

    async fn answers(&self) -> bool {
        let ping = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(b"PING\r\n").await?;
            let mut pong = [0; 5];
            stream.read_exact(&mut pong).await.map(|_| &pong == b"+PONG")
        };
        matches!(tokio::time::timeout(READY_WITHIN, ping).await, Ok(Ok(true)))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.server.take());
        // What can't be deleted is left to the cleanup of the system's temporary directory.
        let _gone = std::fs::remove_dir_all(&self.dir);
    }
}
