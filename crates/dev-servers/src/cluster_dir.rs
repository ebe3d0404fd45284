//! The directory of a cluster: its lock, its password, its `initdb`, and its logs.
//!
//! ```text
//! lock           held while a process uses the directory
//! password       the password of the only role, mode 0600
//! programs       the path of the Postgres programs' directory, as of the last start
//! postgres.log   the log of this start; the previous one is postgres.log.1
//! cluster/       the data directory of Postgres
//! ```

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::OFlag;

use crate::account::Account;
use crate::binaries::PostgresBinaries;
use crate::process::clean_environment;
use crate::{Error, random_hex};

/// The superuser and only role of the cluster.
pub(crate) const USER: &str = "mainstay";

/// The maximum length of the log excerpt in an error message.
const LOG_TAIL_BYTES: usize = 2_000;

/// `LC_CTYPE`, so that lower() knows letters beyond ASCII; strings sort by bytes, as in an index scan.
const CTYPE: &str = if cfg!(target_os = "macos") { "UTF-8" } else { "C.UTF-8" };

/// A locked, prepared directory.
#[derive(Debug)]
pub(crate) struct ClusterDir {
    path: PathBuf,
    pub(crate) account: Option<Account>,
    pub(crate) temporary: bool,
    /// The kernel releases the lock with the process, so unlike a pid file it can't become stale.
    _lock: File,
}

impl ClusterDir {
    /// Locks `path`, creating it if necessary.
    pub(crate) fn open(path: &Path, temporary: bool) -> Result<Self, Error> {
        std::fs::create_dir_all(path).map_err(Error::io("creating", path))?;
        let path = path.canonicalize().map_err(Error::io("resolving", path))?;
        let account = Account::for_cluster(&path.join("cluster"))?;
        let lock = lock(&path)?;
        // The account may only traverse the directory: with write access, it could plant links for root to follow. A
        // temporary directory belongs to the account, because the watcher deletes it under that account.
        let mode = if account.is_some() && !temporary { 0o711 } else { 0o700 };
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(Error::io("restricting", &path))?;
        if let Some(account) = &account {
            if temporary {
                account.own(&path)?;
            }
            account.check_entry(&path)?;
        }
        Ok(Self { path, account, temporary, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn cluster(&self) -> PathBuf {
        self.path.join("cluster")
    }

    /// Returns the major version that wrote the cluster, or `None` when there is none yet.
    pub(crate) fn major(&self) -> Option<u32> {
        std::fs::read_to_string(self.cluster().join("PG_VERSION")).ok()?.trim().parse().ok()
    }

    /// Returns the password, generated and stored on first use.
    pub(crate) fn password(&self) -> Result<String, Error> {
        let path = self.path.join("password");
        match std::fs::read_to_string(&path) {
            Ok(password) if !password.is_empty() => return Ok(password),
            _ if self.major().is_some() => {
                return Err(Error::Damaged(format!(
                    "{} is missing or unreadable, but {} was made with it; restore it from a backup, or move the \
                     directory away to start afresh",
                    path.display(),
                    self.cluster().display()
                )));
            }
            _ => {}
        }
        let password = random_hex(24);
        write_secret(&path, &password)?;
        Ok(password)
    }

    /// Returns the directory of the programs that served this cluster last. A start without the launcher that bundled
    /// these programs finds them here.
    pub(crate) fn programs(&self) -> Option<PathBuf> {
        let path = std::fs::read_to_string(self.path.join("programs")).ok()?;
        Some(PathBuf::from(path.trim_end())).filter(|path| !path.as_os_str().is_empty())
    }

    /// Stores the directory of the programs that serve this cluster.
    pub(crate) fn remember_programs(&self, binaries: &PostgresBinaries) -> Result<(), Error> {
        let path = self.path.join("programs");
        let directory = binaries.postgres.parent().unwrap_or(Path::new("")).display();
        std::fs::write(&path, format!("{directory}\n")).map_err(Error::io("writing", &path))
    }

    /// Creates the cluster unless it exists; a kill in the middle leaves nothing that looks like a cluster.
    pub(crate) fn init_cluster(&self, binaries: &PostgresBinaries, password: &str) -> Result<(), Error> {
        if self.major().is_some() {
            return Ok(());
        }
        let (new, secret) = (self.path.join("cluster.new"), self.path.join("password.initdb"));
        remove_all(&new)?;
        std::fs::create_dir(&new).map_err(Error::io("creating", &new))?;
        // A copy, because initdb reads it as the account, which must not read the original.
        remove_all(&secret)?;
        write_secret(&secret, password)?;
        if let Some(account) = &self.account {
            account.own(&new)?;
            account.own(&secret)?;
        }
        let mut initdb = Command::new(&binaries.initdb);
        initdb.arg("--pgdata").arg(&new).arg("--pwfile").arg(&secret);
        initdb.args(["--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8"]);
        initdb.args(["--locale", "C", "--lc-ctype", CTYPE, "--no-instructions"]);
        if self.temporary {
            initdb.arg("--no-sync");
        }
        let result = self.run_tool("initdb", initdb);
        remove_all(&secret)?;
        result?;
        std::fs::rename(&new, self.cluster()).map_err(Error::io("naming", &new))
    }

    /// Copies the cluster of a running server into a temporary directory, as a standby that follows it, and takes over its
    /// password.
    pub(crate) fn copy_cluster(&self, binaries: &PostgresBinaries, url: &str, password: &str) -> Result<(), Error> {
        write_secret(&self.path.join("password"), password)?;
        let mut basebackup = Command::new(&binaries.basebackup);
        basebackup.arg("--pgdata").arg(self.cluster()).args(["--dbname", url, "--write-recovery-conf"]);
        basebackup.args(["--checkpoint", "fast", "--wal-method", "stream", "--no-sync"]);
        self.run_tool("pg_basebackup", basebackup)
    }

    /// Runs a program that creates the cluster.
    fn run_tool(&self, name: &str, mut program: Command) -> Result<(), Error> {
        clean_environment(&mut program);
        if let Some(account) = &self.account {
            account.run(&mut program);
        }
        let output = program.current_dir("/").stdin(Stdio::null()).output();
        let output = output.map_err(Error::io("running", Path::new(program.get_program())))?;
        if output.status.success() {
            return Ok(());
        }
        let log = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let what = format!("{name} could not make {}", self.cluster().display());
        Err(Error::Failed { what, log: tail(&log).to_owned() })
    }

    /// Opens a new log for one start.
    pub(crate) fn new_log(&self) -> Result<File, Error> {
        let path = self.path.join("postgres.log");
        if path.exists() {
            std::fs::rename(&path, self.path.join("postgres.log.1")).map_err(Error::io("rotating", &path))?;
        }
        OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path).map_err(Error::io("opening", &path))
    }

    /// Returns the end of the log of this start.
    pub(crate) fn log_tail(&self) -> String {
        let log = std::fs::read(self.path.join("postgres.log")).unwrap_or_default();
        tail(&String::from_utf8_lossy(&log)).to_owned()
    }
}

/// Locks the directory, or fails with the process that holds the lock.
fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // Root may be working in a directory of another user, so links are not followed.
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(&path)
        .map_err(Error::io("opening", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let is_known = file.read_to_string(&mut pid).is_ok() && !pid.is_empty();
            let holder = if is_known { format!("process {}", pid.trim()) } else { "another process".to_owned() };
            return Err(Error::InUse { dir: dir.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(Error::io("locking", &path)(source)),
    }
    // The pid serves the error message above only; the lock is authoritative.
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(Error::io("writing", &path))?;
    Ok(file)
}

/// Writes a file that only its owner can read, atomically.
fn write_secret(path: &Path, secret: &str) -> Result<(), Error> {
    let new = path.with_extension("new");
    remove_all(&new)?;
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(Error::io("creating", &new))?;
    file.write_all(secret.as_bytes()).and_then(|()| file.sync_all()).map_err(Error::io("writing", &new))?;
    std::fs::rename(&new, path).map_err(Error::io("naming", &new))
}

/// Removes a file, or a directory and its content, if it exists.
fn remove_all(path: &Path) -> Result<(), Error> {
    let result = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match result {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(Error::io("removing", path)(why)),
        _ => Ok(()),
    }
}

/// Returns the last part of `log`, from the beginning of a line.
fn tail(log: &str) -> &str {
    let mut from = log.len().saturating_sub(LOG_TAIL_BYTES);
    while !log.is_char_boundary(from) {
        from += 1;
    }
    let cut = &log[from..];
    if from == 0 { cut } else { cut.split_once('\n').map_or(cut, |(_, rest)| rest) }
}
