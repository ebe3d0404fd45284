//! Overviews match counts in plain SQL.

use serde_json::{Value, json};

use crate::support::{Actor, Protocol, Response, TestApp, TestDatabase};

/// Inserts accounts, agents, tickets of two months with comments and resolutions, and orders and payments, all at
/// random.
async fn fill(database: &TestDatabase) {
    database
        .sql(
            "SELECT setseed(0.5);
             INSERT INTO accounts SELECT gen_random_uuid(), 'Account ' || n, now() FROM generate_series(1, 3) AS n;
             INSERT INTO users (id, email, name, role, password_hash, created_at, updated_at)
             SELECT gen_random_uuid(), 'agent-' || n || '-' || id || '@example.com', 'Agent ' || n, 2, 'none', now(), now()
             FROM accounts, generate_series(1, 2) AS n;
             INSERT INTO tickets (id, account_id, subject, body, kind, status, priority, queue, language, assignee_id, created_at,
                 updated_at, resolved_at)
             SELECT gen_random_uuid(), account_id, 'S', 'B', 1, status, 1 + floor(random() * 4), 'Q', 'en',
                 CASE WHEN status > 1 THEN agent END, at, at, CASE WHEN status = 3 THEN at + random() * interval '3 days' END
             FROM (SELECT users.id AS agent, accounts.id AS account_id, 1 + floor(random() * 3)::smallint AS status,
                       now() - random() * random() * interval '20 days' AS at
                   FROM users JOIN accounts ON users.email LIKE 'agent-%-' || accounts.id || '@example.com',
                       generate_series(1, 60) WHERE role = 2) AS drawn;
             INSERT INTO comments (id, ticket_id, author_role, body, created_at, is_internal)
             SELECT gen_random_uuid(), id, 1 + floor(random() * 3), 'C', created_at + random() * interval '5 hours', random() < 0.3
             FROM tickets, generate_series(1, 3) WHERE random() < 0.4;
             SET session_replication_role = replica;
             INSERT INTO orders (id, account_id, placed_by, currency, total_minor, status, payment_id, paid_at, ended_at,
                 created_at, updated_at)
             SELECT id, id, id, 'EUR', 450, status, CASE WHEN status IN (2, 3, 5) THEN id END,
                 CASE WHEN status IN (3, 5) THEN at END, CASE WHEN status IN (4, 5) THEN at END, at, at
             FROM (SELECT gen_random_uuid() AS id, 1 + floor(random() * 5)::smallint AS status,
                       now() - random() * interval '30 days' AS at FROM generate_series(1, 300)) AS drawn;
             INSERT INTO payments (id, account_id, order_id, charged_by, gateway, method, currency, amount_minor, status,
                 gateway_id, due_at, attempt_since, created_at, updated_at)
             SELECT id, id, id, id, 'stripe', 'pm', 'EUR', 450, CASE WHEN status = 2 THEN 1 ELSE 2 END,
                 CASE WHEN status <> 2 THEN 'pi_' || id END, CASE WHEN status = 2 THEN now() + interval '1 day' END, created_at,
                 created_at, created_at
             FROM orders WHERE status IN (2, 3, 5);
             SET session_replication_role = origin",
        )
        .await;
}

/// The rows of a statement, as JSON.
async fn rows(database: &TestDatabase, statement: &str) -> Value {
    let sql = format!("SELECT coalesce(json_agg(found), '[]') FROM ({statement}) AS found");
    let rows = database.sql(&sql).await;
    serde_json::from_str(rows[0][0].as_ref().expect("a value")).expect("JSON")
}

fn list(answer: &Response, name: &str) -> Vec<Value> {
    answer.data()[name].as_array().unwrap_or_else(|| panic!("no {name}: {answer:#?}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_are_counted_as_by_plain_sql() {
    let app = TestApp::start().await;
    let agent = app.cast().await.agent;
    fill(&app.database).await;
    let answer = agent.rest("OverviewService.GetTicketOverview", json!({ "days": 5 })).await.success();
    let counts: Vec<_> = list(&answer, "counts").iter().map(|count| count["ticketCount"].clone()).collect();
    let query = "SELECT count(*)::text AS n FROM tickets GROUP BY status, priority ORDER BY status, priority";
    let expected: Vec<_> =
        rows(&app.database, query).await.as_array().expect("rows").iter().map(|row| row["n"].clone()).collect();
    assert!(counts.len() == 12 && counts == expected, "{counts:?} {expected:?}");

    let ages: Vec<_> = list(&answer, "ages").iter().map(|age| age["ticketCount"].clone()).collect();
    let mut expected = Vec::new();
    for (from, until) in [
        ("0", "1 hour"),
        ("1 hour", "4 hours"),
        ("4 hours", "1 day"),
        ("1 day", "3 days"),
        ("3 days", "7 days"),
        ("7 days", "1 year"),
    ] {
        let sql = format!(
            "SELECT count(*) FROM tickets WHERE status <> 3 AND created_at > '{}'::timestamptz - interval '{until}'
            AND created_at <= '{0}'::timestamptz - interval '{from}'",
            answer.text("/data/asOfTime")
        );
        expected.push(json!(app.database.number(&sql).await.to_string()));
    }
    assert_eq!(ages, expected);

    let agents: Vec<_> = list(&answer, "agents").iter().map(|load| {
        json!({ "id": load["agentId"], "name": load["name"], "busy": load["inProgressCount"], "done": load["resolvedCount"] })
    }).collect();
    let loads = "SELECT users.id, users.name, (count(*) FILTER (WHERE status = 2))::text AS busy,
        (count(*) FILTER (WHERE status = 3))::text AS done FROM tickets JOIN users ON users.id = assignee_id GROUP BY 1, 2
        ORDER BY count(*) FILTER (WHERE status = 2) DESC, count(*) FILTER (WHERE status = 3) DESC, 1";
    assert_eq!(json!(agents), rows(&app.database, loads).await);
    assert!(agents.len() > 5, "{agents:?}");

    // Sorted completely, and selected by position.
    let since = format!("'{}'::timestamptz - interval '5 days'", answer.text("/data/asOfTime"));
    let responses = format!(
        "SELECT min(comments.created_at) - tickets.created_at AS took FROM tickets
        JOIN comments ON ticket_id = tickets.id AND author_role IN (2, 3) AND NOT is_internal
        WHERE tickets.created_at >= {since}
        GROUP BY tickets.id, tickets.created_at"
    );
    let resolutions =
        format!("SELECT resolved_at - created_at AS took FROM tickets WHERE status = 3 AND created_at >= {since}");
    for (name, took) in [("firstResponses", responses), ("resolutions", resolutions)] {
        let sql = format!("SELECT floor(extract(epoch FROM took) * 1000)::bigint FROM ({took}) AS took ORDER BY 1");
        let all: Vec<i64> = app
            .database
            .sql(&sql)
            .await
            .iter()
            .map(|row| row[0].as_ref().expect("a time").parse().expect("a number"))
            .collect();
        assert!(all.len() > 20, "nothing was checked");
        let nth = |part: f64| all[(all.len() as f64 * part).ceil() as usize - 1].to_string();
        let value = &answer.data()[name];
        assert_eq!(
            value,
            &json!({ "ticketCount": all.len().to_string(), "medianMs": nth(0.5), "ninthDecileMs": nth(0.9) }),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_and_payments_are_counted_as_by_plain_sql() {
    let app = TestApp::start().await;
    let admin = app.cast().await.admin;
    fill(&app.database).await;
    let answer = admin.call(Protocol::Grpc, "OverviewService.GetSalesOverview", json!({ "days": 12 })).await.success();
    for (name, count, table) in [("orders", "orderCount", "orders"), ("payments", "paymentCount", "payments")] {
        let counts: Vec<_> = list(&answer, name).iter().map(|row| row[count].clone()).collect();
        let sql = format!(
            "SELECT count(*)::text AS n FROM {table} WHERE created_at >= '{}'::timestamptz - interval '12 days'
            GROUP BY status ORDER BY status",
            answer.text("/data/asOfTime")
        );
        let expected: Vec<_> =
            rows(&app.database, &sql).await.as_array().expect("rows").iter().map(|row| row["n"].clone()).collect();
        assert!(counts.len() > 1 && counts == expected, "{name}: {counts:?} {expected:?}");
    }
    let oldest = format!(
        "SELECT count(*) FROM payments WHERE status = 1 AND created_at < '{}'",
        answer.text("/data/oldestPendingTime")
    );
    assert_eq!(app.database.number(&oldest).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_are_counted_as_they_happen_and_as_by_plain_sql() {
    let app = TestApp::start().await;
    let admin = app.cast().await.admin;
    admin.token().await;
    app.database
        .sql(
            "DELETE FROM sign_ins; SELECT setseed(0.5);
             INSERT INTO sign_ins SELECT date_trunc('hour', now() - n * interval '1 hour', 'UTC'), outcome, slot, 1 + floor(random() * 9)
             FROM generate_series(1, 400) AS n, generate_series(1, 2) AS outcome, generate_series(0, 7) AS slot
             WHERE random() < 0.3",
        )
        .await;
    let tries = async |password: &str, email: &str| {
        let request = json!({ "email": email, "password": password });
        Actor::anonymous(&app.endpoint).rest("AuthService.Login", request).await
    };
    let user = admin.as_user();
    for _ in 0..3 {
        tries(&user.password, &user.email).await.success();
    }
    tries("not the password", &user.email).await.failure("INVALID_CREDENTIALS");
    tries(&user.password, "nobody@example.com").await.failure("INVALID_CREDENTIALS");
    let now = "SELECT sum(attempts)::bigint FROM sign_ins WHERE hour >= date_trunc('hour', now(), 'UTC') AND outcome =";
    assert_eq!(app.database.number(&format!("{now} 1")).await, 3);
    assert_eq!(app.database.number(&format!("{now} 2")).await, 2);

    let answer = admin.call(Protocol::Grpc, "OverviewService.GetSignInOverview", json!({ "days": 9 })).await.success();
    let since = format!("'{}'::timestamptz - interval '9 days'", answer.text("/data/asOfTime"));
    let hours: Vec<_> =
        list(&answer, "hours").iter().map(|hour| json!([hour["acceptedCount"], hour["refusedCount"]])).collect();
    let sum = |outcome: i32| format!("coalesce(sum(attempts) FILTER (WHERE outcome = {outcome}), 0)::text");
    let query = format!(
        "SELECT json_build_array({}, {}) AS n FROM sign_ins WHERE hour >= {since} GROUP BY hour ORDER BY hour",
        sum(1),
        sum(2)
    );
    let expected: Vec<_> =
        rows(&app.database, &query).await.as_array().expect("rows").iter().map(|row| row["n"].clone()).collect();
    assert!(hours.len() > 100 && hours == expected, "{hours:?} {expected:?}");
    for (name, outcome) in [("acceptedCount", 1), ("refusedCount", 2)] {
        let sql = format!("SELECT sum(attempts)::bigint FROM sign_ins WHERE hour >= {since} AND outcome = {outcome}");
        assert_eq!(answer.data()[name], app.database.number(&sql).await.to_string(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_background_work_is_counted() {
    let app = TestApp::start().await;
    let admin = app.cast().await.admin;
    app.database
        .sql(
            "INSERT INTO jobs (kind, key, payload, due_at, max_attempts)
             SELECT 'sync_refunds', n::text, '{}', now() - n * interval '1 minute', 5 FROM generate_series(-2, 6) AS n;
             INSERT INTO jobs (kind, key, payload, max_attempts) SELECT 'of_another_version', 'one', '{}', 5;
             INSERT INTO jobs (kind, key, payload, max_attempts, dead_at) SELECT 'sync_refunds', 'dead', '{}', 5, now();
             INSERT INTO webhook_deliveries (id, endpoint_id, event_id, kind, payload, state, next_attempt_at, created_at, updated_at)
             SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'support.ticket.created', '{}', state,
                 CASE WHEN state = 1 THEN now() + interval '1 day' END, now() - n * interval '5 hours', now()
             FROM generate_series(1, 3) AS state, generate_series(1, 3 + state) AS n",
        )
        .await;
    let answer = admin.rest("OverviewService.GetWorkOverview", json!({})).await.success();
    let lanes = list(&answer, "lanes");
    let shared = lanes.iter().find(|lane| lane["lane"] == "shared").expect("a lane");
    assert_eq!(shared["dueCount"], "7", "{answer:#?}");
    let oldest: i64 = shared["oldestDueMs"].as_str().expect("a number").parse().expect("a number");
    assert!((360_000..420_000).contains(&oldest), "{oldest}");
    let unknown = lanes.iter().find(|lane| lane["lane"] == "unknown").expect("jobs without a worker");
    assert_eq!(unknown["dueCount"], "1", "{answer:#?}");
    let counts = ["pendingDeliveryCount", "deliveredCount", "failedDeliveryCount", "deadJobCount"];
    assert_eq!(counts.map(|name| answer.data()[name].as_str().expect(name).to_owned()), ["4", "4", "4", "1"]);
}
