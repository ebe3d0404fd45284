//! The storage quota of an account, which concurrent uploads can't exceed.

use serde_json::json;

use crate::{
    cases::file::{TEXT, announce_and_upload, body, put, upload_request},
    file::uploads::{make_orphans_due, run},
    support::{Protocol, TestApp, TestDatabase},
};

async fn usage(database: &TestDatabase) -> i64 {
    database.number("SELECT coalesce(sum(size_bytes), 0)::bigint FROM file_usage").await
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_uploads_share_the_space() {
    let (app, cast) = TestApp::builder().set("FILES_QUOTA", "1KiB").start_with_cast().await;
    let mut request = upload_request();
    request["sizeBytes"] = "100".into();
    let small = json!({ "name": "a.txt", "file": body("text/plain", "x".repeat(100)) });
    let calls = (0..40).map(|number| {
        let (method, request) = match number % 2 {
            0 => ("FileService.CreateUpload", request.clone()),
            _ => ("FileService.UploadFile", small.clone()),
        };
        let who = if number % 3 == 0 { &cast.customer } else { &cast.colleague };
        who.call(Protocol::Grpc, method, request)
    });
    let answers = futures_util::future::join_all(calls).await;
    let successes = answers.iter().filter(|answer| answer.reason.is_empty()).count();
    let refusals = answers.iter().filter(|answer| answer.reason == "STORAGE_QUOTA_EXCEEDED").count();
    // Beyond MAX_UPLOADS concurrent uploads, the reason is another one.
    assert_eq!(successes, 10, "{answers:#?}");
    assert!(refusals > 0);
    assert_eq!(usage(&app.database).await, 1000);
    cast.stranger.call(Protocol::Grpc, "FileService.CreateUpload", request).await.success();
}

#[tokio::test]
async fn deleting_a_file_gives_its_space_back() {
    let (app, cast) = TestApp::builder().set("FILES_QUOTA", "150B").start_with_cast().await;
    let small = json!({ "name": "a.txt", "file": body("text/plain", "x".repeat(100)) });
    let call = || cast.customer.rest("FileService.UploadFile", small.clone());
    let id = call().await.success().id();
    call().await.failure("STORAGE_QUOTA_EXCEEDED");
    cast.customer.rest("FileService.DeleteFile", json!({ "fileId": id })).await.success();
    assert_eq!(usage(&app.database).await, 0);
    call().await.success();
    // A file larger than the whole quota, for an account without files.
    let large = json!({ "name": "a.txt", "file": body("text/plain", "x".repeat(200)) });
    cast.stranger.rest("FileService.UploadFile", large).await.failure("STORAGE_QUOTA_EXCEEDED");
}

/// Repeated uploads and deletions fill the storage no further than the quota.
#[tokio::test]
async fn an_upload_takes_space_until_it_is_deleted() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("file://{}", directory.path().display());
    let (app, cast) = TestApp::builder().set("FILES_URL", url).set("FILES_QUOTA", "20B").start_with_cast().await;
    let who = &cast.customer;
    let call = |method: &'static str, id: &str| who.rest(method, json!({ "fileId": id }));
    let create = || who.rest("FileService.CreateUpload", upload_request());
    let count_files = || std::fs::read_dir(directory.path().join("uploads")).map(Iterator::count).unwrap_or_default();
    let size = i64::try_from(TEXT.len()).expect("short");
    for is_completed in [false, true] {
        let id = announce_and_upload(who, upload_request(), TEXT).await;
        if is_completed {
            call("FileService.CompleteUpload", &id).await.success();
        }
        call("FileService.DeleteFile", &id).await.success();
        run(&app, "delete_objects").await;
        assert_eq!((count_files(), usage(&app.database).await), (1, size), "it is still there: {is_completed}");
        create().await.failure("STORAGE_QUOTA_EXCEEDED");
        let soon = "SELECT count(*) FROM stored_objects WHERE delete_at < now() + interval '11 min'";
        assert_eq!(app.database.number(soon).await, 1, "nothing more can be uploaded");
        make_orphans_due(&app.database).await;
        run(&app, "delete_objects").await;
        assert_eq!((count_files(), usage(&app.database).await), (0, 0), "{is_completed}");
    }
    // The upload is deleted before the file.
    let id = announce_and_upload(who, upload_request(), TEXT).await;
    call("FileService.CompleteUpload", &id).await.success();
    make_orphans_due(&app.database).await;
    run(&app, "delete_objects").await;
    assert_eq!((count_files(), usage(&app.database).await), (0, size));
    call("FileService.DeleteFile", &id).await.success();
    assert_eq!(usage(&app.database).await, 0);
    // The upload is deleted before it expires.
    let announced = create().await.success();
    make_orphans_due(&app.database).await;
    run(&app, "delete_objects").await;
    call("FileService.DeleteFile", &announced.text("/data/file/id")).await.success();
    assert_eq!(usage(&app.database).await, 0);
    assert_eq!(put(who, &announced.text("/data/url"), TEXT).await, 404);
    assert_eq!(count_files(), 0);
}
