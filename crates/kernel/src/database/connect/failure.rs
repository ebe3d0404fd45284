//! Why Postgres can't be reached, as an operator needs to read it.

use std::{error::Error, fmt, io};

use diesel::ConnectionError;
use tokio_postgres::{Config, config::Host};

use super::sqlstate;

/// A connection that could not be opened: where to, why, and what to do. Never holds the password.
#[derive(Debug)]
pub struct ConnectFailure {
    /// Host and port, database and user.
    target: String,
    cause: String,
    /// Whether TLS failed for the certificate of Postgres.
    is_untrusted: bool,
}

impl ConnectFailure {
    pub(super) fn new(config: &Config, error: &(dyn Error + 'static)) -> Self {
        let refusal = error.downcast_ref().and_then(tokio_postgres::Error::as_db_error);
        let cause = match refusal {
            Some(refusal) => refusal.message().to_owned(),
            // The error itself says no more than that it is one.
            None => std::iter::successors(Some(error), |error| (*error).source())
                .last()
                .map(ToString::to_string)
                .unwrap_or_default(),
        };
        Self { target: target(config), cause, is_untrusted: is_untrusted(error) }
    }

    /// Postgres accepts connections, and says nothing.
    pub(super) fn no_answer(config: &Config) -> Self {
        Self { target: target(config), cause: "it does not answer".to_owned(), is_untrusted: false }
    }

    /// Whether Postgres answered, and will answer the same until somebody changes a setting: here, or there.
    pub fn is_lasting(&self) -> bool {
        matches!(self.code(), Some(code) if code.starts_with("28") || code == "3D000" || code == "42501")
    }

    fn code(&self) -> Option<&str> {
        sqlstate::of(&self.cause)
    }

    fn cure(&self) -> &'static str {
        match self.code() {
            Some("28P01") => "correct the user or the password in DATABASE_URL",
            Some("28000") => "correct the user in DATABASE_URL, create it, or let it in by pg_hba.conf and sslmode",
            Some("3D000") => "create the database (createdb), or correct its name in DATABASE_URL",
            Some("42501") => "grant the user CONNECT on the database",
            Some("53300") => "lower DATABASE_POOL_SIZE times the number of instances, or raise max_connections",
            Some("57P03") => "wait until Postgres has started or recovered",
            Some(_) => "see the log of Postgres",
            None if self.is_untrusted => {
                "its certificate must be that of the host in DATABASE_URL, by an authority of this system or of the file \
                 SSL_CERT_FILE; where nobody can listen in, sslmode=disable does without"
            }
            None => "check that Postgres runs there and accepts connections, and DATABASE_URL",
        }
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't connect to Postgres at {}: {}; {}", self.target, self.cause, self.cure())
    }
}

impl Error for ConnectFailure {}

impl From<ConnectFailure> for ConnectionError {
    fn from(failure: ConnectFailure) -> Self {
        Self::BadConnection(failure.to_string())
    }
}

/// Whether an error is that of a certificate.
fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    let of_tls = |cause: &io::Error| cause.get_ref()?.downcast_ref::<rustls::Error>().cloned();
    let fault = causes.find_map(|cause| cause.downcast_ref::<io::Error>().and_then(of_tls));
    matches!(fault, Some(rustls::Error::InvalidCertificate(_)))
}

fn target(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(at, host)| {
        // One port may stand for all hosts.
        let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(directory) => directory.join(format!(".s.PGSQL.{port}")).display().to_string(),
        }
    });
    let hosts = hosts.collect::<Vec<_>>().join(", ");
    let user = config.get_user().unwrap_or("(none)");
    format!("{hosts} (database {}, user {user})", config.get_dbname().unwrap_or(user))
}
