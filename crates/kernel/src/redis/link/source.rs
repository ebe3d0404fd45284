//! Selects the server to connect to.

use std::time::Duration;

use bb8_redis::{RedisConnectionManager, bb8::ManageConnection as _};
use futures_util::future::{FutureExt as _, select_ok};
use redis::{
    Client, ConnectionAddr, ErrorKind, RedisResult, TlsMode,
    cluster::ClusterClient,
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

use super::connection::OpenConnection;
use crate::config;

/// The longest wait for one node of a cluster: a quarter of the timeout of a probe. Nodes are connected to in two rounds, and
/// a silent node must leave time for the others.
const NODE_TIMEOUT: Duration = Duration::from_millis(125);
/// The retries of a command, which may have to follow its slot to another node several times, or to wait until all keys of a
/// script have moved.
const RETRIES: u32 = 6;
/// The shortest and the longest wait before a retry, in milliseconds.
const RETRY_WAIT_MS: [u64; 2] = [1, 4];

pub(super) enum Source {
    Server(Box<Client>),
    /// The primary that Redis Sentinels name. Each Sentinel has a client, so that a silent one does not delay the others.
    Sentinels(Vec<Mutex<SentinelClient>>),
    Cluster(Box<ClusterClient>),
}

// Omits the URLs, which may contain passwords.
debug_fields!(Source);

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
            // Callers bound the total time.
            .overall_response_timeout(None)
            .retries(RETRIES)
            .min_retry_wait(shortest_ms)
            .max_retry_wait(longest_ms)
            .build()?;
        Ok(Self::Cluster(Box::new(cluster)))
    }

    pub(super) async fn connect(&self) -> RedisResult<OpenConnection> {
        let server = match self {
            Self::Server(server) => Client::clone(server),
            Self::Sentinels(sentinels) => primary(sentinels).await?,
            Self::Cluster(cluster) => return cluster.get_async_connection().await.map(OpenConnection::Cluster),
        };
        let manager = RedisConnectionManager::new(server.get_connection_info().clone())?;
        let server = manager.connect().await?;
        Ok(OpenConnection::Server(Box::new(manager), server))
    }
}

/// Returns the primary that the first Sentinel names, if that server confirms its role: a partitioned Sentinel may still name
/// the previous primary.
async fn primary(sentinels: &[Mutex<SentinelClient>]) -> RedisResult<Client> {
    let attempts = sentinels.iter().map(|sentinel| async { sentinel.lock().await.async_get_client().await }.boxed());
    select_ok(attempts).await.map(|(server, _)| server)
}
