//! Tests with a Redis Cluster, whose primaries are killed or stopped.

use mainstay_dev_servers::RedisCluster;

use super::*;

const KEYS: i64 = 60;

async fn link_to(cluster: &RedisCluster) -> RedisLink {
    let config = config::Redis { cluster: true, ..config(&[]) };
    RedisLink::new(&SecretString::from(cluster.urls()), &config).await.unwrap()
}

/// Whether all keys can be asked for; each must have the value that it was given, if it was.
async fn has_all(link: &RedisLink, is_filled: bool) -> bool {
    for number in 0..KEYS {
        match link.cmd::<Option<i64>>(redis::cmd("GET").arg(format!("key:{number}"))).await {
            Ok(value) => assert_eq!(value, is_filled.then_some(number)),
            Err(_) => return false,
        }
    }
    true
}

/// Stores a value under each key.
async fn fill(link: &RedisLink) {
    for number in 0..KEYS {
        link.cmd::<()>(redis::cmd("SET").arg(format!("key:{number}")).arg(number)).await.unwrap();
    }
}

async fn size(node: &Redis) -> i64 {
    link(node).await.cmd(&redis::cmd("DBSIZE")).await.unwrap()
}

#[tokio::test]
async fn scripts_reach_every_node() {
    let cluster = RedisCluster::start(3).await.unwrap();
    let link = link_to(&cluster).await;
    fill(&link).await;
    for node in cluster.nodes() {
        assert!(size(node).await > 0, "the keys are spread");
    }
    let script = Script::new("return redis.call('GET', KEYS[1])");
    for _ in 0..2 {
        for number in 0..KEYS {
            let key = format!("key:{number}");
            assert_eq!(link.script::<i64>(&script, &[key.as_str()], &[0]).await.unwrap(), number);
        }
        link.cmd::<()>(redis::cmd("SCRIPT").arg("FLUSH")).await.unwrap();
    }
    let count = Script::new("return #KEYS");
    assert_eq!(link.script::<i64>(&count, &["{a}:1", "{a}:2"], &[0]).await.unwrap(), 2);
    let apart = link.script::<i64>(&count, &["a", "b"], &[0]).await;
    assert!(
        matches!(apart, Err(Unavailable::Failed(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::CrossSlot))
    );
    assert_eq!(link.state(), Circuit::Closed, "that is no outage");
}

/// A primary ends in some way: the cluster is unavailable, to all callers soon, until its replica has taken over.
async fn replaced(end: impl FnOnce(&mut RedisCluster)) -> RedisCluster {
    let mut cluster = RedisCluster::start(3).await.unwrap();
    cluster.add_replica(0).await.unwrap();
    let link = link_to(&cluster).await;
    fill(&link).await;
    let (primary, replica) = (&cluster.nodes()[0], &cluster.nodes()[3]);
    eventually("the replica has it all", async || size(replica).await == size(primary).await).await;
    end(&mut cluster);
    let since = Instant::now();
    let mut number = 0;
    // The answers of the others come in between.
    while link.state() == Circuit::Closed {
        assert!(since.elapsed() < Duration::from_secs(60), "it is still asked");
        link.cmd::<Option<i64>>(redis::cmd("GET").arg(format!("key:{number}"))).await.ok();
        number = (number + 1) % KEYS;
    }
    eventually("the replica has taken over", async || has_all(&link, true).await).await;
    fill(&link).await;
    cluster
}

#[tokio::test]
async fn a_replica_takes_over_from_a_primary_that_was_killed() {
    replaced(|cluster| cluster.crash(0)).await;
}

#[tokio::test]
async fn a_replica_takes_over_from_a_primary_that_hangs() {
    let cluster = replaced(|cluster| signal(&cluster.nodes()[0], Signal::SIGSTOP)).await;
    signal(&cluster.nodes()[0], Signal::SIGCONT);
}

#[tokio::test]
async fn a_primary_without_a_replica_is_waited_for() {
    let mut cluster = RedisCluster::start(3).await.unwrap();
    let link = link_to(&cluster).await;
    cluster.crash(1);
    eventually("it is missed", async || !has_all(&link, false).await).await;
    // Longer than the others need to agree that it is gone.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(matches!(ping(&link).await, Err(Unavailable::Open)), "one that lacks a primary is not used");
    cluster.restart(1).await.unwrap();
    eventually("it is back", async || has_all(&link, false).await).await;
}
