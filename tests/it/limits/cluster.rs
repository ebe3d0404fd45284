//! A Redis Cluster: two servers share limits, sessions and cached values that lie on all its nodes, while slots move to
//! another node, and while a primary is lost.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use mainstay_dev_servers::{Redis, RedisCluster};
use serde_json::json;

use super::pair::{BURST, SLOWEST, connect, count_admitted, has_counted, is_healthy, write};
use crate::{
    cases::{draft, post::publish_post},
    support::{Actor, Endpoint, Process, TestDatabase, actor::sign_in, eventually, people::Cast},
};

/// How long a slot stays in migration, before and after its keys move, so that requests encounter that state.
const MIGRATION_PAUSE: Duration = Duration::from_millis(50);

/// A node, with an operator's connection.
struct Node<'a> {
    redis: &'a Redis,
    connection: redis::aio::MultiplexedConnection,
    id: String,
}

impl<'a> Node<'a> {
    async fn new(redis: &'a Redis) -> Self {
        let mut connection = connect(&redis.url()).await.expect("the node answers");
        let id = redis::cmd("CLUSTER").arg("MYID").query_async(&mut connection).await.expect("its id");
        Self { redis, connection, id }
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut command = redis::Cmd::new();
        command.arg(words);
        command.query_async(&mut self.connection).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    async fn keys(&mut self, pattern: &str) -> Vec<String> {
        self.ask(&["KEYS", pattern]).await
    }
}

/// Moves every slot that has keys from one node to another, sequentially.
async fn move_slots(from: &mut Node<'_>, to: &mut Node<'_>) -> usize {
    let (source, target) = (from.id.clone(), to.id.clone());
    let mut slots = BTreeSet::new();
    for key in from.keys("*").await {
        slots.insert(from.ask::<u16>(&["CLUSTER", "KEYSLOT", &key]).await.to_string());
    }
    for slot in &slots {
        to.ask::<()>(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &source]).await;
        from.ask::<()>(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &target]).await;
        tokio::time::sleep(MIGRATION_PAUSE).await;
        loop {
            let keys: Vec<String> = from.ask(&["CLUSTER", "GETKEYSINSLOT", slot, "100"]).await;
            if keys.is_empty() {
                break;
            }
            let port = to.redis.port().to_string();
            let mut words = vec!["MIGRATE", "127.0.0.1", port.as_str(), "", "0", "5000", "KEYS"];
            words.extend(keys.iter().map(String::as_str));
            // A key may have expired meanwhile, which is not an error.
            from.ask::<String>(&words).await;
        }
        tokio::time::sleep(MIGRATION_PAUSE).await;
        to.ask::<()>(&["CLUSTER", "SETSLOT", slot, "NODE", &target]).await;
        from.ask::<()>(&["CLUSTER", "SETSLOT", slot, "NODE", &target]).await;
    }
    slots.len()
}

/// Refreshes a session at both servers in turn until told to stop, and returns its last token. No refresh fails, because
/// sessions are in Postgres.
async fn refresh(at: [&Endpoint; 2], mut token: String, stop: &AtomicBool) -> String {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let since = Instant::now();
        let who = Actor::anonymous(at[number % 2]);
        let answer = who.rest("AuthService.Refresh", json!({ "refreshToken": token })).await;
        assert!(since.elapsed() < SLOWEST, "{:?}", since.elapsed());
        match answer.reason.as_str() {
            "" => token = answer.text("/data/refreshToken"),
            other => panic!("refresh {number}: {other}: {answer:#?}"),
        }
        number += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    token
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_a_cluster_while_slots_move_and_a_primary_is_lost() {
    let mut cluster = RedisCluster::start(3).await.expect("a cluster");
    let database = TestDatabase::new().await;
    let urls = cluster.urls();
    let settings = [
        ("REDIS_CLUSTER", "true"),
        ("REDIS_URL", urls.as_str()),
        ("RATE_LIMIT_READ", "80/1h"),
        ("OPEN_TICKET_LIMIT", "1000000"),
    ];
    let (first, second) = tokio::join!(Process::with(&database, &settings), Process::with(&database, &settings));
    let at = [&first.endpoint, &second.endpoint];
    for server in [&first, &second] {
        eventually("the server has found the cluster", async || is_healthy(server).await).await;
    }
    let Cast { customer, colleague, stranger, agent, .. } = Cast::new(at[0], &database).await;

    // Both servers share limits and cached posts.
    let session = sign_in(at[0], customer.as_user()).await.success();
    let before = colleague.token().await.expect("a token");
    let after = stranger.token().await.expect("a token");
    assert!((10..=BURST).contains(&count_admitted(&before, at).await), "what both servers admit together");
    sessions_end_on_both(at, &stranger).await;
    posts_follow_on_both(at, &agent).await;
    for server in [&first, &second] {
        assert!(!has_counted(server, "mainstay_redis_failures_total").await, "no script has keys on two nodes");
    }

    // Each address has separate keys, which the cluster spreads over its nodes.
    let mut number = 0;
    eventually("each node has some of the keys", async || {
        number += 1;
        let unknown = json!({ "email": format!("unknown{number}@example.com"), "password": "wrong" });
        Actor::anonymous(at[0]).rest("AuthService.Login", unknown).await.failure("INVALID_CREDENTIALS");
        let mut has_keys = true;
        for redis in cluster.nodes() {
            has_keys &= !Node::new(redis).await.keys("*").await.is_empty();
        }
        has_keys
    })
    .await;
    // A node with known networks gives its slots to another node, which will be lost.
    let (mut from, mut known) = (0, None);
    for (number, redis) in cluster.nodes().iter().enumerate() {
        let mut node = Node::new(redis).await;
        if let Some(key) = node.keys("mainstay:networks:*").await.into_iter().next() {
            (from, known) = (number, Some(key));
        }
    }
    let known = known.expect("a sign-in makes its network known");
    let to = (from + 1) % 3;
    cluster.add_replica(to).await.expect("a replica");

    let writers = at.map(|endpoint| Actor::bearer(endpoint, session.text("/data/accessToken")));
    let stop = AtomicBool::new(false);
    let migration = async {
        let mut nodes = (Node::new(&cluster.nodes()[from]).await, Node::new(&cluster.nodes()[to]).await);
        let count = move_slots(&mut nodes.0, &mut nodes.1).await;
        stop.store(true, Ordering::Relaxed);
        count
    };
    let token = session.text("/data/refreshToken");
    let (one, other, token, count) =
        tokio::join!(write(&writers[0], &stop), write(&writers[1], &stop), refresh(at, token, &stop), migration);
    println!("{one} and {other} writes while {count} slots moved");
    assert!(Node::new(&cluster.nodes()[from]).await.keys(&known).await.is_empty(), "the networks have moved");

    // Redis replicates asynchronously, after it has answered.
    let mut node = Node::new(&cluster.nodes()[to]).await;
    node.ask::<()>(&["SET", &format!("{{{known}}}:last"), "1"]).await;
    eventually("the replica has all of it", async || node.ask::<i64>(&["WAIT", "1", "20"]).await == 1).await;
    let stop = AtomicBool::new(false);
    let failover = async {
        cluster.crash(to);
        let since = Instant::now();
        let mut replica = Node::new(&cluster.nodes()[3]).await;
        eventually("the replica is the primary", async || {
            replica.ask::<String>(&["INFO", "replication"]).await.contains("role:master")
        })
        .await;
        let elected = since.elapsed();
        for server in [&first, &second] {
            eventually("the server has found it", async || is_healthy(server).await).await;
        }
        let recovery = since.elapsed();
        stop.store(true, Ordering::Relaxed);
        (elected, recovery)
    };
    let (one, other, token, (elected, recovery)) =
        tokio::join!(write(&writers[0], &stop), write(&writers[1], &stop), refresh(at, token, &stop), failover);
    println!("{one} and {other} writes; a primary after {elected:?}, found after {recovery:?}");
    let fell_back = async |server: &Process| has_counted(server, "mainstay_rate_limit_fallbacks_total").await;
    assert!(fell_back(&first).await || fell_back(&second).await, "meanwhile they counted by themselves");

    // Each server alone would admit a whole burst of an unknown caller.
    assert!((10..=BURST).contains(&count_admitted(&after, at).await), "what both servers admit together, again");
    let more = count_admitted(&before, at).await;
    assert!(more <= 3, "{more} more than a burst: what was counted is still known");
    let refreshed = json!({ "refreshToken": token });
    Actor::anonymous(at[1]).rest("AuthService.Refresh", refreshed).await.success();
}

/// A session that is ended at one server is ended at the other.
async fn sessions_end_on_both(at: [&Endpoint; 2], user: &Actor) {
    let session = sign_in(at[0], user.as_user()).await.success();
    let [here, there] = at.map(|endpoint| Actor::bearer(endpoint, session.text("/data/accessToken")));
    there.rest("TicketService.CreateTicket", draft()).await.success();
    here.rest("AuthService.Logout", json!({})).await.success();
    let token = json!({ "refreshToken": session.text("/data/refreshToken") });
    Actor::anonymous(at[1]).rest("AuthService.Refresh", token).await.failure("SESSION_REVOKED");
    eventually("the access token is refused", async || {
        there.rest("TicketService.CreateTicket", draft()).await.reason == "SESSION_REVOKED"
    })
    .await;
}

/// A post that an author changes at one server is read at the other, which has it in its cache.
async fn posts_follow_on_both(at: [&Endpoint; 2], author: &Actor) {
    let (id, slug) = publish_post(author).await;
    let reader = Actor::anonymous(at[1]);
    for number in 0..3 {
        let title = format!("Number {number}");
        reader.rest("PostService.GetPostBySlug", json!({ "slug": slug })).await.success();
        let change = json!({ "postId": id, "post": { "title": title } });
        author.rest("PostService.UpdatePost", change).await.success();
        eventually("the other server follows", async || {
            let read = reader.rest("PostService.GetPost", json!({ "postId": id })).await.success();
            read.text("/data/title") == title
        })
        .await;
    }
}
