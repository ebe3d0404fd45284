//! An Envoy of our own, for tests: in front of one server, with the configuration that `mainstay envoy` prints.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::binaries::find_envoy;
use super::guard::{Ending, Guarded, Launch};
use super::{Error, temporary_dir};
use crate::contract::DESCRIPTOR_SET;
use crate::envoy::{Options, configuration};

const READY_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(10);
const ENDING: Ending = Ending { polite: Signal::SIGTERM, firm: Signal::SIGKILL };

/// A running Envoy; it ends with this value, or with this process however that ends.
#[derive(Debug)]
pub struct Envoy {
    server: Guarded,
    dir: PathBuf,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Envoy {
    /// Starts it and waits until it listens. The options' addresses should have port 0, so that nobody else has the
    /// port: Envoys that are given the same one share it.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] with how to install it; [`Error::Failed`] when it does not come up.
    pub async fn start(mut options: Options) -> Result<Self, Error> {
        let program = find_envoy()?;
        let dir = temporary_dir("envoy")?;
        options.descriptors = dir.join("descriptors.binpb");
        write(&options.descriptors, DESCRIPTOR_SET)?;
        write(&dir.join("envoy.yaml"), configuration(&options).as_bytes())?;
        let log = dir.join("envoy.log");
        let mut server = Guarded::start(Launch {
            program: &program,
            args: args(&dir),
            account: None,
            log: File::create(&log).map_err(Error::io("creating", &log))?,
            ending: ENDING,
            remove: Some(&dir),
        })?;
        let since = Instant::now();
        loop {
            if let Some((address, admin)) = addresses(&dir).await {
                return Ok(Self { server, dir, address, admin });
            }
            let ended = !server.is_running();
            if ended || since.elapsed() > READY_WITHIN {
                let what = if ended { "envoy ended while it was starting" } else { "envoy is mute" };
                return Err(Error::Failed {
                    what: what.to_owned(),
                    log: std::fs::read_to_string(&log).unwrap_or_default(),
                });
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its own pages are.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// What it has logged: a line of JSON for each request, and its own complaints.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("envoy.log")).unwrap_or_default()
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        self.server.is_running()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // It keeps nothing, and waits for its connections otherwise.
        self.server.signal(Signal::SIGKILL);
        // What can't be deleted is left to the system's care for its temporary directory.
        let _gone = std::fs::remove_dir_all(&self.dir);
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
    // Several may run at once.
    args.push("--use-dynamic-base-id".to_owned());
    args
}

/// Of the listener and of the pages, once both are there.
async fn addresses(dir: &Path) -> Option<(SocketAddr, SocketAddr)> {
    let admin: SocketAddr = std::fs::read_to_string(dir.join("admin")).ok()?.trim().parse().ok()?;
    let listeners = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(b"GET /listeners HTTP/1.1\r\nHost: envoy\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    let answer = tokio::time::timeout(READY_WITHIN, listeners).await.ok()?.ok()?;
    let address: SocketAddr = answer.lines().find_map(|line| line.strip_prefix("mainstay::"))?.trim().parse().ok()?;
    // It has the port before it has asked for the server's health, and listens after that.
    let connected = TcpStream::connect(address).await;
    connected.is_ok().then_some((address, admin))
}
