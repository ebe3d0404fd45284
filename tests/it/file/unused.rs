//! Unreferenced files: they are kept for a while, and a file that is attached meanwhile is never lost.

use std::slice::from_ref;

use serde_json::{Value, json};

use crate::{
    cases::{
        draft,
        file::{TEXT, announce_and_upload, image, upload, upload_request},
        ticket::with_files,
    },
    support::{Actor, Protocol, Response, TestApp, database::connect},
};

async fn send(who: &Actor, method: &str, request: Value) -> Response {
    who.rest(method, request).await
}

async fn ticket_with(who: &Actor, files: &[String]) -> Response {
    send(who, "TicketService.CreateTicket", with_files(draft(), files)).await
}

async fn expire(app: &TestApp) {
    app.run_task("expire_files").await.expect("a run");
}

/// Simulates the passage of time for the files.
async fn pass(app: &TestApp, interval: &str) {
    app.database.sql(&format!("UPDATE files SET expires_at = expires_at - interval '{interval}'")).await;
    expire(app).await;
}

async fn is_there(who: &Actor, id: &str) -> bool {
    match &*send(who, "FileService.GetFile", json!({ "fileId": id })).await.reason {
        "" => true,
        "NOT_FOUND" => false,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_file_that_nothing_refers_to_is_deleted_after_a_week() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (who, author) = (&cast.customer, &cast.agent);
    let (unused, attached, detached) = (upload(who).await, upload(who).await, upload(who).await);
    let (current, removed) = (image(author).await, image(author).await);
    let ticket = ticket_with(who, &[attached.clone(), detached.clone()]).await.success().id();
    let comment = json!({ "ticketId": ticket, "body": "See the photo." });
    let comment = with_files(comment, from_ref(&detached));
    let comment = send(who, "CommentService.CreateComment", comment).await.success().id();
    let body = format!("![](/images/{current}) ![](/images/{removed})");
    let post = send(author, "PostService.CreatePost", json!({ "title": "Toner", "body": body })).await.success().id();
    pass(&app, "30 days").await;
    let there = async || {
        let mut there = Vec::new();
        for id in [&unused, &attached, &detached, &current, &removed] {
            there.push(is_there(author, id).await);
        }
        there
    };
    assert_eq!(there().await, [false, true, true, true, true]);

    // The comment still refers to it.
    let patch = json!({ "ticketId": ticket, "ticket": { "attachmentIds": [attached] } });
    send(who, "TicketService.UpdateTicket", patch).await.success();
    pass(&app, "30 days").await;
    assert!(is_there(who, &detached).await);
    let patch = json!({ "ticketId": ticket, "commentId": comment, "comment": { "attachmentIds": [] }, "updateMask": "attachmentIds" });
    send(who, "CommentService.UpdateComment", patch).await.success();
    let patch = json!({ "postId": post, "post": { "body": format!("![](/images/{current})") } });
    send(author, "PostService.UpdatePost", patch).await.success();
    pass(&app, "167 hours").await;
    assert_eq!(there().await, [false, true, true, true, true]);
    pass(&app, "1 hour").await;
    assert_eq!(there().await, [false, true, false, true, false]);

    let count = async |sql: &str| app.database.number(sql).await;
    assert_eq!(count("SELECT count(*) FROM stored_objects WHERE delete_at IS NULL").await, 2, "contents go with them");
    let size = count("SELECT sum(size_bytes)::bigint FROM files").await;
    assert_eq!(count("SELECT sum(size_bytes)::bigint FROM file_usage").await, size, "space is given back");
}

#[tokio::test]
async fn an_upload_that_is_completed_has_a_week_to_be_used() {
    let (app, cast) = TestApp::start_with_cast().await;
    let id = announce_and_upload(&cast.customer, upload_request(), TEXT).await;
    send(&cast.customer, "FileService.CompleteUpload", json!({ "fileId": id })).await.success();
    pass(&app, "167 hours").await;
    assert!(is_there(&cast.customer, &id).await);
    pass(&app, "1 hour").await;
    assert!(!is_there(&cast.customer, &id).await);
}

/// Expired files are attached while they are collected: each file ends up attached, or gone.
#[tokio::test(flavor = "multi_thread")]
async fn an_attached_file_is_not_collected_at_the_same_time() {
    let (app, cast) = TestApp::builder().set("OPEN_TICKET_LIMIT", "100").start_with_cast().await;
    for _ in 0..8 {
        let mut files = Vec::new();
        for _ in 0..4 {
            files.push(upload(&cast.customer).await);
        }
        app.database.sql("UPDATE files SET expires_at = now() - interval '1 s' WHERE expires_at IS NOT NULL").await;
        let attach = futures_util::future::join_all(files.iter().map(|id| ticket_with(&cast.customer, from_ref(id))));
        let (attached, ()) = tokio::join!(attach, expire(&app));
        for (id, answer) in files.iter().zip(attached) {
            let was_attached = match &*answer.reason {
                "" => true,
                "NOT_FOUND" => false,
                other => panic!("{other}"),
            };
            assert_eq!(is_there(&cast.customer, id).await, was_attached);
        }
    }
}

/// The collection runs while a transaction has attached a file and not committed: it neither waits nor takes the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_being_attached_is_skipped() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (used, unused) = (upload(&cast.customer).await, upload(&cast.customer).await);
    app.database.sql("UPDATE files SET expires_at = now() - interval '1 s'").await;
    let locker = connect(&app.database.url).await;
    locker.batch_execute("BEGIN; LOCK TABLE activities IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let creation = ticket_with(&cast.customer, from_ref(&used));
    let collection = async {
        app.database.locks_waited_for(1).await;
        expire(&app).await;
        assert!(!is_there(&cast.customer, &unused).await);
        locker.batch_execute("ROLLBACK").await.expect("an end");
    };
    let (response, ()) = tokio::join!(creation, collection);
    response.success();
    expire(&app).await;
    assert!(is_there(&cast.customer, &used).await);
}

/// Two tickets exchange their files without a deadlock.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_exchanged_are_locked_in_one_order() {
    let (app, cast) = TestApp::start_with_cast().await;
    let who = &cast.customer;
    let (mut one, mut other) = (upload(who).await, upload(who).await);
    let first = ticket_with(who, from_ref(&one)).await.success().id();
    let second = ticket_with(who, from_ref(&other)).await.success().id();
    for _ in 0..16 {
        let change = |ticket: &String, file: &String| {
            let request = json!({ "ticketId": ticket, "ticket": { "attachmentIds": [file] } });
            who.call(Protocol::Grpc, "TicketService.UpdateTicket", request)
        };
        let (left, right) = tokio::join!(change(&first, &other), change(&second, &one));
        left.success();
        right.success();
        std::mem::swap(&mut one, &mut other);
    }
    let used = "SELECT count(*) FROM files WHERE expires_at IS NULL";
    assert_eq!(app.database.number(used).await, 2, "both are referred to, independent of the order");
}

/// Two transactions with the same objects never deadlock: each locks the smallest key first, regardless of the table's
/// order. Uploads and contents are locked by different statements.
#[tokio::test(flavor = "multi_thread")]
async fn stored_objects_are_locked_in_one_order() {
    let (app, cast) = TestApp::start_with_cast().await;
    for kind in ["uploads", "files"] {
        for _ in 0..3 {
            let id = announce_and_upload(&cast.customer, upload_request(), TEXT).await;
            send(&cast.customer, "FileService.CompleteUpload", json!({ "fileId": id })).await.success();
        }
        let keys = format!("SELECT key FROM stored_objects WHERE key LIKE '{kind}/%' ORDER BY key");
        let all = app.database.sql(&keys).await;
        // The row version that was written last is physically last in the table.
        app.database
            .sql(&format!("UPDATE stored_objects SET delete_at = delete_at WHERE key = ({keys} LIMIT 1)"))
            .await;
        app.database.sql("UPDATE files SET expires_at = now() - interval '1 s'").await;
        let locker = connect(&app.database.url).await;
        let second = format!("SELECT FROM stored_objects WHERE key = ({keys} OFFSET 1 LIMIT 1) FOR UPDATE");
        locker.batch_execute(&format!("BEGIN; {second}")).await.expect("a lock");
        let observed = async {
            app.database.locks_waited_for(1).await;
            let free = app.database.sql(&format!("{keys} FOR UPDATE SKIP LOCKED")).await;
            locker.batch_execute("ROLLBACK").await.expect("an end");
            free
        };
        let (free, ()) = tokio::join!(observed, expire(&app));
        assert_eq!(free, all[2..], "{kind}: the first was locked already, the third not yet");
        app.database.sql("DELETE FROM stored_objects").await;
    }
}
