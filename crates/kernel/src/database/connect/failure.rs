//! Diagnosis of failed connections to Postgres, for an operator.

use std::{error::Error, fmt, io};

use tokio_postgres::Config;

use super::{server::Server, socket::BoxError, sqlstate};

/// The most attempts in a report. A name can resolve to any number of addresses.
const MAX_SHOWN: usize = 8;

/// A failed connection, with its target, cause and remedy. It never contains the password.
#[derive(Debug)]
pub struct ConnectFailure {
    /// Hosts and ports, or the path of a socket.
    servers: String,
    /// Database and user.
    session: String,
    attempts: Vec<Attempt>,
}

/// The attempt at one server, or at one of its addresses.
#[derive(Debug)]
struct Attempt {
    server: String,
    /// The cause of the failure; `None` if the time ran out during the attempt.
    cause: Option<String>,
    is_untrusted: bool,
}

#[derive(Debug, Default)]
pub(super) struct Attempts(Vec<Attempt>);

impl Attempts {
    /// Begins an attempt at a server. It replaces an earlier attempt without a failure.
    pub(super) fn begin(&mut self, server: String) {
        self.0.retain(|attempt| attempt.cause.is_some());
        self.0.push(Attempt { server, cause: None, is_untrusted: false });
    }

    pub(super) fn record<T>(&mut self, outcome: Result<T, impl Into<BoxError>>) -> Option<T> {
        let error: BoxError = match outcome {
            Ok(gained) => return Some(gained),
            Err(error) => error.into(),
        };
        let attempt = self.0.last_mut()?;
        attempt.cause = Some(cause(&*error));
        attempt.is_untrusted = is_untrusted(&*error);
        None
    }
}

impl Attempt {
    fn cause(&self) -> &str {
        // The host accepted the connection, and the server sent nothing.
        self.cause.as_deref().unwrap_or("it does not answer")
    }

    fn code(&self) -> Option<&str> {
        self.cause.as_deref().and_then(sqlstate::of)
    }
}

impl ConnectFailure {
    pub(super) fn new(servers: &[Server], config: &Config, Attempts(mut attempts): Attempts) -> Self {
        // Name servers rotate the addresses of a name. The log suppresses only an equal text for half a minute.
        attempts.sort_by(|one, other| one.server.cmp(&other.server));
        let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
        let user = config.get_user().unwrap_or("of this process");
        let session = format!("database {}, user {user}", config.get_dbname().unwrap_or(user));
        Self { servers: servers.join(", "), session, attempts }
    }

    /// Returns whether the failure will persist until a setting is changed, here or in Postgres. Servers that did not
    /// answer do not count, because they may be unreachable for good, such as an address without a Postgres.
    pub fn is_lasting(&self) -> bool {
        let is_lasting = |code: &str| code.starts_with("28") || code == "3D000" || code == "42501";
        self.code().is_some() && self.attempts.iter().filter_map(Attempt::code).all(is_lasting)
    }

    fn code(&self) -> Option<&str> {
        self.attempts.iter().find_map(Attempt::code)
    }

    fn causes(&self) -> String {
        if let [only] = &self.attempts[..]
            && only.server == self.servers
        {
            return only.cause().to_owned();
        }
        let attempts = self.attempts.iter().take(MAX_SHOWN);
        let texts: Vec<_> = attempts.map(|attempt| format!("{}: {}", attempt.server, attempt.cause())).collect();
        let rest = match self.attempts.len().saturating_sub(MAX_SHOWN) {
            0 => String::new(),
            rest => format!(", and {rest} more"),
        };
        texts.join(", ") + &rest
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
            None if self.attempts.iter().any(|attempt| attempt.is_untrusted) => {
                "its certificate must be that of the host in DATABASE_URL, by an authority of this system or of the file \
                 SSL_CERT_FILE; in a trusted network, sslmode=disable does without"
            }
            None => "check that Postgres runs there and accepts connections, and DATABASE_URL",
        }
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "can't connect to Postgres at {} ({}): {}; {}",
            self.servers,
            self.session,
            self.causes(),
            self.cure()
        )
    }
}

impl Error for ConnectFailure {}

/// Returns the message of Postgres, or else the innermost cause.
fn cause(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref().and_then(tokio_postgres::Error::as_db_error) {
        Some(refusal) => refusal.message().to_owned(),
        // The outer error has no details.
        None => std::iter::successors(Some(error), |error| (*error).source())
            .last()
            .map(ToString::to_string)
            .unwrap_or_default(),
    }
}

fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    let of_tls = |cause: &io::Error| cause.get_ref()?.downcast_ref::<rustls::Error>().cloned();
    let fault = causes.find_map(|cause| cause.downcast_ref::<io::Error>().and_then(of_tls));
    matches!(fault, Some(rustls::Error::InvalidCertificate(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the report of attempts with these causes; an empty cause is an attempt that did not end.
    fn failure(url: &str, attempts: &[(&str, &str)]) -> ConnectFailure {
        let config = url.parse().expect("a URL");
        let mut made = Attempts::default();
        for (server, cause) in attempts {
            made.begin((*server).to_owned());
            if !cause.is_empty() {
                made.record::<()>(Err(*cause));
            }
        }
        ConnectFailure::new(&Server::all(&config), &config, made)
    }

    const TWO: &str = "postgres://me:hunter2@db1,db2:5433/shop";

    #[test]
    fn every_server_that_was_tried_is_named_with_its_cause() {
        let causes = [("db1:5432", "28P01 password authentication failed"), ("db2:5433", "Connection refused")];
        let expected = "can't connect to Postgres at db1:5432, db2:5433 (database shop, user me): db1:5432: 28P01 \
                        password authentication failed, db2:5433: Connection refused; correct the user or the password in \
                        DATABASE_URL";
        assert_eq!(failure(TWO, &causes).to_string(), expected);
        let [first, second] = causes;
        assert_eq!(failure(TWO, &[second, first]).to_string(), expected, "the log knows it again");

        let hung = failure(TWO, &[("db1:5432", "")]).to_string();
        assert!(
            hung.contains("at db1:5432, db2:5433 (database shop, user me): db1:5432: it does not answer; "),
            "{hung}"
        );
        let refusal = failure("postgres://db/shop", &[("db:5432", "Connection refused")]).to_string();
        assert!(
            refusal.contains("at db:5432 (database shop, user of this process): Connection refused; "),
            "{refusal}"
        );
    }

    #[test]
    fn as_many_are_told_as_a_line_holds() {
        let many: Vec<_> = (10..30).map(|at| format!("db:5432 [10.0.0.{at}]")).collect();
        let many: Vec<_> = many.iter().map(|server| (server.as_str(), "Connection refused")).collect();
        let text = failure("postgres://me@db/shop", &many).to_string();
        assert!(text.contains("db:5432 [10.0.0.17]: Connection refused, and 12 more; "), "{text}");
        assert!(!text.contains("10.0.0.18"), "{text}");
    }

    #[test]
    fn a_failure_is_permanent_if_all_servers_that_answer_agree() {
        let is_lasting = |first, second| failure(TWO, &[("db1:5432", first), ("db2:5433", second)]).is_lasting();
        let (wrong, starting) = ("28P01 password authentication failed", "57P03 the database system is starting up");
        assert!(is_lasting(wrong, "Connection refused") && is_lasting("Connection refused", wrong));
        assert!(!is_lasting(wrong, starting) && !is_lasting(starting, wrong));
        assert!(!is_lasting("Connection refused", "database does not allow writes"));
    }
}
