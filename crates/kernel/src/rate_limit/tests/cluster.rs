//! Rate limit tests with a Redis Cluster, where the keys of a request are on different nodes.

use mainstay_dev_servers::RedisCluster;

use super::*;

/// A limiter on a cluster, without Postgres.
async fn on(cluster: &RedisCluster, read: Quota) -> Limiter {
    let config =
        config::Redis { url: Some(cluster.urls().into()), cluster: true, sentinels: Vec::new(), timeout: TIMEOUT };
    let redis = Redis::new(&config, Clock::default()).await.unwrap();
    Limiter::new(redis, nowhere().await, &limits(read), Clock::default())
}

#[tokio::test]
async fn instances_share_the_limits_wherever_their_keys_are() {
    let cluster = RedisCluster::start(3).await.unwrap();
    // The rate is so slow that the duration of the test does not matter.
    let quota = read(40, Duration::from_secs(86_400));
    let [one, other] = [on(&cluster, quota).await, on(&cluster, quota).await];
    for number in 0..20 {
        let caller = caller();
        let charges = [Charge::principal(Work::Read, &caller), address(&format!("192.0.2.{number}"))];
        let (first, refusal) = row(&one, &charges).await;
        let (second, _) = row(&other, &charges).await;
        // The total may lack the unspent rest of an expired lease.
        assert!((8..=10).contains(&(first + second)), "{first} and {second} of a burst of 10");
        assert_eq!(refusal.policy, PolicyId::User(Work::Read));
    }
    for node in cluster.nodes() {
        let config = config::Redis { url: None, cluster: false, sentinels: Vec::new(), timeout: TIMEOUT };
        let link = RedisLink::new(&SecretString::from(node.url()), &config).await.unwrap();
        assert!(link.cmd::<i64>(&redis::cmd("DBSIZE")).await.unwrap() > 0, "each node has some of the keys");
    }
}

#[tokio::test]
async fn the_networks_of_a_site_share_a_limit_wherever_their_keys_are() {
    let cluster = RedisCluster::start(3).await.unwrap();
    let config =
        config::Redis { url: Some(cluster.urls().into()), cluster: true, sentinels: Vec::new(), timeout: TIMEOUT };
    let redis = Redis::new(&config, Clock::default()).await.unwrap();
    let limiters = [narrow(redis.clone()).await, narrow(redis).await];
    for site in 0..10 {
        let count = networks_admitted(&limiters, site).await;
        assert!((8..=10).contains(&count), "{count}: all but what is left of leases");
    }
}

#[tokio::test]
async fn attempts_are_counted_under_all_limits_or_none() {
    let cluster = RedisCluster::start(3).await.unwrap();
    let limiter = on(&cluster, read(10, MINUTE)).await;
    ten_attempts(&limiter).await;
    taken_back(&limiter).await;
    for number in 0..10 {
        // An attempt that was counted on one node is taken back when another one rejects.
        let from = from(&format!("198.51.100.{number}"));
        for _ in 0..3 {
            assert!(limiter.attempt(&[from, account("ada@example.org")]).await.is_err());
        }
        for _ in 0..10 {
            drop(limiter.attempt(&[from]).await.unwrap());
        }
        assert!(limiter.attempt(&[from]).await.is_err());
    }
}
