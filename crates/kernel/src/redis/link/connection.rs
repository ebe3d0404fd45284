//! A connection to one server, or to all nodes of a Redis Cluster, behind one interface.

use std::collections::HashMap;

use bb8_redis::{RedisConnectionManager, bb8::ManageConnection as _};
use redis::{
    Cmd, ErrorKind, Pipeline, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo},
    from_redis_value,
};

/// A connection of the pool, which can check it.
pub(super) enum OpenConnection {
    Server(Box<RedisConnectionManager>, MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl OpenConnection {
    /// Returns a handle for callers, who share the connection.
    pub(super) fn shared(&self) -> Connection {
        match self {
            Self::Server(_, server) => Connection::Server(server.clone()),
            Self::Cluster(cluster) => Connection::Cluster(cluster.clone()),
        }
    }

    /// Checks that the server answers.
    pub(super) async fn check(&mut self) -> RedisResult<()> {
        match self {
            Self::Server(manager, server) => manager.is_valid(server).await,
            Self::Cluster(cluster) => check(cluster).await,
        }
    }
}

/// Checks that every primary answers and reports a complete cluster. `cluster_size` includes an unreachable primary
/// until a replica has replaced it, so that the number of answers is then smaller.
async fn check(cluster: &mut ClusterConnection) -> RedisResult<()> {
    let primaries = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
    let answers = cluster.route_command(redis::cmd("CLUSTER").arg("INFO").to_owned(), primaries).await?;
    let answers: HashMap<String, String> = from_redis_value(answers)?;
    let size = format!("cluster_size:{}", answers.len());
    let is_complete =
        |info: &String| ["cluster_state:ok", size.as_str()].iter().all(|fact| info.lines().any(|line| line == *fact));
    if answers.is_empty() || !answers.values().all(is_complete) {
        return Err((ErrorKind::Client, "the cluster lacks a primary, or some of its slots").into());
    }
    Ok(())
}

#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(server) => server.req_packed_command(cmd),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(server) => server.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(server) => server.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}
