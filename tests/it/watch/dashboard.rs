//! The log and the overview of tickets, live.

use serde_json::{Value, json};

use super::{Reader, token};
use crate::{
    cases::ticket,
    support::{PROTOCOLS, Process, Protocol, TestApp, TestDatabase, people::Cast, unique},
};

const LOGS: &str = "SystemLogService.WatchSystemLogs";
const OVERVIEW: &str = "OverviewService.WatchTicketOverview";

/// Lines of both servers reach a caller who watches at one of them.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_every_server_is_live() {
    let database = TestDatabase::new().await;
    let (here, there) = (Process::start(&database).await, Process::start(&database).await);
    let cast = Cast::new(&here.endpoint, &database).await;
    for protocol in PROTOCOLS {
        let mut reader = Reader::open(&cast.admin, protocol, LOGS, "").await;
        let first = reader.message().await;
        assert_eq!(first, json!({ "resumeToken": token(&first) }), "{protocol:?}");
        let mut ids = Vec::new();
        for endpoint in [&here.endpoint, &there.endpoint] {
            let id = unique();
            let headers = [("x-request-id", id.as_str())];
            let customer = cast.customer.at(endpoint);
            customer.call_with(Protocol::Grpc, "UserService.GetMe", json!({}), &headers).await.success();
            ids.push(id);
        }
        let mut actual = Vec::new();
        while actual.len() < 2 {
            let message = reader.item().await;
            let line = &message["data"];
            let candidate = ids.iter().find(|id| line["requestId"] == id.as_str());
            if let Some(id) = candidate.filter(|_| line["method"] == "UserService.GetMe") {
                actual.push(id.clone());
            }
        }
        actual.sort_unstable();
        ids.sort_unstable();
        assert_eq!(actual, ids, "{protocol:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_filtered_and_resumed() {
    let (app, cast) = TestApp::start_with_cast().await;
    let store = async |text: &str| {
        let insert = format!(
            "INSERT INTO system_logs (slot, id, logged_at, level, message, line, number)
             SELECT 0, gen_random_uuid(), now() - n * interval '1 hour', n, '{text}', '{{}}', n
             FROM generate_series(1, 3) AS n"
        );
        app.database.sql(&insert).await;
    };
    let level = |message: &Value| message["data"]["level"].as_str().expect("a level").to_owned();
    for protocol in [Protocol::Rest, Protocol::Envoy] {
        let url = format!(
            "{}/api/v1/dashboard/system-logs/watch?level=SYSTEM_LOG_LEVEL_WARNING",
            app.endpoint.base_of(protocol).await
        );
        let admin = cast.admin.token().await.expect("a token");
        let request = app.endpoint.http.get(url).bearer_auth(admin).header("accept", "text/event-stream");
        let mut reader = Reader::events(request.send().await.expect("an answer"));
        reader.message().await;
        store("once").await;
        let first = reader.item().await;
        assert_eq!(level(&first), "SYSTEM_LOG_LEVEL_ERROR", "{protocol:?}");
        assert_eq!(level(&reader.item().await), "SYSTEM_LOG_LEVEL_WARNING", "{protocol:?}");
        let mut resumed = Reader::open(&cast.admin, protocol, LOGS, &token(&first)).await;
        for severity in ["SYSTEM_LOG_LEVEL_WARNING", "SYSTEM_LOG_LEVEL_INFO"] {
            assert_eq!(
                level(&resumed.item().await),
                severity,
                "{protocol:?}: in the order in which they were stored, not of their times"
            );
        }
    }
}

fn ticket_count(message: &Value) -> i64 {
    let counts = message["data"]["counts"].as_array().expect("counts");
    let counts = counts.iter().map(|count| count["ticketCount"].as_str().and_then(|count| count.parse::<i64>().ok()));
    counts.map(|count| count.expect("a number")).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_of_tickets_is_live() {
    let here = TestApp::start().await;
    let there = TestApp::builder().on(&here.database).start().await;
    let cast = here.cast().await;
    let mut readers = Vec::new();
    for protocol in PROTOCOLS {
        readers.push(Reader::open(&cast.agent.at(&there.endpoint), protocol, OVERVIEW, "").await);
    }
    for reader in &mut readers {
        assert_eq!(ticket_count(&reader.message().await), 0);
    }
    ticket(&cast.customer).await;
    for reader in &mut readers {
        assert_eq!(ticket_count(&reader.message().await), 1);
    }
}
