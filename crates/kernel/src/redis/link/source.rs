//! Which server to connect to.

use std::fmt;

use futures_util::future::{FutureExt as _, select_ok};
use redis::{
    Client, ConnectionAddr, ErrorKind, RedisResult, TlsMode,
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

/// A server, or how to find it.
pub(super) enum Source {
    /// Has a fixed address.
    Server(Box<Client>),
    /// The primary that Redis Sentinels name. One client for each of them, so that one that does not answer holds up no
    /// other.
    Sentinels(Vec<Mutex<SentinelClient>>),
}

impl fmt::Debug for Source {
    /// Omits the URLs, which may contain passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl Source {
    /// The server of a URL, or, with Sentinels, the primary whose name is the host of the URL; user, password, database
    /// and TLS are those of the URL, too.
    pub(super) fn new(url: &SecretString, sentinels: &[SecretString]) -> RedisResult<Self> {
        let server = Client::open(url.expose_secret())?;
        if sentinels.is_empty() {
            return Ok(Self::Server(Box::new(server)));
        }
        let info = server.get_connection_info();
        let of_server = SentinelNodeConnectionInfo::default().set_redis_connection_info(info.redis_settings().clone());
        let (name, of_server) = match info.addr() {
            ConnectionAddr::TcpTls { host, insecure: false, .. } => (host, of_server.set_tls_mode(TlsMode::Secure)),
            ConnectionAddr::TcpTls { host, .. } => (host, of_server.set_tls_mode(TlsMode::Insecure)),
            ConnectionAddr::Tcp(host, _) => (host, of_server),
            _ => return Err((ErrorKind::InvalidClientConfig, "the URL has no host").into()),
        };
        let sentinels = sentinels.iter().map(|sentinel| {
            let of_server = Some(of_server.clone());
            let urls = vec![sentinel.expose_secret()];
            SentinelClient::build(urls, name, of_server, SentinelServerType::Master).map(Mutex::new)
        });
        sentinels.collect::<RedisResult<_>>().map(Self::Sentinels)
    }

    /// Returns the server. The first Sentinel to name one that says itself that it is a primary is believed: one that was
    /// cut off from the others may still name the primary before.
    pub(super) async fn server(&self) -> RedisResult<Client> {
        match self {
            Self::Server(server) => Ok(Client::clone(server)),
            Self::Sentinels(sentinels) => {
                let asked =
                    sentinels.iter().map(|sentinel| async { sentinel.lock().await.async_get_client().await }.boxed());
                select_ok(asked).await.map(|(server, _)| server)
            }
        }
    }
}
