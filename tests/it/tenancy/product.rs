//! The server under the policies: with the account of another caller, after the transaction of another caller, and with a login
//! that owns nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mainstay::support::{id::TicketId, ticket::store};
use mainstay_kernel::{
    caller::Visibility,
    contract::{
        Method,
        policy::{BuiltInRole, Effect, Reach, Role},
    },
    database::Connection,
};
use prost_reflect::MessageDescriptor;
use serde_json::{Value, json};
use url::Url;

use crate::{
    cases::{self, Call, Scene, draft, ticket},
    support::{
        Actor, PROTOCOLS, Process, Protocol, TestApp, TestDatabase,
        database::connect,
        eventually, methods, policies,
        proxy::{Cut, Proxy},
        unique,
    },
};

/// Lists of an account that do not run in a transaction of the account, with the reasons.
const ACROSS_ACCOUNTS: [(&str, &str); 1] = [("FileService.ListFiles", "the references of all accounts decide")];

/// The lists and the exports that reach the resources of the account of an owner. They run in a transaction of the account.
fn lists() -> Vec<&'static str> {
    let is_list = |method: &Method| {
        let is_repeated =
            |output: &MessageDescriptor| output.get_field_by_name("data").is_some_and(|data| data.is_list());
        method.descriptor.is_server_streaming() || is_repeated(&method.descriptor.output())
    };
    let is_of_account = |method: &Method| {
        let scopes = policies().scopes_of(BuiltInRole::Owner);
        let reach = method.grant(Role::Customer).and_then(|grant| grant.reach_with(&scopes).ok());
        reach == Some(Reach::OwnAccount)
    };
    let found = methods()
        .into_iter()
        .filter(|method| method.effect != Effect::Write && is_list(method) && is_of_account(method));
    let mut names: Vec<_> = found.map(|method| method.name.as_str()).collect();
    for (name, reason) in ACROSS_ACCOUNTS {
        let place = names.iter().position(|known| *known == name);
        names.remove(place.unwrap_or_else(|| panic!("{name} is no list of an account ({reason})")));
    }
    assert!(names.len() >= 18, "only {names:?}");
    names
}

const LIST: &str = "TicketService.ListTickets";

/// Returns a call that shows rows of the customer's account.
async fn call_of(method: &str, scene: Scene) -> Call {
    let of_account = json!({ "accountId": scene.account() });
    match method {
        "InvitationService.ListInvitations" => drop(cases::create_invitation(&scene).await),
        // The case is that of an admin.
        "ServiceKeyService.ListServiceKeys" => {
            let key = json!({ "name": "A key", "scopes": ["support.tickets.read"] });
            scene.cast.customer.rest("ServiceKeyService.CreateServiceKey", key).await.success();
        }
        _ => return (cases::good_case(method).call)(scene).await,
    }
    cases::call(&scene.cast.customer, of_account)
}

/// Makes the policies take another account for that of each transaction; `None` restores them.
async fn bind_to(database: &TestDatabase, account: Option<&str>) {
    let account =
        account.map_or("nullif(current_setting('mainstay.account', true), '')".to_owned(), |id| format!("'{id}'"));
    let sql = "CREATE OR REPLACE FUNCTION bound_account() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS";
    database.sql(&format!("{sql} $$ SELECT ({account})::uuid $$")).await;
}

/// Returns whether a response has any of these ids.
fn leaks(response: &Value, ids: &[String]) -> bool {
    let text = response.to_string();
    ids.iter().any(|id| text.contains(id.as_str()))
}

/// The statements keep their conditions. Under the account of another caller, the policies hide every row of the own account.
#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_empty_under_the_account_of_another_caller() {
    let app = TestApp::start().await;
    let mut faults = Vec::new();
    for method in lists() {
        let scene = Scene::new(&app).await;
        let stranger = scene.cast.stranger.as_user().account.to_string();
        let account = scene.account();
        let call = call_of(method, scene).await;
        let query = format!(
            "SELECT id::text FROM tickets WHERE account_id = '{account}' UNION ALL SELECT id::text FROM orders WHERE account_id = \
             '{account}' UNION ALL SELECT id::text FROM members WHERE account_id = '{account}' UNION ALL SELECT id::text FROM \
             roles WHERE account_id = '{account}' UNION ALL SELECT id::text FROM payments WHERE account_id = '{account}' \
             UNION ALL SELECT id::text FROM subscriptions WHERE account_id = '{account}' UNION ALL SELECT id::text FROM \
             audit_entries WHERE account_id = '{account}' UNION ALL SELECT id::text FROM invitations WHERE account_id = \
             '{account}' UNION ALL SELECT id::text FROM service_keys WHERE account_id = '{account}' UNION ALL SELECT id::text \
             FROM account_domains WHERE account_id = '{account}' UNION ALL SELECT id::text FROM account_providers WHERE account_id = \
             '{account}'"
        );
        let ids = super::names(&app.database, &query).await;
        assert!(!ids.is_empty(), "{method}: the account has members");
        let asked = |id: &String| call.request.to_string().contains(id.as_str());
        let ids: Vec<_> = ids.into_iter().filter(|id| !asked(id)).collect();
        let usual = call.send(Protocol::Rest, method).await.success();
        bind_to(&app.database, Some(&stranger)).await;
        let response = call.send(Protocol::Rest, method).await;
        bind_to(&app.database, None).await;
        // A list without a parent shows rows of the account otherwise.
        let is_closed = response.status == 404 || leaks(&usual.body, &ids) && !leaks(&response.body, &ids);
        if !is_closed {
            faults.push(format!("{method}: {:#}", response.body));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A unit of work changes and locks no row of another account.
#[tokio::test(flavor = "multi_thread")]
async fn a_unit_of_work_finds_nothing_under_the_account_of_another_caller() {
    let (app, scene) = Scene::start().await;
    let (ticket, order) = (scene.ticket().await, cases::order::order(&scene).await);
    let stranger = scene.cast.stranger.as_user().account.to_string();
    let change = json!({ "ticketId": ticket, "ticket": { "subject": "Changed" } });
    let customer = &scene.cast.customer;
    let member = json!({ "accountId": scene.account(), "account": { "name": "Changed" } });
    bind_to(&app.database, Some(&stranger)).await;
    for (method, request) in [
        ("TicketService.UpdateTicket", change.clone()),
        ("TicketService.ResolveTicket", json!({ "ticketId": ticket })),
        ("CommentService.CreateComment", json!({ "ticketId": ticket, "body": "Mine" })),
        ("OrderService.CancelOrder", json!({ "orderId": order })),
        ("AccountService.UpdateAccount", member),
    ] {
        customer.rest(method, request).await.failure("NOT_FOUND");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 1);
    // A row of an account can't be inserted under another.
    customer.rest("TicketService.CreateTicket", draft()).await.failure("INTERNAL_ERROR");
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 1);
    bind_to(&app.database, None).await;
    customer.rest("TicketService.UpdateTicket", change).await.success();
}

/// Returns the ids of the tickets that a caller lists.
async fn list(who: &Actor) -> Vec<String> {
    let page = who.call(Protocol::Grpc, LIST, json!({})).await.success();
    let rows = page.data().as_array().expect("a list").iter();
    rows.map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
}

/// One connection serves callers of two accounts, the staff and single statements in turn.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_each_caller_under_the_own_account() {
    let (app, cast) = TestApp::builder().set("DATABASE_POOL_SIZE", "1").start_with_cast().await;
    let (own, other) = (ticket(&cast.customer).await, ticket(&cast.stranger).await);
    let id = TicketId(other.parse().expect("an id"));
    for _ in 0..3 {
        assert_eq!(list(&cast.customer).await, [own.as_str()]);
        let read = async move |connection: &mut Connection| store::get(connection, Visibility::All, id, true).await;
        app.app.database.autocommit(read).await.expect("it reaches all accounts");
        assert_eq!(list(&cast.customer).await, [own.as_str()]);
        assert_eq!(list(&cast.agent).await, [other.as_str(), own.as_str()]);
        assert_eq!(list(&cast.stranger).await, [other.as_str()]);
        let change = json!({ "ticketId": own, "ticket": { "subject": format!("Change {}", unique()) } });
        cast.customer.rest("TicketService.UpdateTicket", change).await.success();
        // A failed transaction, too.
        cast.stranger.rest("TicketService.ResolveTicket", json!({ "ticketId": own })).await.failure("NOT_FOUND");
    }
}

/// Behind a pooler, a list has a transaction. Its response does not wait for the end. A connection whose transaction has not ended,
/// because a caller has left or because Postgres does not answer, is not lent with its role and its account.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_transaction_has_not_ended_is_not_lent() {
    let database = Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    proxy.ignore_options(true);
    let builder = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone());
    let builder = builder.set("DATABASE_POOL_SIZE", "1").set("DATABASE_POOL_WAIT", "8s");
    let (app, cast) = builder.start_with_cast().await;
    let (own, other) = (ticket(&cast.customer).await, ticket(&cast.stranger).await);
    let others_are_served = async || {
        eventually("a connection is lent", async || cast.agent.rest(LIST, json!({})).await.status == 200).await;
        assert_eq!(list(&cast.agent).await, [other.as_str(), own.as_str()]);
        assert_eq!(list(&cast.stranger).await, [other.as_str()]);
        // What is disturbed next is not the end of this list's transaction.
        eventually("no connection is lent", async || {
            let (all, idle) = app.app.database.connections();
            all == idle
        })
        .await;
    };
    let late = async |wait: &str| {
        let response = cast.customer.call_with(Protocol::Rest, LIST, json!({}), &[("x-request-timeout", wait)]).await;
        response.failure("DEADLINE_EXCEEDED")
    };
    others_are_served().await;

    // A caller leaves while BEGIN is on its way, and while the page is read.
    proxy.hang(true);
    late("300ms").await;
    proxy.hang(false);
    others_are_served().await;
    let holder = connect(&database.url).await;
    holder.batch_execute("BEGIN; LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    late("500ms").await;
    holder.batch_execute("ROLLBACK").await.expect("released");
    others_are_served().await;

    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND state = 'idle in transaction' AND application_name = 'mainstay'";
    proxy.cut(Cut::Silence, "ROLLBACK");
    let began = Instant::now();
    assert_eq!(list(&cast.customer).await, [own.as_str()]);
    assert!(began.elapsed() < Duration::from_secs(4), "the response waited for ROLLBACK");
    assert_eq!(database.number(open).await, 1);
    others_are_served().await;
    for cut in [Cut::BeforeStatement, Cut::Spoil] {
        proxy.cut(cut, "ROLLBACK");
        assert_eq!(list(&cast.customer).await, [own.as_str()]);
        others_are_served().await;
    }
    eventually("the transactions have ended", async || database.number(open).await == 0).await;
}

/// Statements follow the settings of their account without waiting for them. If these fail, the statements have run as the login
/// of the server or under the account of another caller, and their rows are no response.
#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_list_without_its_account_are_dropped() {
    for (ignores_options, settings) in
        [(true, "BEGIN; SET LOCAL ROLE"), (false, "SET mainstay.account"), (false, "SET ROLE mainstay_account")]
    {
        let database = Arc::new(TestDatabase::new().await);
        let proxy = Proxy::new(&database).await;
        proxy.ignore_options(ignores_options);
        let builder = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone());
        let builder = builder.set("DATABASE_POOL_SIZE", "1").set("DATABASE_POOL_WAIT", "8s");
        let (_app, cast) = builder.start_with_cast().await;
        let (own, other) = (ticket(&cast.customer).await, ticket(&cast.stranger).await);
        for protocol in PROTOCOLS {
            // The session is bound to the account of another caller, or to none.
            match settings {
                "SET mainstay.account" => assert_eq!(list(&cast.stranger).await, [other.as_str()]),
                _ => assert_eq!(list(&cast.agent).await, [other.as_str(), own.as_str()]),
            }
            proxy.cut(Cut::Spoil, settings);
            cast.customer.call(protocol, LIST, json!({})).await.failure("INTERNAL_ERROR");
            assert_eq!(list(&cast.stranger).await, [other.as_str()]);
            assert_eq!(list(&cast.customer).await, [own.as_str()]);
        }
    }
}

/// A session remains bound to the account of its last list. A list that ends while its account is on the way, or while it reads,
/// leaves no session about whose account the server may be wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_serves_no_list_under_the_account_of_another() {
    let database = Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let builder = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone());
    let builder = builder.set("DATABASE_POOL_SIZE", "1").set("DATABASE_POOL_WAIT", "8s");
    let (_app, cast) = builder.start_with_cast().await;
    let (own, other) = (ticket(&cast.customer).await, ticket(&cast.stranger).await);
    let others_are_served = async || {
        eventually("a connection is lent", async || cast.stranger.rest(LIST, json!({})).await.status == 200).await;
        assert_eq!(list(&cast.stranger).await, [other.as_str()]);
    };
    let late = async |wait: &str| {
        let response = cast.customer.call_with(Protocol::Rest, LIST, json!({}), &[("x-request-timeout", wait)]).await;
        response.failure("DEADLINE_EXCEEDED")
    };
    others_are_served().await;

    // A caller leaves while the account is on its way, and while the page is read.
    proxy.hang(true);
    late("300ms").await;
    proxy.hang(false);
    others_are_served().await;
    let holder = connect(&database.url).await;
    holder.batch_execute("BEGIN; LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    late("500ms").await;
    holder.batch_execute("ROLLBACK").await.expect("released");
    others_are_served().await;
    // The connection breaks before the account reaches Postgres.
    proxy.cut(Cut::BeforeStatement, "SET mainstay.account");
    cast.customer.rest(LIST, json!({})).await.failure("UNAVAILABLE");
    others_are_served().await;

    // A list that fails leaves its account; a unit of work and a statement of the staff have their own reach there.
    holder.batch_execute("ALTER TABLE tickets RENAME TO renamed").await.expect("renamed");
    cast.customer.rest(LIST, json!({})).await.failure("INTERNAL_ERROR");
    holder.batch_execute("ALTER TABLE renamed RENAME TO tickets").await.expect("renamed");
    let change = json!({ "ticketId": other, "ticket": { "subject": "Changed" } });
    cast.agent.rest("TicketService.UpdateTicket", change.clone()).await.success();
    assert_eq!(list(&cast.customer).await, [own.as_str()]);
    cast.stranger.rest("TicketService.UpdateTicket", change.clone()).await.success();
    cast.customer.rest("TicketService.UpdateTicket", change).await.failure("NOT_FOUND");
    assert_eq!(list(&cast.agent).await, [other.as_str(), own.as_str()]);
}

/// The words and tags of tickets are found under the policies, and those of another account are not.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_finds_its_tickets_by_words_and_tags() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let mut ids = Vec::new();
    for who in [&cast.customer, &cast.stranger] {
        let request = json!({ "subject": "A rare zeppelin", "body": "It flies.", "tags": ["airship"] });
        ids.push(who.rest("TicketService.CreateTicket", request).await.success().id());
    }
    for (who, id) in [(&cast.customer, &ids[0]), (&cast.stranger, &ids[1])] {
        for filter in [
            json!({ "query": "zeppelin" }),
            json!({ "tags": ["airship"] }),
            json!({ "query": "zeppelin", "tags": ["airship"] }),
        ] {
            let page = who.rest("TicketService.ListTickets", filter.clone()).await.success();
            let found = page.data().as_array().expect("a list");
            assert!(found.len() == 1 && found[0]["id"] == id.as_str(), "{filter}: {found:?}");
            assert_eq!(page.text("/meta/total"), "1", "{filter}");
        }
    }
}

/// The separation of duties of docs/database-roles.md: the login of the server is a member of the roles, and owns nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_serves_with_a_login_that_owns_nothing() {
    let database = Arc::new(TestDatabase::new().await);
    let login = format!("mainstay_login_{}", unique());
    database.sql(&format!("CREATE ROLE {login} LOGIN PASSWORD 'hunter2' IN ROLE mainstay_server")).await;
    let mut url = Url::parse(&database.url).expect("a URL");
    url.set_username(&login).and_then(|()| url.set_password(Some("hunter2"))).expect("a URL with a host");
    let server = Process::with(&database, &[("DATABASE_URL", url.as_str())]).await;
    let scene = Scene::at(&server, &database).await;
    let (customer, agent) = (&scene.cast.customer, &scene.cast.agent);
    let id = scene.ticket().await;
    scene.comment(&id).await;
    for who in [customer, agent] {
        who.rest("TicketService.GetTicket", json!({ "ticketId": id })).await.success();
        let page = who.rest("TicketService.ListTickets", json!({})).await.success();
        assert_eq!(page.data().as_array().map(Vec::len), Some(1), "{}", page.body);
    }
    let owned = format!("SELECT count(*) FROM pg_class WHERE relowner = '{login}'::regrole");
    let used = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{login}'");
    assert_eq!(database.number(&owned).await, 0);
    assert!(database.number(&used).await > 0, "the server has this login");
    // What takes the owner of the tables.
    let client = connect(url.as_str()).await;
    let maintain = "SELECT add_partition('activities', now() + interval '40 months'), drop_detached('activities'), \
                    detach_partition('activities', now(), interval '1 year', 'false'), rotate_system_logs(0, '0s')";
    client.batch_execute(maintain).await.expect("maintained");
    client.batch_execute("DELETE FROM audit_entries").await.expect_err("the log is append-only");
    client.batch_execute("CREATE TABLE own (id uuid)").await.expect_err("no table of the server");
    drop((client, server));
    let ended = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'");
    database.sql(&ended).await;
    database.sql(&format!("DROP ROLE {login}")).await;
}
