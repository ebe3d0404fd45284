//! The set-up of docs/high-availability.md serves a steady load while its leader is lost, hangs, is isolated or is switched
//! over, and while Redis Sentinel elects another Redis: no acknowledged write is lost or doubled, and writes resume.

use std::{sync::Arc, time::Duration};

use mainstay_dev_servers::{Redis, RedisOptions};

use super::{
    Settings, books,
    cluster::Cluster,
    driver::{Driver, Phase},
    mix::Mix,
    report::Report,
    world::Service,
};
use crate::{
    limits::sentinel,
    support::{database::sql, servers},
};

/// The longest time without writes: a leader is replaced after its lock has expired, `ttl` in deploy/patroni/patroni.yaml, and
/// accepts writes once a standby follows it. This machine also runs all servers.
const REPLACED: Duration = Duration::from_secs(45);
/// The longest time without writes if the leader hands its lock over.
const HANDED_OVER: Duration = Duration::from_secs(20);
/// The longest time without writes if the leader stays the same.
const CONTINUED: Duration = Duration::from_secs(5);
/// Longer than the lock of a leader.
const FAULT: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by `make ha`"]
async fn acknowledged_writes_hold_while_leaders_are_replaced() {
    let settings = Settings::read();
    let mut cluster = Cluster::start().await;
    servers::migrate(&cluster.url()).await;
    let mut redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let replica = RedisOptions { primary: Some(redis.port()), ..RedisOptions::default() };
    let replica = Redis::start(replica).await.expect("a replica of Redis");
    let sentinels = Redis::sentinel(sentinel::NAME, &redis).await.expect("a Sentinel");
    let own = [
        ("DATABASE_URL", format!("{}&target_session_attrs=read-write", cluster.url())),
        ("DATABASE_REPLICA_URLS", cluster.replica_urls()),
        ("REDIS_URL", format!("redis://{}", sentinel::NAME)),
        ("REDIS_SENTINELS", sentinels.url()),
        // The default.
        ("DATABASE_POOL_WAIT", "800ms".to_owned()),
    ];
    let service = Service::start(settings, &cluster.url(), own).await;
    let mix = Arc::new(Mix::new(&service).await);
    let driver = Driver::new(mix.clone(), settings.rate, settings.tail);
    let mut report = Report::new(settings);
    let phase = |name| Phase { name, length: settings.phase, factor: 1.0 };

    report.phase(driver.run(phase("undisturbed"), async {}).await);
    report.fault(driver.run(phase("the leader is killed"), cluster.lose_leader()).await, REPLACED);
    report.fault(driver.run(phase("a switchover"), cluster.switch_over()).await, HANDED_OVER);
    report.fault(driver.run(phase("the leader is isolated"), cluster.isolate_leader(FAULT)).await, REPLACED);
    report.fault(driver.run(phase("the leader hangs"), cluster.hang_leader(settings.phase)).await, REPLACED);
    report.fault(driver.run(phase("its Patroni is killed"), cluster.lose_patroni()).await, REPLACED);
    report.fault(driver.run(phase("etcd is lost"), cluster.lose_etcd(FAULT)).await, CONTINUED);
    let redis_loss = async {
        redis.crash();
        sentinel::promotion(&replica).await;
    };
    report.fault(driver.run(phase("Redis is lost"), redis_loss).await, CONTINUED);

    let standby = sql(&cluster.standbys_url(), "SELECT pg_is_in_recovery()").await;
    assert_eq!(standby[0][0].as_deref(), Some("t"), "HAProxy leads reports to a standby");
    report.books(books::check(&mix, &service).await);
    report.print();
    service.defects().iter().take(3).for_each(|line| println!("{line}"));
    let failures = report.failures();
    assert!(failures.is_empty(), "{failures:#?}");
}
