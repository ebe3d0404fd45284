//! Two servers that share a Redis, and requests to both.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    cases::draft,
    support::{Actor, Endpoint, PROTOCOLS, Process},
};

/// A quarter of a quota of 80 reads an hour, and the refill during a slow test.
pub(crate) const BURST: usize = 20 + 3;
/// No request waits for an unavailable Redis.
pub(crate) const SLOWEST: Duration = Duration::from_secs(10);

/// Reads in turn at both servers, more than both admit together, and returns the number of admitted reads.
pub(crate) async fn count_admitted(token: &str, at: [&Endpoint; 2]) -> usize {
    let mut count = 0;
    for number in 0..2 * BURST {
        let who = Actor::bearer(at[number % 2], token);
        let answer = who.call(PROTOCOLS[number / 2 % 2], "UserService.GetMe", json!({})).await;
        match answer.reason.as_str() {
            "" => count += 1,
            "RATE_LIMIT_EXCEEDED" => {}
            other => panic!("{other}: {answer:#?}"),
        }
    }
    count
}

/// Creates tickets until told to stop; each must succeed quickly.
pub(crate) async fn write(who: &Actor, stop: &AtomicBool) -> usize {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let since = Instant::now();
        who.call(PROTOCOLS[count % 2], "TicketService.CreateTicket", draft()).await.success();
        assert!(since.elapsed() < SLOWEST, "{:?}", since.elapsed());
        count += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    count
}

/// Returns whether a server reports that all its dependencies are available, including Redis.
pub(crate) async fn is_healthy(server: &Process) -> bool {
    let private = &server.private;
    let health = private.http.get(format!("{}/health", private.base())).send().await.expect("an answer");
    health.status() == 200
}

/// Returns whether a counter of a server is above zero.
pub(crate) async fn has_counted(server: &Process, counter: &str) -> bool {
    let metrics = server.private.get("/metrics").await.body.to_string();
    let (_, value) = metrics.rsplit_once(&format!("{counter} ")).expect("the metric");
    matches!(value.as_bytes().first(), Some(b'1'..=b'9'))
}

pub(crate) async fn connect(url: &str) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
    redis::Client::open(url)?.get_multiplexed_async_connection().await
}
