//! A Redis Cluster for tests: primaries that share the slots evenly, and replicas that take over for failed primaries.

use std::time::{Duration, Instant};

use crate::Error;
use crate::redis::Redis;

/// The number of slots of every cluster; each key is in one of them.
const SLOTS: usize = 16_384;
/// The maximum time until a node is ready; a new node waits for two seconds before it reports that.
const READY_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running, empty Redis Cluster; its nodes end like a [`Redis`].
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
    primaries: usize,
}

impl RedisCluster {
    /// Starts this number of primaries and waits until all of them know each other and serve.
    ///
    /// # Errors
    ///
    /// See [`Redis::start`]; Redis must be of version 7 or later.
    pub async fn start(primaries: usize) -> Result<Self, Error> {
        let mut cluster = Self { nodes: Vec::new(), primaries };
        for number in 0..primaries {
            let node = Redis::node().await?;
            // Each node gets a distinct epoch, which prevents conflicts.
            node.command(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1)).await?;
            let (first, last) = (number * SLOTS / primaries, (number + 1) * SLOTS / primaries - 1);
            node.command(&format!("CLUSTER ADDSLOTSRANGE {first} {last}")).await?;
            cluster.add(node).await?;
        }
        cluster.ready().await?;
        Ok(cluster)
    }

    /// Starts a replica of a primary, and waits until it is synchronized and known to all nodes.
    ///
    /// # Errors
    ///
    /// See [`RedisCluster::start`].
    pub async fn add_replica(&mut self, of: usize) -> Result<(), Error> {
        let primary = self.nodes[of].command("CLUSTER MYID").await?;
        let primary = primary.lines().nth(1).unwrap_or_default().to_owned();
        self.add(Redis::node().await?).await?;
        self.ready().await?;
        let Some(replica) = self.nodes.last() else { return Ok(()) };
        replica.command(&format!("CLUSTER REPLICATE {primary}")).await?;
        let follows = format!("slave {primary}");
        until("a replica has what its primary has", async || {
            Ok(replica.command("INFO replication").await?.contains("master_link_status:up"))
        })
        .await?;
        until("all nodes know a replica", async || {
            for node in &self.nodes {
                if !node.command("CLUSTER NODES").await?.contains(&follows) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }

    /// The connection URLs of all nodes, separated by commas.
    #[must_use]
    pub fn urls(&self) -> String {
        self.nodes.iter().map(Redis::url).collect::<Vec<_>>().join(",")
    }

    /// The nodes: the primaries, then the replicas in the order in which they were added.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Kills a node with SIGKILL.
    pub fn crash(&mut self, number: usize) {
        self.nodes[number].crash();
    }

    /// Restarts a killed node: the same node, without data.
    ///
    /// # Errors
    ///
    /// See [`Redis::start`].
    pub async fn restart(&mut self, number: usize) -> Result<(), Error> {
        self.nodes[number].restart().await
    }

    /// Introduces a node to the first one, which announces it to all others.
    async fn add(&mut self, node: Redis) -> Result<(), Error> {
        if let Some(first) = self.nodes.first() {
            first.command(&format!("CLUSTER MEET 127.0.0.1 {} {}", node.port(), node.bus_port())).await?;
        }
        self.nodes.push(node);
        Ok(())
    }

    /// Waits until every node knows all others, and that the primaries have all slots.
    async fn ready(&self) -> Result<(), Error> {
        let facts = [
            "cluster_state:ok".to_owned(),
            format!("cluster_known_nodes:{}", self.nodes.len()),
            format!("cluster_size:{}", self.primaries),
        ];
        until("all nodes know each other", async || {
            for node in &self.nodes {
                let info = node.command("CLUSTER INFO").await?;
                if !facts.iter().all(|fact| info.lines().any(|line| line == fact)) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }
}

async fn until(what: &str, holds: impl AsyncFn() -> Result<bool, Error>) -> Result<(), Error> {
    let since = Instant::now();
    while !holds().await? {
        if since.elapsed() > READY_TIMEOUT {
            let what = format!("the Redis Cluster is not as it should be: {what}");
            return Err(Error::Failed { what, log: String::new() });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}
