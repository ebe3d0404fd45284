//! A cluster of Patroni with the configuration of `deploy/patroni`: an etcd, three nodes, and a HAProxy.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};
use mainstay_dev_servers::{Etcd, HttpProxy, NodeLinks, PatroniNode, PatroniPasswords, ProxyKind, patronictl};
use serde_json::Value;

use super::network::Link;
use crate::support::database::sql;

/// How long the cluster may take until all nodes replicate.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(180);
const SCOPE: &str = "mainstay";
const DATABASE: &str = "mainstay";
const VARIABLES: &str = include_str!("../../../deploy/patroni/node.env");

pub(super) struct Cluster {
    etcd: Etcd,
    nodes: Vec<Node>,
    haproxy: HttpProxy,
    passwords: PatroniPasswords,
}

/// A node, and the links over which it reaches etcd, and the other nodes reach it. The servers reach it directly.
struct Node {
    patroni: PatroniNode,
    to_etcd: Link,
    to_api: Link,
    to_postgres: Link,
}

impl Node {
    fn links(&self) -> NodeLinks {
        let [etcd, api, postgres] = [&self.to_etcd, &self.to_api, &self.to_postgres].map(|link| link.address);
        NodeLinks { etcd, api, postgres }
    }
}

impl Cluster {
    pub(super) async fn start() -> Self {
        let etcd = Etcd::start().await.expect("an etcd");
        let passwords = PatroniPasswords::generate();
        let mut nodes = Vec::new();
        for name in ["db1", "db2", "db3"] {
            let patroni = PatroniNode::new(name).expect("a Patroni");
            let to_etcd = Link::to(etcd.port()).await;
            let to_api = Link::to(patroni.api().port()).await;
            let to_postgres = Link::to(patroni.postgres().port()).await;
            let mut node = Node { patroni, to_etcd, to_api, to_postgres };
            let links = node.links();
            node.patroni.start(&patroni_configuration(), VARIABLES, links, &passwords).await.expect("a node");
            nodes.push(node);
        }
        let configuration = |own: [SocketAddr; 2], _: &Path| haproxy_configuration(&nodes, own);
        let haproxy = HttpProxy::start(ProxyKind::HaProxy, configuration).await.expect("a HAProxy");
        let cluster = Self { etcd, nodes, haproxy, passwords };
        let leader = cluster.wait_until_whole().await;
        let url = cluster.url_of(cluster.nodes[leader].patroni.postgres(), "postgres");
        sql(&url, &format!("CREATE DATABASE {DATABASE}")).await;
        cluster
    }

    /// The URL of the leader, through HAProxy.
    pub(super) fn url(&self) -> String {
        self.url_of(self.haproxy.addresses()[0], DATABASE)
    }

    /// The URL of any standby, through HAProxy.
    pub(super) fn standbys_url(&self) -> String {
        self.url_of(self.haproxy.addresses()[1], DATABASE)
    }

    /// The URLs of all nodes, without HAProxy, because the server measures the lag of each.
    pub(super) fn replica_urls(&self) -> String {
        let urls: Vec<_> = self.nodes.iter().map(|node| self.url_of(node.patroni.postgres(), DATABASE)).collect();
        urls.join(",")
    }

    fn url_of(&self, address: SocketAddr, database: &str) -> String {
        self.passwords.url(address, database)
    }

    /// Kills the leader's Patroni and Postgres. After another node leads, the former leader starts again.
    pub(super) async fn lose_leader(&mut self) {
        let leader = self.leader().await;
        self.nodes[leader].patroni.kill();
        self.wait_for_leader_other_than(leader).await;
        self.nodes[leader].patroni.restart().await.expect("the former leader starts");
        self.wait_until_whole().await;
    }

    /// Kills the leader's Patroni; its Postgres continues.
    pub(super) async fn lose_patroni(&mut self) {
        let leader = self.leader().await;
        self.nodes[leader].patroni.kill_patroni();
        self.wait_for_leader_other_than(leader).await;
        self.nodes[leader].patroni.restart().await.expect("the former leader's Patroni starts");
        self.wait_until_whole().await;
    }

    /// Suspends the leader's Patroni and Postgres until another node leads, and for a while after.
    pub(super) async fn hang_leader(&mut self, rest: Duration) {
        let leader = self.leader().await;
        let frozen = self.nodes[leader].patroni.freeze();
        self.wait_for_leader_other_than(leader).await;
        tokio::time::sleep(rest).await;
        drop(frozen);
        self.wait_until_whole().await;
    }

    /// Separates the leader from etcd and from the other nodes for a time. The servers still reach it. No node reaches the API of
    /// another, because all share these links.
    pub(super) async fn isolate_leader(&mut self, time: Duration) {
        let leader = self.leader().await;
        let Node { to_etcd, to_postgres, .. } = &self.nodes[leader];
        let apis = join_all(self.nodes.iter().map(|node| node.to_api.silent(time)));
        join(join(to_etcd.silent(time), to_postgres.silent(time)), apis).await;
        assert_ne!(self.wait_until_whole().await, leader, "another node leads");
    }

    /// Separates all nodes from etcd for a time. The leader stays the same.
    pub(super) async fn lose_etcd(&mut self, time: Duration) {
        let leader = self.leader().await;
        join_all(self.nodes.iter().map(|node| node.to_etcd.silent(time))).await;
        assert_eq!(self.wait_until_whole().await, leader, "the leader stays");
    }

    /// Lets another node lead, as before the maintenance of a machine.
    pub(super) async fn switch_over(&mut self) {
        let leader = self.leader().await;
        let etcd = (std::net::Ipv4Addr::LOCALHOST, self.etcd.port()).into();
        let ctl = tokio::task::spawn_blocking(move || patronictl(SCOPE, etcd, &["switchover", SCOPE, "--force"]));
        let output = ctl.await.expect("no panic").expect("a switchover");
        assert_ne!(self.wait_until_whole().await, leader, "another node leads: {output}");
    }

    async fn leader(&self) -> usize {
        self.wait_until_whole().await
    }

    async fn wait_for_leader_other_than(&self, former: usize) {
        self.wait_for("another leader", |members| {
            let leads = |member: &&Value| member["role"] == "leader" && member["state"] == "running";
            let name = members.iter().find(leads)?["name"].as_str()?;
            (name != self.nodes[former].patroni.name()).then_some(())
        })
        .await;
    }

    /// Waits until all nodes are on the leader's timeline, and one is its synchronous standby. Returns the leader.
    async fn wait_until_whole(&self) -> usize {
        self.wait_for("a whole cluster", |members| {
            let timelines: BTreeSet<_> = members.iter().map(|member| member["timeline"].as_i64()).collect();
            let is_running =
                |member: &Value| ["running", "streaming"].contains(&member["state"].as_str().unwrap_or_default());
            let role = |name: &str| members.iter().find(|member| member["role"] == name);
            let (leader, _) = (role("leader")?, role("sync_standby")?);
            let is_whole = members.len() == self.nodes.len() && timelines.len() == 1 && members.iter().all(is_running);
            let is_leader = |node: &Node| leader["name"] == node.patroni.name();
            is_whole.then(|| self.nodes.iter().position(is_leader)).flatten()
        })
        .await
    }

    /// Waits until a state of the members, as some node sees it, has a value.
    async fn wait_for<T>(&self, what: &str, value: impl Fn(&[Value]) -> Option<T>) -> T {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().expect("a client");
        let since = Instant::now();
        loop {
            let mut states = Vec::new();
            for node in &self.nodes {
                let Ok(response) = http.get(format!("http://{}/cluster", node.patroni.api())).send().await else {
                    continue;
                };
                let Ok(state) = response.json::<Value>().await else { continue };
                if let Some(value) = state["members"].as_array().and_then(|members| value(members)) {
                    return value;
                }
                states.push(state);
            }
            if since.elapsed() > WHOLE_TIMEOUT {
                let logs = self.nodes.iter().map(|node| node.patroni.log());
                let ends: Vec<_> = logs.map(|log| log.lines().rev().take(15).collect::<Vec<_>>().join("\n")).collect();
                panic!("{what}: {states:#?}\n{}", ends.join("\n\n"));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Returns the example without a socket, whose directory may be missing or belong to another account. Patroni uses the given
/// address of etcd, not the one that etcd announces, which would bypass the link.
fn patroni_configuration() -> String {
    let text = include_str!("../../../deploy/patroni/patroni.yaml").to_owned();
    let text = replace(text, "scope: mainstay\n", "scope: mainstay\netcd3: {use_proxies: true}\n");
    replace(text, "/var/run/postgresql", "''")
}

/// Returns the example with other addresses.
fn haproxy_configuration(nodes: &[Node], own: [SocketAddr; 2]) -> String {
    let mut text = include_str!("../../../deploy/patroni/haproxy.cfg").to_owned();
    for (number, node) in (1..).zip(nodes) {
        let (postgres, api) = (node.patroni.postgres(), node.patroni.api().port());
        text = replace(text, &format!("10.0.0.{number}:5432 check port 8008"), &format!("{postgres} check port {api}"));
    }
    let text = replace(text, "bind 127.0.0.1:5000", &format!("bind {}", own[0]));
    replace(text, "bind 127.0.0.1:5001", &format!("bind {}", own[1]))
}

fn replace(text: String, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the example has no {from}");
    text.replace(from, to)
}
