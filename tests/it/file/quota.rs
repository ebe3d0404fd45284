//! The space of an account, which concurrent uploads can't exceed.

use serde_json::json;

use crate::{
    cases::file::{announced, body},
    support::{Protocol, TestApp, TestDatabase},
};

async fn usage(database: &TestDatabase) -> i64 {
    database.number("SELECT coalesce(sum(size_bytes), 0)::bigint FROM file_usage").await
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_uploads_share_the_space() {
    let app = TestApp::builder().set("FILES_QUOTA", "1KiB").start().await;
    let cast = app.cast().await;
    let mut request = announced();
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
    let taken = answers.iter().filter(|answer| answer.reason.is_empty()).count();
    let refused = answers.iter().filter(|answer| answer.reason == "STORAGE_QUOTA_EXCEEDED").count();
    // Beyond MAX_UPLOADS at once, uploads are refused for another reason.
    assert_eq!(taken, 10, "{answers:#?}");
    assert!(refused > 0);
    assert_eq!(usage(&app.database).await, 1000);
    cast.stranger.call(Protocol::Grpc, "FileService.CreateUpload", request).await.good();
}

#[tokio::test]
async fn deleting_a_file_gives_its_space_back() {
    let app = TestApp::builder().set("FILES_QUOTA", "150B").start().await;
    let cast = app.cast().await;
    let small = json!({ "name": "a.txt", "file": body("text/plain", "x".repeat(100)) });
    let call = || cast.customer.call(Protocol::Rest, "FileService.UploadFile", small.clone());
    let id = call().await.good().id();
    call().await.refused("STORAGE_QUOTA_EXCEEDED");
    cast.customer.call(Protocol::Rest, "FileService.DeleteFile", json!({ "fileId": id })).await.good();
    assert_eq!(usage(&app.database).await, 0);
    call().await.good();
    // What is larger than the whole quota, for an account without any file.
    let large = json!({ "name": "a.txt", "file": body("text/plain", "x".repeat(200)) });
    cast.stranger.call(Protocol::Rest, "FileService.UploadFile", large).await.refused("STORAGE_QUOTA_EXCEEDED");
}
