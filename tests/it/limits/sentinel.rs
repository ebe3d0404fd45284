//! Redis Sentinel promotes another Redis while two servers serve: no request fails or waits for that, and afterwards
//! the servers share limits again.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use mainstay_dev_servers::{Redis, RedisOptions};
use serde_json::json;

use super::pair::{BURST, connect, count_admitted, has_counted, is_healthy, write};
use crate::support::{Actor, Process, TestDatabase, actor::sign_in, eventually, people::Cast};

/// The name under which Sentinel knows the primary.
pub(crate) const NAME: &str = "shop";

/// Returns the replication section of INFO. Each call opens a connection, because Sentinel closes the connections of a
/// Redis that it promotes, even new ones.
async fn replication_info(url: &str) -> redis::RedisResult<String> {
    redis::cmd("INFO").arg("replication").query_async(&mut connect(url).await?).await
}

/// Waits until Sentinel has promoted a replica.
pub(crate) async fn promotion(replica: &Redis) {
    eventually("the replica is the primary", async || {
        replication_info(&replica.url()).await.is_ok_and(|info| info.contains("role:master"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_serve_while_sentinel_elects_another_redis() {
    let mut primary = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let replica = RedisOptions { primary: Some(primary.port()), ..RedisOptions::default() };
    let replica = Redis::start(replica).await.expect("a replica");
    let sentinel = Redis::sentinel(NAME, &primary).await.expect("a Sentinel");
    let (url, sentinels) = (format!("redis://{NAME}"), sentinel.url());
    let database = TestDatabase::new().await;
    let settings = [
        ("REDIS_URL", url.as_str()),
        ("REDIS_SENTINELS", sentinels.as_str()),
        ("RATE_LIMIT_READ", "80/1h"),
        ("OPEN_TICKET_LIMIT", "1000000"),
    ];
    let (first, second) = tokio::join!(Process::with(&database, &settings), Process::with(&database, &settings));
    let endpoints = [&first.endpoint, &second.endpoint];
    let Cast { customer, colleague, stranger, .. } = Cast::new(&first.endpoint, &database).await;
    let session = sign_in(&first.endpoint, customer.as_user()).await.success();
    let writer = session.text("/data/accessToken");
    let before = colleague.token().await.expect("a token");
    let after = stranger.token().await.expect("a token");
    assert!((10..=BURST).contains(&count_admitted(&before, endpoints).await), "what both servers admit together");

    // Redis replicates asynchronously, after it has answered, and Sentinel polls for replicas every ten seconds.
    let mut connection = connect(&primary.url()).await.expect("Redis answers");
    redis::cmd("SET").arg("last").arg(1).exec_async(&mut connection).await.expect("it is set");
    eventually("the replica has all of it", async || {
        let copies: Result<i64, _> = redis::cmd("WAIT").arg(1).arg(20).query_async(&mut connection).await;
        copies.is_ok_and(|copies| copies == 1)
    })
    .await;
    let mut sentinel_connection = connect(&sentinels).await.expect("Sentinel answers");
    eventually("Sentinel knows the replica", async || {
        let replicas: Result<Vec<redis::Value>, _> =
            redis::cmd("SENTINEL").arg("REPLICAS").arg(NAME).query_async(&mut sentinel_connection).await;
        replicas.is_ok_and(|replicas| !replicas.is_empty())
    })
    .await;

    let stop = AtomicBool::new(false);
    let writers = endpoints.map(|endpoint| Actor::bearer(endpoint, writer.clone()));
    let election = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        primary.crash();
        let since = Instant::now();
        promotion(&replica).await;
        let elected = since.elapsed();
        for server in [&first, &second] {
            eventually("the server has found it", async || is_healthy(server).await).await;
        }
        let recovery = since.elapsed();
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.store(true, Ordering::Relaxed);
        (elected, recovery)
    };
    let (one, other, (elected, recovery)) =
        tokio::join!(write(&writers[0], &stop), write(&writers[1], &stop), election);
    println!("{one} and {other} writes; a primary after {elected:?}, found after {recovery:?}");
    let fell_back = async |server: &Process| has_counted(server, "mainstay_rate_limit_fallbacks_total").await;
    assert!(fell_back(&first).await || fell_back(&second).await, "meanwhile they counted by themselves");

    // Each server alone would admit a whole burst of an unknown caller.
    assert!((10..=BURST).contains(&count_admitted(&after, endpoints).await), "what both servers admit together, again");
    // The new primary has the counts.
    let more = count_admitted(&before, endpoints).await;
    assert!(more <= 3, "{more} more than a burst");
    let refresh = json!({ "refreshToken": session.text("/data/refreshToken") });
    writers[1].rest("AuthService.Refresh", refresh).await.success();
    assert!(is_healthy(&first).await && is_healthy(&second).await);
}
