//! The export of all data: what it has and lacks, and who downloads it.

use std::{collections::BTreeMap, io::Read as _};

use chrono::TimeDelta;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::{
    cases::{Scene, file, member_of, order::product, unknown_id},
    support::{Actor, Protocol, TestApp, eventually, unique},
};

const CREATE: &str = "DataExportService.CreateDataExport";
const GET: &str = "DataExportService.GetDataExport";

/// Requests an export, and waits for its end; returns the response of a read.
async fn export(who: &Actor, request: Value) -> Value {
    let created = who.rest(CREATE, request).await.success();
    assert_eq!(created.status, 202);
    let id = created.id();
    let mut last = Value::Null;
    eventually("the export ends", async || {
        last = who.call(Protocol::Grpc, GET, json!({ "dataExportId": id })).await.success().body["data"].clone();
        last["state"] == "DATA_EXPORT_STATE_SUCCEEDED"
    })
    .await;
    last
}

async fn download(app: &TestApp, url: &str) -> (u16, Vec<u8>) {
    let answer = app.endpoint.http.get(format!("{}{url}", app.endpoint.base())).send().await.expect("an answer");
    (answer.status().as_u16(), answer.bytes().await.expect("a body").to_vec())
}

/// Returns the entries of an archive.
fn unpack(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let entries = archive.entries().expect("an archive").map(|entry| {
        let mut entry = entry.expect("an entry");
        let (name, mut content) = (entry.path().expect("a path").display().to_string(), Vec::new());
        entry.read_to_end(&mut content).expect("a content");
        (name, content)
    });
    entries.collect()
}

fn rows(entries: &BTreeMap<String, Vec<u8>>, table: &str) -> Vec<Value> {
    let content = entries.get(&format!("{table}.ndjson")).map(Vec::as_slice).unwrap_or_default();
    let text = std::str::from_utf8(content).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_and_an_account_are_exported_without_secrets_and_notes() {
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs()).await;
    let who = &scene.cast.customer;
    let (ticket, _) = scene.note().await;
    scene.comment(&ticket).await;
    let stored = file::upload(who).await;

    let own = export(who, json!({})).await;
    assert_eq!((&own["itemsDone"], own["finishTime"].is_string()), (&own["itemsTotal"], true), "{own}");
    let (status, archive) = download(&app, own["downloadUrl"].as_str().expect("a URL")).await;
    assert_eq!((status, archive.len().to_string()), (200, own["sizeBytes"].as_str().expect("a size").to_owned()));
    let entries = unpack(&archive);
    let users = rows(&entries, "users");
    assert_eq!((users.len(), &users[0]["email"]), (1, &json!(who.as_user().email)));
    assert!(users[0].get("password_hash").is_none(), "{users:?}");
    assert_eq!(rows(&entries, "tickets")[0]["id"], json!(ticket));
    assert_eq!(entries.get(&format!("files/{stored}")).map(Vec::is_empty), Some(false), "{:?}", entries.keys());
    let everything: Vec<u8> = entries.values().flatten().copied().collect();
    let everything = String::from_utf8_lossy(&everything).into_owned();
    for secret in ["argon2id", "token_hash", "secret"] {
        assert!(!everything.contains(secret), "{secret}");
    }
    assert!(!everything.contains(&scene.cast.stranger.as_user().email));

    let account = export(who, json!({ "accountId": scene.account() })).await;
    let (_, archive) = download(&app, account["downloadUrl"].as_str().expect("a URL")).await;
    let entries = unpack(&archive);
    assert_eq!(rows(&entries, "members").len(), 2);
    let comments = rows(&entries, "comments");
    assert_eq!(comments.len(), 1, "no internal notes: {comments:?}");
    assert!(entries.contains_key(&format!("files/{stored}")));
    assert!(rows(&entries, "accounts")[0]["id"] == json!(scene.account()));
}

/// The address, the program and the reason of staff are theirs, and so are the values of other people.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_of_an_export_has_the_acts_of_its_owner() {
    const ADDRESS: &str = "198.51.100.77";
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs().set("TRUSTED_PROXY_HOPS", "1")).await;
    let (who, invited, account) = (&scene.cast.customer, scene.cast.stranger.as_user(), scene.account());
    let rename = json!({ "ticketId": scene.ticket().await, "ticket": { "subject": "Renamed by staff" } });
    let from = [("x-forwarded-for", ADDRESS)];
    scene.cast.agent.call_with(Protocol::Rest, "TicketService.UpdateTicket", rename, &from).await.success();
    let member = member_of(&app.database, &scene.cast.colleague).await;
    let demote = json!({ "memberId": member, "member": { "role": "MEMBER_ROLE_VIEWER" } });
    who.rest("MemberService.UpdateMember", demote).await.success();
    let invite = json!({ "accountId": account, "email": invited.email, "role": "MEMBER_ROLE_VIEWER" });
    who.rest("InvitationService.CreateInvitation", invite).await.success();
    let name = json!({ "userId": who.as_user().id.to_string(), "user": { "name": "Ada of the export" } });
    who.rest("UserService.UpdateUser", name).await.success();
    // What is to be left out is there.
    let count = async |condition: &str| {
        app.database.number(&format!("SELECT count(*) FROM audit_entries WHERE {condition}")).await
    };
    assert!(count(&format!("account_id = '{account}' AND personal::text LIKE '%{ADDRESS}%'")).await > 0);
    let of_invited = format!("actor_id = '{}' AND personal::text LIKE '%{}%'", who.as_user().id, invited.email);
    assert!(count(&of_invited).await > 0);

    for (request, lacks, has) in [
        (json!({}), invited.email.as_str(), "Ada of the export"),
        (json!({ "accountId": account }), ADDRESS, "MemberService.UpdateMember"),
    ] {
        let exported = export(who, request).await;
        let (_, archive) = download(&app, exported["downloadUrl"].as_str().expect("a URL")).await;
        let entries = rows(&unpack(&archive), "audit_entries");
        let text = Value::from(entries.clone()).to_string();
        assert!(!text.contains(lacks) && text.contains(has), "{lacks} {has}: {text}");
        assert!(entries.iter().all(|entry| ![3, 4, 5].contains(&entry["actor_kind"].as_i64().unwrap_or(3))), "{text}");
    }
}

/// What staff did for customers is no data of the staff.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_staff_has_no_rows_of_customers() {
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs()).await;
    let (agent, customer) = (&scene.cast.agent, &scene.cast.customer);
    let (ticket, _) = scene.note().await;
    let assign = json!({ "ticketId": ticket, "assigneeId": agent.as_user().id.to_string() });
    agent.rest("TicketService.AssignTicket", assign).await.success();
    let product = product(&scene, 100, "EUR").await;
    let order = json!({
        "accountId": scene.account(), "confirmationEmail": "customer@example.com",
        "items": [{ "productId": product, "quantity": 1 }],
    });
    agent.keyed(Protocol::Rest, "OrderService.CreateOrder", order, &unique()).await.success();
    let exported = export(agent, json!({})).await;
    let (_, archive) = download(&app, exported["downloadUrl"].as_str().expect("a URL")).await;
    let entries = unpack(&archive);
    assert_eq!(rows(&entries, "users").len(), 1);
    for table in ["tickets", "orders", "comments", "payments"] {
        assert_eq!(rows(&entries, table), Vec::<Value>::new(), "{table}");
    }
    let everything: Vec<u8> = entries.values().flatten().copied().collect();
    let everything = String::from_utf8_lossy(&everything).into_owned();
    for text in ["customer@example.com", "They are late with paying.", &customer.as_user().email] {
        assert!(!everything.contains(text), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_kept_for_the_time_of_its_setting() {
    let app = TestApp::builder().set("DATA_EXPORT_ARCHIVES_KEPT", "3h").with_jobs().start().await;
    let customer = app.cast().await.customer;
    let own = export(&customer, json!({})).await;
    for is_expired in [false, true] {
        app.app.clock.advance(TimeDelta::hours(2));
        let again = Actor::user(&app.endpoint, customer.as_user().clone());
        let read = again.call(Protocol::Rest, GET, json!({ "dataExportId": own["id"] })).await.success();
        assert_eq!(read.data()["downloadUrl"].is_null(), is_expired, "{read:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_for_its_user_and_for_some_minutes() {
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let own = export(&cast.customer, json!({})).await;
    for other in [&cast.colleague, &cast.stranger, &cast.admin] {
        other.rest(GET, json!({ "dataExportId": own["id"] })).await.failure("NOT_FOUND");
    }
    cast.anonymous.rest(GET, json!({ "dataExportId": own["id"] })).await.failure("UNAUTHENTICATED");
    let url = own["downloadUrl"].as_str().expect("a URL").to_owned();
    assert_eq!(download(&app, &url).await.0, 200);
    let (path, query) = url.split_once('?').expect("a query");
    assert_eq!(download(&app, path).await.0, 403, "without a signature");
    let other = format!("/archives/{}?{query}", unknown_id());
    assert_eq!(download(&app, &other).await.0, 403, "another archive");
    assert_eq!(download(&app, &format!("/files/{}?{query}", unknown_id())).await.0, 403, "a file");
    let later = url.replacen("expires=", "expires=9", 1);
    assert_eq!(download(&app, &later).await.0, 403, "a later expiry");
    app.app.clock.advance(TimeDelta::hours(2));
    assert_eq!(download(&app, &url).await.0, 403, "after the expiry");
    app.app.clock.advance(TimeDelta::days(7));
    let cast_again = Actor::user(&app.endpoint, cast.customer.as_user().clone());
    let read = cast_again.rest(GET, json!({ "dataExportId": own["id"] })).await.success();
    assert!(read.data()["downloadUrl"].is_null(), "the archive has expired: {read:?}");
    app.run_task("delete_objects").await.expect("a run");
    assert_eq!(app.database.number("SELECT count(*) FROM stored_objects WHERE key LIKE 'archives/%'").await, 0);
}

#[tokio::test]
async fn exports_are_limited() {
    let (app, cast) = TestApp::start_with_cast().await;
    cast.customer.rest(CREATE, json!({})).await.success();
    cast.customer.rest(CREATE, json!({})).await.failure("DATA_EXPORT_LIMIT_REACHED");
    for _ in 0..2 {
        app.database.sql("UPDATE data_exports SET state = 4, finished_at = now() WHERE state < 3").await;
        cast.customer.call(Protocol::Grpc, CREATE, json!({})).await.success();
    }
    app.database.sql("UPDATE data_exports SET state = 4, finished_at = now() WHERE state < 3").await;
    cast.customer.rest(CREATE, json!({})).await.failure("DATA_EXPORT_LIMIT_REACHED");
    cast.stranger.rest(CREATE, json!({})).await.success();
}
