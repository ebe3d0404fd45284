//! An Envoy for tests, with a configuration that the caller writes.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::binaries::find_envoy;
use crate::process::{ServerProcess, Spawn, StopSignals};
use crate::{Error, temporary_dir};

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_SIGNALS: StopSignals = StopSignals { graceful: Signal::SIGTERM, forced: Signal::SIGKILL };

/// A running Envoy; it ends when this value is dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct Envoy {
    server: ServerProcess,
    dir: PathBuf,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Envoy {
    /// Starts Envoy and waits until it listens.
    ///
    /// `descriptor_set` is the encoded `FileDescriptorSet` of the services. `configuration` receives the path of the
    /// file that contains it and returns the bootstrap configuration as YAML: with an admin interface and one listener,
    /// whose ports should be 0, so that they are exclusive. Envoy processes with the same port share it.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] with installation instructions; [`Error::Failed`] when it does not start.
    pub async fn start(descriptor_set: &[u8], configuration: impl FnOnce(&Path) -> String) -> Result<Self, Error> {
        let program = find_envoy()?;
        let dir = temporary_dir("envoy")?;
        let descriptors = dir.join("descriptors.binpb");
        write(&descriptors, descriptor_set)?;
        write(&dir.join("envoy.yaml"), configuration(&descriptors).as_bytes())?;
        let log = dir.join("envoy.log");
        let mut server = ServerProcess::start(Spawn {
            program: &program,
            args: args(&dir),
            language: None,
            account: None,
            log: File::create(&log).map_err(Error::io("creating", &log))?,
            stop_signals: STOP_SIGNALS,
            remove: Some(&dir),
        })?;
        let ready = server.wait_until_ready("envoy", &log, READY_TIMEOUT, || addresses(&dir));
        let (address, admin) = ready.await?;
        Ok(Self { server, dir, address, admin })
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of its admin interface.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Returns its log: a JSON line for each request, and its own warnings.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("envoy.log")).unwrap_or_default()
    }

    /// Whether the process is running.
    pub fn is_running(&mut self) -> bool {
        self.server.is_running()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // Envoy keeps no state, and a graceful stop would wait for its connections.
        self.server.signal(Signal::SIGKILL);
        // Undeletable files are left to the cleanup of the system's temporary directory.
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    std::fs::write(path, bytes).map_err(Error::io("writing", path))
}

fn args(dir: &Path) -> Vec<String> {
    let in_dir = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let pairs = [
        ("--config-path", in_dir("envoy.yaml")),
        ("--admin-address-path", in_dir("admin")),
        ("--log-level", "warning".to_owned()),
        ("--concurrency", "1".to_owned()),
        ("--file-flush-interval-msec", "50".to_owned()),
    ];
    let mut args: Vec<_> = pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
    // Several instances may run at once.
    args.push("--use-dynamic-base-id".to_owned());
    args
}

/// Returns the addresses of the listener and of the admin interface, once both exist.
async fn addresses(dir: &Path) -> Option<(SocketAddr, SocketAddr)> {
    let admin: SocketAddr = std::fs::read_to_string(dir.join("admin")).ok()?.trim().parse().ok()?;
    let listeners = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(b"GET /listeners HTTP/1.1\r\nHost: envoy\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    let answer = tokio::time::timeout(READY_TIMEOUT, listeners).await.ok()?.ok()?;
    // `NAME::ADDRESS`, a line per listener.
    let address = answer.lines().find_map(|line| line.split_once("::")?.1.trim().parse().ok())?;
    // Envoy binds the port first, and accepts connections only after its first health check of the upstreams.
    let connected = TcpStream::connect(address).await;
    connected.is_ok().then_some((address, admin))
}
