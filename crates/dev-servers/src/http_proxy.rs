//! An nginx or a HAProxy for tests, with a configuration that the caller writes.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::net::TcpStream;

use crate::binaries::find_installed;
use crate::launch::free_port;
use crate::process::{ServerProcess, Spawn, StopSignals};
use crate::{Error, temporary_dir};

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_ATTEMPTS: u32 = 10;
/// Both proxies are stateless, and a graceful stop would wait for their clients.
const STOP_SIGNALS: StopSignals = StopSignals { graceful: Signal::SIGTERM, forced: Signal::SIGKILL };

/// A kind of proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// nginx.
    Nginx,
    /// HAProxy.
    HaProxy,
}

impl ProxyKind {
    fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "haproxy",
        }
    }

    /// Returns the arguments for running in the foreground, as one process.
    fn args(self, configuration: &Path, log: &Path) -> Vec<String> {
        let (configuration, log) = (configuration.to_string_lossy(), log.to_string_lossy());
        let args = match self {
            Self::Nginx => vec!["-e", &log, "-g", "daemon off; master_process off;", "-c", &configuration],
            Self::HaProxy => vec!["-db", "-f", &configuration],
        };
        args.into_iter().map(str::to_owned).collect()
    }
}

/// A running proxy; it ends when this value is dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct HttpProxy {
    server: ServerProcess,
    dir: PathBuf,
    addresses: [SocketAddr; 2],
}

impl HttpProxy {
    /// Starts a proxy and waits until it listens. `configuration` receives two addresses on free ports, of which the
    /// proxy must listen on the first, and a directory for temporary files.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] with the name of the package; [`Error::Failed`] when it does not start.
    pub async fn start(
        kind: ProxyKind,
        configuration: impl Fn([SocketAddr; 2], &Path) -> String,
    ) -> Result<Self, Error> {
        let program = find_installed(kind.program())?;
        let mut attempt = 1;
        loop {
            let dir = temporary_dir(kind.program())?;
            let address = || free_port().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            let addresses = [address()?, address()?];
            let path = dir.join("configuration");
            std::fs::write(&path, configuration(addresses, &dir)).map_err(Error::io("writing", &path))?;
            match launch(kind, &program, &dir, addresses[0]).await {
                Ok(server) => return Ok(Self { server, dir, addresses }),
                Err(Error::Failed { log, .. }) if attempt < MAX_ATTEMPTS && log.contains("in use") => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The addresses that its configuration received.
    #[must_use]
    pub fn addresses(&self) -> [SocketAddr; 2] {
        self.addresses
    }

    /// Returns its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

async fn launch(kind: ProxyKind, program: &Path, dir: &Path, address: SocketAddr) -> Result<ServerProcess, Error> {
    let log = dir.join("log");
    let mut server = ServerProcess::start(Spawn {
        program,
        args: kind.args(&dir.join("configuration"), &log),
        language: None,
        account: None,
        log: File::options().create(true).append(true).open(&log).map_err(Error::io("creating", &log))?,
        stop_signals: STOP_SIGNALS,
        remove: Some(dir),
    })?;
    let connect = || async move { TcpStream::connect(address).await.ok() };
    server.wait_until_ready(kind.program(), &log, READY_TIMEOUT, connect).await?;
    Ok(server)
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.server.signal(Signal::SIGKILL);
        // Undeletable files are left to the cleanup of the system's temporary directory.
        std::fs::remove_dir_all(&self.dir).ok();
    }
}
