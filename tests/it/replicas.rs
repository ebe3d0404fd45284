//! Reads from a real standby: its consistency for callers, and its lag, hang, loss and promotion.

mod promotion;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mainstay_dev_servers::{FreezeGuard, Options, Postgres};
use serde_json::json;

use crate::{
    cases::draft,
    support::{
        Actor, PROTOCOLS, Protocol, Response, TestApp, TestDatabase,
        database::{connect, sql},
        eventually,
        people::Cast,
        proxy::{Cut, Proxy},
        servers,
    },
};

/// A lag that no test reaches.
const ANY_LAG: &str = "1h";
const TOKEN: &str = "consistency-token";

/// A primary, and a standby that replicates it.
struct Pair {
    primary: Postgres,
    standby: Postgres,
    database: Arc<TestDatabase>,
}

impl Pair {
    async fn start() -> Self {
        let settings = Options::in_memory().set("synchronous_commit", "on").set("shared_buffers", "64MB");
        let primary = Postgres::start(settings).await.expect("a Postgres");
        let database = Arc::new(TestDatabase::foreign(primary.url()));
        servers::migrate(&database.url).await;
        let standby = primary.standby().await.expect("a standby");
        Self { primary, standby, database }
    }

    /// Lets commits wait for the standby.
    async fn replicate_synchronously(&self) {
        self.database.sql("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        self.database.sql("SELECT pg_reload_conf()").await;
        eventually("replication is synchronous", async || {
            self.database.number("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").await == 1
        })
        .await;
    }

    async fn app(&self, max_lag: &str) -> TestApp {
        let builder = TestApp::builder().on(&self.database).set("DATABASE_REPLICA_URLS", self.standby.url());
        builder.set("DATABASE_REPLICA_MAX_LAG", max_lag).start().await
    }

    async fn ask_standby(&self, expression: &str) -> String {
        let rows = sql(self.standby.url(), &format!("SELECT {expression}")).await;
        rows[0][0].clone().unwrap_or_default()
    }

    /// Waits until the standby has replayed all writes.
    async fn catch_up(&self) {
        let end = self.database.sql("SELECT pg_current_wal_flush_lsn()").await[0][0].clone().expect("a position");
        let replayed = format!("pg_last_wal_replay_lsn() >= '{end}'");
        eventually("the standby has caught up", async || self.ask_standby(&replayed).await == "t").await;
    }

    async fn pause(&self) {
        self.ask_standby("pg_wal_replay_pause()").await;
        eventually("replay is paused", async || self.ask_standby("pg_get_wal_replay_pause_state()").await == "paused")
            .await;
    }

    async fn resume(&self) {
        self.ask_standby("pg_wal_replay_resume()").await;
    }

    /// Changes all tickets in the primary directly, not as a write of any caller.
    async fn rename_tickets(&self, subject: &str) {
        self.database.sql(&format!("UPDATE tickets SET subject = '{subject}'")).await;
    }

    /// Returns the replication lag of the standby, as reported by an app; NaN before the first measurement, which compares
    /// as neither less nor greater.
    async fn lag(&self, app: &TestApp) -> f64 {
        let text = app.private.get("/metrics").await.body.to_string();
        let series =
            format!("mainstay_postgres_replica_lag_seconds{{replica=\\\"127.0.0.1:{}\\\"}} ", self.standby.port());
        let value = text.split_once(&series).map(|(_, rest)| rest.split('\\').next().unwrap_or_default());
        value.and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
    }
}

async fn get(who: &Actor, protocol: Protocol, ticket: &str, headers: &[(&str, &str)]) -> Response {
    who.call_with(protocol, "TicketService.GetTicket", json!({ "ticketId": ticket }), headers).await
}

async fn subject(who: &Actor, protocol: Protocol, ticket: &str, headers: &[(&str, &str)]) -> String {
    get(who, protocol, ticket, headers).await.success().text("/data/subject")
}

/// The subject of the only ticket, in the list.
async fn listed_subject(who: &Actor, protocol: Protocol, headers: &[(&str, &str)]) -> String {
    who.call_with(protocol, "TicketService.ListTickets", json!({}), headers).await.success().text("/data/0/subject")
}

/// Reads a ticket until the replica serves it, with this subject. On a busy machine the replica may report late, and
/// the primary is read.
async fn from_replica(who: &Actor, protocol: Protocol, ticket: &str, headers: &[(&str, &str)], there: &str) {
    eventually("the replica is read", async || subject(who, protocol, ticket, headers).await == there).await;
}

/// Read-your-writes: a caller who was not told whether a write was made reads from the primary.
#[tokio::test(flavor = "multi_thread")]
async fn callers_of_a_timed_out_write_read_the_primary() {
    let pair = Pair::start().await;
    let app = pair.app(ANY_LAG).await;
    let Cast { customer, agent, .. } = app.cast().await;
    let response = customer.rest("TicketService.CreateTicket", draft()).await.success();
    let (ticket, original) = (response.id(), response.text("/data/subject"));
    agent.token().await;
    pair.catch_up().await;
    pair.pause().await;
    pair.rename_tickets("Renamed").await;
    from_replica(&agent, Protocol::Rest, &ticket, &[], &original).await;
    let other = connect(&pair.database.url).await;
    other.batch_execute("BEGIN; SELECT FROM tickets FOR UPDATE").await.expect("a lock");
    let change = json!({ "ticketId": ticket, "ticket": { "subject": "Never" } });
    let late = [("x-request-timeout", "300ms")];
    let answer = agent.call_with(Protocol::Rest, "TicketService.UpdateTicket", change, &late).await;
    answer.failure("DEADLINE_EXCEEDED");
    other.batch_execute("ROLLBACK").await.expect("the lock is released");
    for protocol in PROTOCOLS {
        assert_eq!(subject(&agent, protocol, &ticket, &[]).await, "Renamed");
    }
}

/// A COMMIT whose answer was lost leaves its caller in doubt. The next reads show what was committed.
#[tokio::test(flavor = "multi_thread")]
async fn callers_whose_commit_was_not_answered_read_the_primary() {
    let pair = Pair::start().await;
    let proxy = Proxy::new(&pair.database).await;
    let builder = TestApp::builder().on(&pair.database).set("DATABASE_REPLICA_URLS", pair.standby.url());
    let builder = builder.set("DATABASE_REPLICA_MAX_LAG", ANY_LAG).set("DATABASE_URL", proxy.url.clone());
    let app = builder.set("DATABASE_POOL_SIZE", "1").start().await;
    let customer = app.cast().await.customer;
    let create = "TicketService.CreateTicket";
    let response = customer.rest(create, draft()).await.success();
    let (ticket, original) = (response.id(), response.text("/data/subject"));
    pair.catch_up().await;
    pair.pause().await;
    pair.rename_tickets("Renamed").await;
    from_replica(&customer, Protocol::Rest, &ticket, &[], &original).await;
    proxy.cut(Cut::AfterCommit, r#"INSERT INTO "tickets""#);
    customer.rest(create, draft()).await.failure("UNAVAILABLE");
    for protocol in PROTOCOLS {
        let list = customer.call(protocol, "TicketService.ListTickets", json!({})).await.success();
        assert_eq!(list.body["data"].as_array().map(Vec::len), Some(2), "{list:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_read_a_replica_that_has_what_they_wrote() {
    let pair = Pair::start().await;
    let (app, other) = (pair.app(ANY_LAG).await, pair.app(ANY_LAG).await);
    let Cast { customer, agent, .. } = app.cast().await;
    let response = customer.call(Protocol::Grpc, "TicketService.CreateTicket", draft()).await.success();
    let (ticket, first) = (response.id(), response.header(TOKEN).expect("a token").to_owned());
    let original = response.text("/data/subject");
    agent.token().await;
    pair.catch_up().await;
    pair.pause().await;
    pair.rename_tickets("Renamed").await;

    for at in [&app, &other] {
        let (customer, agent) = (customer.at(&at.endpoint), agent.at(&at.endpoint));
        for protocol in PROTOCOLS {
            // The replica has the caller's writes, and the token's position.
            from_replica(&customer, protocol, &ticket, &[], &original).await;
            from_replica(&agent, protocol, &ticket, &[(TOKEN, &first)], &original).await;
            eventually("a list is read", async || listed_subject(&agent, protocol, &[]).await == original).await;
        }
    }

    let change = json!({ "ticketId": ticket, "ticket": { "subject": "Mine" } });
    let response = customer.rest("TicketService.UpdateTicket", change.clone()).await.success();
    let second = response.header(TOKEN).expect("a token").to_owned();
    for at in [&app, &other] {
        let (customer, agent) = (customer.at(&at.endpoint), agent.at(&at.endpoint));
        for protocol in PROTOCOLS {
            assert_eq!(subject(&customer, protocol, &ticket, &[]).await, "Mine", "the caller's own, at any instance");
            assert_eq!(listed_subject(&customer, protocol, &[]).await, "Mine");
            // No other caller has a token.
            from_replica(&agent, protocol, &ticket, &[], &original).await;
            for token in [&*second, "of no form that we know"] {
                assert_eq!(subject(&agent, protocol, &ticket, &[(TOKEN, token)]).await, "Mine", "{token}");
                assert_eq!(listed_subject(&agent, protocol, &[(TOKEN, token)]).await, "Mine", "{token}");
            }
        }
    }

    // A resource that is missing on the replica may not have been replicated yet.
    let new = customer.rest("TicketService.CreateTicket", draft()).await.success().id();
    get(&agent, Protocol::Rest, &new, &[]).await.success();
    // A caller whose write was rejected because of current data reads that data.
    let outdated =
        agent.call_with(Protocol::Rest, "TicketService.UpdateTicket", change, &[("if-match", "\"999\"")]).await;
    assert!(outdated.failure("ETAG_MISMATCH").header(TOKEN).is_some());
    assert_eq!(subject(&agent, Protocol::Grpc, &ticket, &[]).await, "Mine");

    pair.resume().await;
    pair.catch_up().await;
    pair.pause().await;
    pair.rename_tickets("Renamed again").await;
    from_replica(&customer, Protocol::Rest, &ticket, &[(TOKEN, &second)], "Mine").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lags_is_not_read() {
    let pair = Pair::start().await;
    let app = pair.app("1s").await;
    let Cast { customer, agent, .. } = app.cast().await;
    let ticket = customer.rest("TicketService.CreateTicket", draft()).await.success().id();
    agent.token().await;
    eventually("the replica is up to date", async || pair.lag(&app).await < 1.0).await;
    pair.pause().await;
    pair.rename_tickets("Renamed").await;
    eventually("the replica lags", async || pair.lag(&app).await > 1.0).await;
    for number in 0..20 {
        let protocol = PROTOCOLS[number % PROTOCOLS.len()];
        assert_eq!(subject(&agent, protocol, &ticket, &[]).await, "Renamed");
        assert_eq!(listed_subject(&agent, protocol, &[]).await, "Renamed");
    }
    pair.resume().await;
    eventually("the replica is up to date again", async || pair.lag(&app).await < 1.0).await;
}

/// The standby answers, and has replayed everything it received, but it receives nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_receives_nothing_is_not_read() {
    let pair = Pair::start().await;
    let (app, patient) = (pair.app("1s").await, pair.app(ANY_LAG).await);
    let Cast { customer, agent, .. } = app.cast().await;
    let response = customer.call(Protocol::Grpc, "TicketService.CreateTicket", draft()).await.success();
    let (ticket, original) = (response.id(), response.text("/data/subject"));
    agent.token().await;
    pair.catch_up().await;
    eventually("the replica is up to date", async || pair.lag(&app).await < 1.0).await;
    let receiver = pair.ask_standby("pid FROM pg_stat_activity WHERE backend_type = 'walreceiver'").await;
    let stopped = FreezeGuard::process(receiver.parse().expect("a process"));
    pair.rename_tickets("Renamed").await;

    // A caller that accepts any lag reads from it, except for its own writes or a token's position.
    let (owner, other) = (customer.at(&patient.endpoint), agent.at(&patient.endpoint));
    from_replica(&other, Protocol::Rest, &ticket, &[], &original).await;
    let change = json!({ "ticketId": ticket, "ticket": { "subject": "Mine" } });
    let response = owner.rest("TicketService.UpdateTicket", change).await.success();
    let token = response.header(TOKEN).expect("a token");
    for protocol in PROTOCOLS {
        assert_eq!(subject(&owner, protocol, &ticket, &[]).await, "Mine");
        assert_eq!(listed_subject(&owner, protocol, &[]).await, "Mine");
        assert_eq!(subject(&other, protocol, &ticket, &[(TOKEN, token)]).await, "Mine");
        from_replica(&other, protocol, &ticket, &[], &original).await;
    }

    // No other caller reads from it once it lags.
    eventually("the replica lags", async || pair.lag(&app).await > 1.0).await;
    for number in 0..20 {
        let protocol = PROTOCOLS[number % PROTOCOLS.len()];
        assert_eq!(subject(&agent, protocol, &ticket, &[]).await, "Mine");
        assert_eq!(listed_subject(&agent, protocol, &[]).await, "Mine");
    }
    assert_eq!(pair.ask_standby("pg_get_wal_replay_pause_state()").await, "not paused");
    drop(stopped);
    eventually("the replica is up to date again", async || pair.lag(&app).await < 1.0).await;
    pair.catch_up().await;
    from_replica(&other, Protocol::Rest, &ticket, &[], "Mine").await;
}

/// Reads continuously; each read gets its response within its deadline.
async fn read_for(time: Duration, who: &Actor, ticket: &str) {
    let since = Instant::now();
    let deadline = ("x-request-timeout", "2s");
    let reads = [Protocol::Grpc, Protocol::Rest].map(async |protocol| {
        while since.elapsed() < time {
            get(who, protocol, ticket, &[deadline]).await.success();
            who.call_with(protocol, "TicketService.ListTickets", json!({}), &[deadline]).await.success();
        }
    });
    futures_util::future::join_all(reads).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_hangs_or_is_gone_costs_no_request() {
    let mut pair = Pair::start().await;
    let app = pair.app(ANY_LAG).await;
    let Cast { customer, agent, .. } = app.cast().await;
    let ticket = customer.rest("TicketService.CreateTicket", draft()).await.success().id();
    eventually("the replica is up to date", async || pair.lag(&app).await < 1.0).await;
    for protocol in PROTOCOLS {
        get(&agent, protocol, &ticket, &[]).await.success();
    }
    let reading = read_for(Duration::from_secs(4), &agent, &ticket);
    let hanging = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let frozen = pair.standby.freeze();
        tokio::time::sleep(Duration::from_secs(3)).await;
        drop(frozen);
    };
    tokio::join!(reading, hanging);
    eventually("the replica is up to date again", async || pair.lag(&app).await < 1.0).await;

    let standby = &mut pair.standby;
    let crash = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        standby.crash();
    };
    tokio::join!(read_for(Duration::from_secs(2), &agent, &ticket), crash);
    eventually("the replica is known to be gone", async || pair.lag(&app).await > 1.0).await;
    read_for(Duration::from_millis(500), &agent, &ticket).await;
}

/// Without replicas there are no tokens, and tokens of other deployments have no effect.
#[tokio::test(flavor = "multi_thread")]
async fn without_replicas_there_are_no_tokens() {
    let app = TestApp::start().await;
    let Cast { customer, .. } = app.cast().await;
    for protocol in PROTOCOLS {
        let response = customer.call(protocol, "TicketService.CreateTicket", draft()).await.success();
        assert_eq!(response.header(TOKEN), None);
        get(&customer, protocol, &response.id(), &[(TOKEN, "of elsewhere")]).await.success();
    }
}
