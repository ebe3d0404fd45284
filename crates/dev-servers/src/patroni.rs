//! An etcd, and nodes of Patroni, for tests of high availability.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;

use crate::account::Account;
use crate::binaries::{PostgresBinaries, find_installed};
use crate::launch::{first_line_pid, free_port, is_postmaster_of};
use crate::process::{FreezeGuard, ServerProcess, Spawn, StopSignals};
use crate::{Error, random_hex, temporary_dir};

const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Patroni stops its Postgres when it is asked to end.
const STOP_SIGNALS: StopSignals = StopSignals { graceful: Signal::SIGTERM, forced: Signal::SIGKILL };

/// An etcd with one member; it ends when this value is dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct Etcd {
    _program: Program,
    port: u16,
}

impl Etcd {
    /// Starts etcd on a free port, and waits until it listens.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] with the name of the package; [`Error::Failed`] when it does not start.
    pub async fn start() -> Result<Self, Error> {
        let mut program = Program::new("etcd")?;
        let (port, peers) = (free_port()?, free_port()?);
        let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
        let data = program.dir.join("data").display().to_string();
        program.args = [
            ("data-dir", &data),
            ("listen-client-urls", &client),
            ("advertise-client-urls", &client),
            ("listen-peer-urls", &peer),
            ("initial-advertise-peer-urls", &peer),
            ("initial-cluster", &format!("default={peer}")),
        ]
        .map(|(name, value)| format!("--{name}={value}"))
        .to_vec();
        program.launch()?;
        program.wait_for_port(port).await?;
        Ok(Self { _program: program, port })
    }

    /// The port for clients on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// The addresses under which the other nodes know a node, and under which it knows etcd: its own, or those of a proxy.
#[derive(Debug, Clone, Copy)]
pub struct NodeLinks {
    /// Of etcd.
    pub etcd: SocketAddr,
    /// Of Patroni's REST API.
    pub api: SocketAddr,
    /// Of Postgres.
    pub postgres: SocketAddr,
}

/// The passwords of a cluster of Patroni.
#[derive(Debug, Clone)]
pub struct PatroniPasswords {
    superuser: String,
    replication: String,
}

impl PatroniPasswords {
    /// Generates them.
    #[must_use]
    pub fn generate() -> Self {
        Self { superuser: random_hex(16), replication: random_hex(16) }
    }

    /// The connection URL of a database at an address, for the superuser; it contains the password, so don't log it.
    #[must_use]
    pub fn url(&self, address: SocketAddr, database: &str) -> String {
        format!("postgres://postgres:{}@{address}/{database}?sslmode=disable", self.superuser)
    }
}

/// A node: Patroni and its Postgres. It ends when this value is dropped, or when this process ends in any way.
#[derive(Debug)]
pub struct PatroniNode {
    program: Program,
    name: String,
    postgres: u16,
    api: u16,
}

impl PatroniNode {
    /// Chooses the ports of a node, which runs after [`PatroniNode::start`].
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] with the name of the package.
    pub fn new(name: &str) -> Result<Self, Error> {
        let program = Program::new("patroni")?;
        Ok(Self { program, name: name.to_owned(), postgres: free_port()?, api: free_port()? })
    }

    /// The name of the node.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address of its Postgres.
    #[must_use]
    pub fn postgres(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.postgres).into()
    }

    /// The address of Patroni's REST API.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.api).into()
    }

    /// Starts Patroni with the content of a `patroni.yaml`, which is the same for all nodes, and waits until its API listens. The
    /// node has the variables of an example, with its own values.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] if there is no Postgres; [`Error::Damaged`] for a variable that a node has no value for;
    /// [`Error::Failed`] when Patroni does not start.
    pub async fn start(
        &mut self,
        configuration: &str,
        variables: &str,
        links: NodeLinks,
        passwords: &PatroniPasswords,
    ) -> Result<(), Error> {
        let dir = &self.program.dir;
        let path = dir.join("patroni.yaml");
        std::fs::write(&path, configuration).map_err(Error::io("writing", &path))?;
        // A directory of symbolic links may lack some of the programs.
        let postgres = PostgresBinaries::find(None, None)?.basebackup;
        let file = |path: &Path| path.display().to_string();
        let values = [
            ("PATRONI_NAME", self.name.clone()),
            ("PATRONI_ETCD3_HOSTS", links.etcd.to_string()),
            ("PATRONI_RESTAPI_LISTEN", self.api().to_string()),
            ("PATRONI_RESTAPI_CONNECT_ADDRESS", links.api.to_string()),
            ("PATRONI_POSTGRESQL_LISTEN", self.postgres().to_string()),
            ("PATRONI_POSTGRESQL_CONNECT_ADDRESS", links.postgres.to_string()),
            ("PATRONI_POSTGRESQL_DATA_DIR", file(&self.data())),
            ("PATRONI_POSTGRESQL_BIN_DIR", file(postgres.parent().unwrap_or(Path::new("")))),
            ("PATRONI_SUPERUSER_USERNAME", "postgres".to_owned()),
            ("PATRONI_SUPERUSER_PASSWORD", passwords.superuser.clone()),
            ("PATRONI_REPLICATION_USERNAME", "replicator".to_owned()),
            ("PATRONI_REPLICATION_PASSWORD", passwords.replication.clone()),
        ];
        let assign = |line: &str| {
            let name = line.split('=').next().unwrap_or(line);
            let value = values.iter().find(|value| value.0 == name).map(|(name, value)| format!("{name}={value}"));
            value.ok_or_else(|| Error::Damaged(format!("a node has no value for {line}")))
        };
        let lines = variables.lines().filter(|line| !line.starts_with('#'));
        let mut variables = lines.map(assign).collect::<Result<Vec<_>, _>>()?;
        // Otherwise in the home of the account.
        variables.push(format!("PATRONI_POSTGRESQL_PGPASS={}", file(&dir.join("pgpass"))));
        (self.program.variables, self.program.args) = (variables, vec![file(&path)]);
        self.restart().await
    }

    /// Starts it again after [`PatroniNode::kill`].
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] when it does not start.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.program.launch()?;
        self.program.wait_for_port(self.api).await
    }

    /// Kills Patroni and its Postgres with SIGKILL, like a machine that loses power.
    pub fn kill(&mut self) {
        self.kill_patroni();
        if let Some(postmaster) = self.postmaster() {
            // The sessions end by themselves.
            kill(postmaster, Signal::SIGKILL).ok();
        }
    }

    /// Kills Patroni with SIGKILL; its Postgres continues.
    pub fn kill_patroni(&mut self) {
        if let Some(server) = self.program.server.take() {
            server.crash();
        }
    }

    /// Suspends Patroni and its Postgres with SIGSTOP, like a hanging machine, until the value is dropped.
    #[must_use]
    pub fn freeze(&self) -> [FreezeGuard; 2] {
        let patroni = self.program.server.as_ref().map(ServerProcess::pid);
        let postmaster = self.postmaster().and_then(|pid| u32::try_from(pid.as_raw()).ok());
        [FreezeGuard::new(patroni), FreezeGuard::new(postmaster)]
    }

    /// Returns the log of Patroni and its Postgres.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.program.log_file()).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.program.dir.join("postgres")
    }

    fn postmaster(&self) -> Option<Pid> {
        let data = self.data();
        first_line_pid(&data.join("postmaster.pid")).filter(|pid| is_postmaster_of(*pid, &data))
    }
}

impl Drop for PatroniNode {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program in a temporary directory, under the account of Postgres.
#[derive(Debug)]
struct Program {
    path: PathBuf,
    dir: PathBuf,
    account: Option<Account>,
    args: Vec<String>,
    variables: Vec<String>,
    server: Option<ServerProcess>,
}

impl Program {
    fn new(name: &str) -> Result<Self, Error> {
        let path = find_installed(name)?;
        let dir = temporary_dir(name)?;
        let account = Account::for_cluster(&dir)?;
        if let Some(account) = &account {
            account.own(&dir)?;
        }
        Ok(Self { path, dir, account, args: Vec::new(), variables: Vec::new(), server: None })
    }

    fn launch(&mut self) -> Result<(), Error> {
        let log = self.log_file();
        let command = std::iter::once(self.path.display().to_string()).chain(self.args.iter().cloned());
        let server = ServerProcess::start(Spawn {
            program: Path::new("/usr/bin/env"),
            args: self.variables.iter().cloned().chain(command).collect(),
            language: None,
            account: self.account.as_ref(),
            log: File::options().create(true).append(true).open(&log).map_err(Error::io("opening", &log))?,
            stop_signals: STOP_SIGNALS,
            remove: Some(&self.dir),
        })?;
        self.server = Some(server);
        Ok(())
    }

    async fn wait_for_port(&mut self, port: u16) -> Result<(), Error> {
        let (log, name) = (self.log_file(), self.path.display().to_string());
        let Some(server) = &mut self.server else { return Ok(()) };
        let connect = || async move { TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok().map(drop) };
        server.wait_until_ready(&name, &log, READY_TIMEOUT, connect).await
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join("log")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.server.take());
        // Undeletable files are left to the cleanup of the system's temporary directory.
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

/// Runs `patronictl` for a cluster of this scope, and returns its output.
///
/// # Errors
///
/// [`Error::Missing`] with the name of the package; [`Error::Failed`] when it fails.
pub fn patronictl(scope: &str, etcd: SocketAddr, args: &[&str]) -> Result<String, Error> {
    let mut command = Command::new(find_installed("patronictl")?);
    command
        .args(args)
        .env("PATRONI_SCOPE", scope)
        .env("PATRONI_ETCD3_HOSTS", etcd.to_string())
        .env("LC_ALL", "C.UTF-8");
    let output = command.output().map_err(Error::io("running", Path::new("patronictl")))?;
    let log = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.success() {
        true => Ok(log),
        false => Err(Error::Failed { what: format!("patronictl {} failed", args.join(" ")), log }),
    }
}
