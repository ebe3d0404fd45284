//! Sends one mail to one SMTP server (RFC 5321): connect, encrypt, authenticate, send.
//!
//! Each connection carries one mail. The cost of a connection is negligible compared to the time until a mail is read.
//! A persistent connection could be closed by the server at any time, or by the time limit in the middle of a mail.

use std::{fmt, time::Duration};

use lettre::{
    Message,
    transport::smtp::{
        self,
        authentication::DEFAULT_MECHANISMS,
        client::{AsyncSmtpConnection, TlsParameters},
        extension::ClientId,
    },
};

use crate::mail::{
    config::{Encryption, Server},
    transport::refusal::Refusal,
};
use mainstay_kernel::outbound::Kind;

/// How long the server may take to answer QUIT.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// A client of one server.
pub(crate) struct Client {
    server: Server,
    tls: Option<TlsParameters>,
    hello: ClientId,
    time_limit: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.fmt(f)
    }
}

impl Client {
    /// Creates a client, which sends `name` with EHLO unless the server's URL contains a name, and takes up to
    /// `time_limit` per mail.
    ///
    /// # Errors
    /// An error if the system has no root certificates.
    pub(crate) fn new(server: Server, name: &str, time_limit: Duration) -> anyhow::Result<Self> {
        let tls = match server.encryption {
            Encryption::None => None,
            Encryption::Implicit | Encryption::StartTls => Some(TlsParameters::new_rustls(server.host.clone())?),
        };
        let hello = server.hello.clone().unwrap_or_else(|| ClientId::Domain(name.to_owned()));
        Ok(Self { server, tls, hello, time_limit })
    }

    /// The host and the port of the server.
    pub(crate) fn server(&self) -> (&str, u16) {
        (self.server.host.as_str(), self.server.port)
    }

    /// Sends a mail.
    pub(crate) async fn send(&self, mail: &Message) -> Result<(), Refusal> {
        let time_limit = self.time_limit;
        let transmitted = tokio::time::timeout(time_limit, self.transmit(mail)).await;
        let late = |_| Err(Refusal { kind: Kind::TimedOut, why: format!("no answer within {time_limit:?}") });
        let mut connection = transmitted.unwrap_or_else(late)?;
        // The server has accepted the mail, so a failure to disconnect does not matter.
        tokio::time::timeout(QUIT_TIMEOUT, connection.quit()).await.ok();
        Ok(())
    }

    async fn transmit(&self, mail: &Message) -> Result<AsyncSmtpConnection, Refusal> {
        let mut connection = self.connect().await.map_err(|error| classify_before_sending(&error))?;
        match connection.send(mail.envelope(), &mail.formatted()).await {
            Ok(_) => Ok(connection),
            Err(error) => Err(classify_while_sending(&error, mail)),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, smtp::Error> {
        let Server { host, port, encryption, credentials, .. } = &self.server;
        let implicit = self.tls.clone().filter(|_| *encryption == Encryption::Implicit);
        let address = (host.as_str(), *port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(address, None, &self.hello, implicit, None).await?;
        if let (Encryption::StartTls, Some(tls)) = (encryption, &self.tls) {
            connection.starttls(tls.clone(), &self.hello).await?;
        }
        if let Some(credentials) = credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

/// Classifies a failure before the mail was sent, which does not depend on the mail.
fn classify_before_sending(error: &smtp::Error) -> Refusal {
    let kind = if error.is_permanent() { Kind::Auth } else { Kind::Unavailable };
    Refusal { kind, why: error.to_string() }
}

/// Classifies a failure while the mail was being sent. Servers tend to quote addresses, which are removed.
fn classify_while_sending(error: &smtp::Error, mail: &Message) -> Refusal {
    let code = error.status().map(u16::from);
    let kind = match code {
        // Authentication is required or insufficient: RFC 4954.
        Some(530 | 534 | 535 | 538) => Kind::Auth,
        Some(500..) => Kind::Rejected,
        // The server is shutting down.
        Some(421) | None => Kind::Unavailable,
        // The server is available, but temporarily refuses this mail.
        Some(_) => Kind::RateLimited,
    };
    let to = mail.envelope().to().first().map(ToString::to_string).unwrap_or_default();
    Refusal::new(kind, &error.to_string(), &to)
}
