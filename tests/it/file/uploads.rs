//! Direct uploads: the content that was checked is the content that is kept.

use serde_json::json;

use crate::{
    cases::file::{TEXT, announce_and_upload, put, small, upload, upload_request},
    support::{Actor, Process, Protocol, Raw, TestApp, TestDatabase, eventually, people::Cast},
};

async fn complete(who: &Actor, id: &str) -> crate::support::Response {
    who.rest("FileService.CompleteUpload", json!({ "fileId": id })).await
}

async fn content(who: &Actor, id: &str) -> String {
    let answer = who.rest("FileService.DownloadFile", json!({ "fileId": id })).await.success();
    let url = format!("{}{}", who.endpoint.base(), answer.text("/data/url"));
    who.endpoint.http.get(url).send().await.expect("an answer").text().await.expect("text")
}

/// Makes the objects due that no transaction keeps.
pub(super) async fn make_orphans_due(database: &TestDatabase) {
    database.sql("UPDATE stored_objects SET delete_at = now() - interval '1 s' WHERE delete_at IS NOT NULL").await;
}

#[tokio::test]
async fn a_completed_upload_can_not_be_replaced() {
    let (app, cast) = TestApp::start_with_cast().await;
    let announced = cast.customer.rest("FileService.CreateUpload", upload_request()).await.success();
    let (url, id) = (announced.text("/data/url"), announced.text("/data/file/id"));
    assert_eq!(put(&cast.customer, &url, "Something before.").await, 204);
    assert_eq!(put(&cast.customer, &url, TEXT).await, 204, "until then it may be");
    let response = complete(&cast.customer, &id).await.success();
    assert_eq!(response.text("/data/status"), "FILE_STATUS_READY");
    assert_eq!(put(&cast.customer, &url, "Something after!!").await, 409);
    assert_eq!(content(&cast.customer, &id).await, TEXT);
    // A caller with access to the storage could only replace content that is no longer read.
    assert_eq!(app.database.number("SELECT count(*) FROM files WHERE object_key LIKE 'uploads/%'").await, 0);
}

#[tokio::test]
async fn only_what_was_announced_is_taken() {
    let (app, cast) = TestApp::start_with_cast().await;
    let announced = cast.customer.rest("FileService.CreateUpload", upload_request()).await.success();
    let url = announced.text("/data/url");
    for other in ["", "short", "This is longer than what was announced."] {
        assert_eq!(put(&cast.customer, &url, other).await, 422, "{other}");
    }
    // A body without a declared length.
    let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 1024]));
    let request = app.endpoint.http.put(format!("{}{url}", app.endpoint.base()));
    let answer = request.body(reqwest::Body::wrap_stream(endless)).send().await;
    assert!(answer.map_or(true, |answer| answer.status() == 422), "more than announced");
    complete(&cast.customer, &announced.text("/data/file/id")).await.failure("UPLOAD_INCOMPLETE");
    let expired = url.replace("expires=", "expires=1&expires=");
    assert!(!put(&cast.customer, &expired, TEXT).await.is_success());
}

#[tokio::test]
async fn an_upload_that_is_not_completed_is_given_up() {
    let (app, cast) = TestApp::start_with_cast().await;
    let id = announce_and_upload(&cast.customer, upload_request(), TEXT).await;
    app.database.sql("UPDATE files SET expires_at = now() - interval '1 s'").await;
    complete(&cast.customer, &id).await.failure("NOT_FOUND");
    run(&app, "expire_files").await;
    assert_eq!(app.database.number("SELECT count(*) FROM files").await, 0);
    make_orphans_due(&app.database).await;
    run(&app, "delete_objects").await;
    assert_eq!(app.database.number("SELECT count(*) FROM stored_objects").await, 0);
    assert_eq!(app.database.number("SELECT sum(size_bytes)::bigint FROM file_usage").await, 0);
}

#[tokio::test]
async fn an_object_that_can_not_be_deleted_holds_up_no_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let (app, cast) =
        TestApp::builder().set("FILES_URL", format!("file://{}", directory.path().display())).start_with_cast().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(upload(&cast.customer).await);
    }
    // A non-empty directory takes the place of the second object.
    let key = app.database.sql(&format!("SELECT object_key FROM files WHERE id = '{}'", ids[1])).await;
    let path = directory.path().join(key[0][0].as_deref().expect("a key"));
    std::fs::remove_file(&path).expect("the object");
    std::fs::create_dir_all(path.join("inside")).expect("a directory");
    for id in ids {
        cast.customer.rest("FileService.DeleteFile", json!({ "fileId": id })).await.success();
    }
    let run = || app.run_task("delete_objects");
    run().await.expect_err("one can't be deleted");
    assert_eq!(app.database.number("SELECT count(*) FROM stored_objects").await, 1, "the others are gone");
    std::fs::remove_dir_all(&path).expect("the directory");
    make_orphans_due(&app.database).await;
    run().await.expect("all are deleted");
    assert_eq!(app.database.number("SELECT count(*) FROM stored_objects").await, 0);
}

#[tokio::test]
async fn a_deleted_file_is_gone_from_the_storage_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let (app, cast) =
        TestApp::builder().set("FILES_URL", format!("file://{}", directory.path().display())).start_with_cast().await;
    let count_files = || std::fs::read_dir(directory.path().join("files")).map(Iterator::count).unwrap_or_default();
    let (id, other) = (upload(&cast.customer).await, upload(&cast.customer).await);
    run(&app, "delete_objects").await;
    assert_eq!(count_files(), 2, "what is needed stays");
    cast.customer.rest("FileService.DeleteFile", json!({ "fileId": id })).await.success();
    run(&app, "delete_objects").await;
    assert_eq!(count_files(), 1);
    assert_eq!(content(&cast.customer, &other).await, TEXT);
}

/// Many requests complete one upload concurrently, and one of their copies is kept.
#[tokio::test(flavor = "multi_thread")]
async fn one_upload_is_completed_once() {
    let (app, cast) = TestApp::start_with_cast().await;
    let id = announce_and_upload(&cast.customer, upload_request(), TEXT).await;
    let all = futures_util::future::join_all((0..8).map(|_| complete(&cast.customer, &id))).await;
    for answer in all {
        assert_eq!(answer.success().text("/data/version"), "2");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM stored_objects WHERE delete_at IS NULL").await, 1);
    make_orphans_due(&app.database).await;
    run(&app, "delete_objects").await;
    assert_eq!(app.database.number("SELECT count(*) FROM stored_objects").await, 1);
    assert_eq!(content(&cast.customer, &id).await, TEXT);
}

#[tokio::test]
async fn a_slow_upload_ends() {
    let (app, cast) = TestApp::start_with_cast().await;
    let announced = cast.customer.rest("FileService.CreateUpload", upload_request()).await.success();
    let nothing = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let request = app.endpoint.http.put(format!("{}{}", app.endpoint.base(), announced.text("/data/url")));
    let answer = request.body(reqwest::Body::wrap_stream(nothing)).send().await.expect("an answer");
    assert_eq!(answer.status(), 504);
}

/// The process dies at each step between Postgres and the storage. The orphans are found and deleted, and a retry
/// succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_nothing_behind() {
    for point in ["file.recorded", "file.stored", "effect.after"] {
        let (database, directory) = (TestDatabase::new().await, tempfile::tempdir().expect("a directory"));
        let url = format!("file://{}", directory.path().display());
        let count_files = || std::fs::read_dir(directory.path().join("files")).map(Iterator::count).unwrap_or_default();
        let first = Process::with(&database, &[("FILES_URL", &url), ("JOBS_IN_SERVE", "false")]).await;
        let cast = Cast::new(&first.endpoint, &database).await;
        let who = &cast.customer;
        who.token().await;
        drop(first);
        let faults = format!("{point}=kill");
        let variables = [("FILES_URL", url.as_str()), ("JOBS_IN_SERVE", "false"), ("MAINSTAY_FAULTS", &faults)];
        let dying = Process::with(&database, &variables).await;
        let response = who.at(&dying.endpoint).keyed(Protocol::Rest, "FileService.UploadFile", small(), "one").await;
        assert_eq!(response.status, 0, "{point}: {response:?}");
        assert_eq!(database.number("SELECT count(*) FROM files").await, 0);
        let server = Process::with(&database, &[("FILES_URL", &url)]).await;
        let who = cast.customer.at(&server.endpoint);
        let id = who.keyed(Protocol::Rest, "FileService.UploadFile", small(), "one").await.success().id();
        make_orphans_due(&database).await;
        database
            .sql("UPDATE scheduled_tasks SET last_started_at = now() - interval '1 h' WHERE name = 'delete_objects'")
            .await;
        eventually("the orphan is deleted", async || {
            count_files() == 1 && database.number("SELECT count(*) FROM stored_objects").await == 1
        })
        .await;
        assert_eq!(content(&who, &id).await, TEXT);
    }
}

#[tokio::test]
async fn names_lead_nowhere() {
    let directory = tempfile::tempdir().expect("a directory");
    let inside = directory.path().join("a/b");
    let (app, cast) =
        TestApp::builder().set("FILES_URL", format!("file://{}", inside.display())).start_with_cast().await;
    for name in ["%2e%2e%2fescaped", "..%5cescaped", "....", "a\u{2215}b", "~root", "$(id)"] {
        let request = json!({ "name": name, "file": crate::cases::file::body("text/plain", TEXT) });
        let answer = cast.customer.call(Protocol::Grpc, "FileService.UploadFile", request).await;
        assert!(answer.reason.is_empty() || answer.reason == "VALIDATION_FAILED", "{answer:?}");
    }
    let raw = Raw::new("PUT", "/files/uploads/..%2f..%2fescaped?expires=9999999999&signature=AAAA");
    Raw { body: TEXT.into(), ..raw }.send(app.endpoint.address).await.failure("NOT_FOUND");
    let outside = std::fs::read_dir(directory.path()).expect("the directory").count();
    assert_eq!(outside, 1, "something is beside the directory");
}

pub(super) async fn run(app: &TestApp, task: &str) {
    app.run_task(task).await.unwrap_or_else(|error| panic!("{task}: {error:?}"));
}
