//! Which server to connect to.

use std::{fmt, time::Duration};

use bb8_redis::{RedisConnectionManager, bb8::ManageConnection as _};
use futures_util::future::{FutureExt as _, select_ok};
use redis::{
    Client, ConnectionAddr, ErrorKind, RedisResult, TlsMode,
    aio::PubSub,
    cluster::ClusterClient,
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

use super::connection::OpenConnection;
use crate::config;

/// The longest wait for one node of a cluster: a quarter of what a probe may take, because a node that is silent must not
/// use up the time for the others, and they are connected to in two rounds.
const NODE_TIMEOUT: Duration = Duration::from_millis(125);
/// How often a command is sent again: it may have to follow its slot to another node, more than once while that moves and
/// others ask for it, too, or to wait until all keys of a script have moved.
const RETRIES: u32 = 6;
/// The shortest and the longest of such a wait, in milliseconds.
const RETRY_WAIT_MS: [u64; 2] = [1, 4];

/// A server, or how to find it.
pub(super) enum Source {
    /// Has a fixed address.
    Server(Box<Client>),
    /// The primary that Redis Sentinels name. One client for each of them, so that one that does not answer holds up no
    /// other.
    Sentinels(Vec<Mutex<SentinelClient>>),
    /// All primaries of a Redis Cluster, and the nodes that the configuration names.
    Cluster(Box<ClusterClient>, Vec<Client>),
}

impl fmt::Debug for Source {
    /// Omits the URLs, which may contain passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl Source {
    /// The server of a URL, or, with Sentinels, the primary whose name is the host of the URL; user, password, database
    /// and TLS are those of the URL, too. With a cluster, the URL may be several, of any of its nodes.
    pub(super) fn new(url: &SecretString, config: &config::Redis) -> RedisResult<Self> {
        if config.cluster {
            return Self::cluster(url, config.timeout);
        }
        let server = Client::open(url.expose_secret())?;
        if config.sentinels.is_empty() {
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
        let sentinels = config.sentinels.iter().map(|sentinel| {
            let of_server = Some(of_server.clone());
            let urls = vec![sentinel.expose_secret()];
            SentinelClient::build(urls, name, of_server, SentinelServerType::Master).map(Mutex::new)
        });
        sentinels.collect::<RedisResult<_>>().map(Self::Sentinels)
    }

    fn cluster(urls: &SecretString, timeout: Duration) -> RedisResult<Self> {
        let nodes = config::separate(urls).into_iter().map(|url| Client::open(url.expose_secret()));
        let nodes = nodes.collect::<RedisResult<Vec<_>>>()?;
        let [shortest_ms, longest_ms] = RETRY_WAIT_MS;
        let cluster = ClusterClient::builder(nodes.iter().map(|node| node.get_connection_info().clone()))
            .connection_timeout(NODE_TIMEOUT)
            .response_timeout(timeout)
            // Callers bound the whole by themselves.
            .overall_response_timeout(None)
            .retries(RETRIES)
            .min_retry_wait(shortest_ms)
            .max_retry_wait(longest_ms)
            .build()?;
        Ok(Self::Cluster(Box::new(cluster), nodes))
    }

    /// Opens a connection for commands.
    pub(super) async fn connect(&self) -> RedisResult<OpenConnection> {
        let server = match self {
            Self::Server(server) => Client::clone(server),
            Self::Sentinels(sentinels) => primary(sentinels).await?,
            Self::Cluster(cluster, _) => return cluster.get_async_connection().await.map(OpenConnection::Cluster),
        };
        let manager = RedisConnectionManager::new(server.get_connection_info().clone())?;
        let server = manager.connect().await?;
        Ok(OpenConnection::Server(Box::new(manager), server))
    }

    /// Opens a connection for subscriptions; in a cluster to the first node that answers, because each passes on what is
    /// published at any.
    pub(super) async fn subscriber(&self) -> RedisResult<PubSub> {
        match self {
            Self::Server(server) => server.get_async_pubsub().await,
            Self::Sentinels(sentinels) => primary(sentinels).await?.get_async_pubsub().await,
            Self::Cluster(_, nodes) => {
                let attempts = nodes.iter().map(|node| node.get_async_pubsub().boxed());
                select_ok(attempts).await.map(|(subscriber, _)| subscriber)
            }
        }
    }
}

/// Returns the primary. The first Sentinel to name one that says itself that it is a primary is believed: one that was cut
/// off from the others may still name the primary before.
async fn primary(sentinels: &[Mutex<SentinelClient>]) -> RedisResult<Client> {
    let attempts = sentinels.iter().map(|sentinel| async { sentinel.lock().await.async_get_client().await }.boxed());
    select_ok(attempts).await.map(|(server, _)| server)
}
