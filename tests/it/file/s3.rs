//! Files in a bucket: callers send and fetch contents themselves, and nothing is partly recorded while the bucket is
//! unavailable.

use serde_json::json;

use crate::{
    cases::file::{PNG, TEXT, body, small, upload, upload_request},
    support::{Actor, Protocol, Response, TestApp, eventually, s3::S3},
};

async fn download(who: &Actor, id: &str) -> Response {
    who.rest("FileService.DownloadFile", json!({ "fileId": id })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_go_to_the_bucket_and_come_from_it() {
    let s3 = S3::start().await;
    let (app, cast) = TestApp::builder().set("FILES_URL", s3.url()).start_with_cast().await;
    // More than one part of a multipart upload.
    let content: Vec<u8> = (0..9_u32 << 20).map(|at| (at % 251) as u8).collect();
    let mut request = upload_request();
    request["sizeBytes"] = content.len().to_string().into();
    (request["contentType"], request["name"]) = ("application/x-own".into(), "Grüße.bin".into());
    let announced = cast.customer.call(Protocol::Grpc, "FileService.CreateUpload", request).await.success();
    let (url, id) = (announced.text("/data/url"), announced.text("/data/file/id"));
    assert!(url.starts_with(&s3.base()) && url.contains("content-type%3Bhost"), "{url}");
    let mut put = app.endpoint.http.put(&url);
    for header in announced.data()["headers"].as_array().expect("headers") {
        put = put.header(header["name"].as_str().expect("a name"), header["value"].as_str().expect("a value"));
    }
    let answer = put.body(content.clone()).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
    let response = cast.customer.rest("FileService.CompleteUpload", json!({ "fileId": id })).await.success();
    assert_eq!(response.text("/data/contentType"), "application/x-own");
    let link = download(&cast.customer, &id).await.success().header("location").expect("a location").to_owned();
    assert!(link.starts_with(&s3.base()), "{link}");
    let got = app.endpoint.http.get(&link).header("range", "bytes=1000-1999").send().await.expect("an answer");
    assert_eq!(got.status(), 206);
    assert_eq!(
        got.headers()["content-disposition"],
        "attachment; filename=\"Gr__e.bin\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%2Ebin"
    );
    assert_eq!(got.bytes().await.expect("a part"), content[1000..2000]);
    // Content that is uploaded to the URL from now on belongs to no file.
    let evil = app.endpoint.http.put(&url).header("content-type", "application/x-own").body("evil").send().await;
    assert!(evil.is_ok());
    let got = app.endpoint.http.get(&link).send().await.expect("an answer").bytes().await.expect("the content");
    assert_eq!(got, content);
    // It uses quota until the URL has expired, even if the file is deleted.
    cast.customer.rest("FileService.DeleteFile", json!({ "fileId": id })).await.success();
    let query = format!(
        "SELECT count(*) FROM stored_objects JOIN file_usage USING (account_id, size_bytes)
         WHERE size_bytes = {} AND delete_at > now() + interval '2 h'",
        content.len()
    );
    assert_eq!(app.database.number(&query).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_callers_do_not_reach_is_behind_the_server() {
    let s3 = S3::start().await;
    let (app, cast) =
        TestApp::builder().set("FILES_URL", format!("{}&access=server", s3.url())).start_with_cast().await;
    let request = json!({ "name": "a.png", "purpose": "FILE_PURPOSE_IMAGE", "file": body("image/png", PNG) });
    let id = cast.customer.call(Protocol::Envoy, "FileService.UploadFile", request).await.success().id();
    let link = download(&cast.customer, &id).await.success().text("/data/url");
    assert!(link.starts_with("/files/"), "{link}");
    let got = app.endpoint.http.get(format!("{}{link}", app.endpoint.base())).header("range", "bytes=0-3");
    assert_eq!(got.send().await.expect("an answer").bytes().await.expect("a part"), PNG[..4]);
    cast.customer.rest("FileService.DeleteFile", json!({ "fileId": id })).await.success();
    app.run_task("delete_objects").await.expect("the storage answers");
    assert_eq!(app.database.number("SELECT count(*) FROM stored_objects").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_away_is_said_to_be() {
    let mut s3 = S3::start().await;
    let (app, cast) = TestApp::builder().set("FILES_URL", s3.url()).set("FILES_TIMEOUT", "5s").start_with_cast().await;
    let file = upload(&cast.customer).await;
    s3.kill();
    let upload = || cast.customer.rest("FileService.UploadFile", small());
    let first = upload().await.failure("UPSTREAM_FAILED");
    assert_eq!(first.status, 502, "{first:?}");
    eventually("the circuit opens", async || upload().await.reason == "CIRCUIT_OPEN").await;
    assert_eq!(app.database.number("SELECT count(*) FROM files").await, 1, "nothing is half recorded");
    assert_eq!(
        app.database.number("SELECT sum(size_bytes)::bigint FROM file_usage").await,
        i64::try_from(TEXT.len()).expect("short")
    );
    cast.customer.call(Protocol::Grpc, "FileService.GetFile", json!({ "fileId": file })).await.success();
    // A deletion waits for the bucket.
    cast.customer.rest("FileService.DeleteFile", json!({ "fileId": file })).await.success();
    app.run_task("delete_objects").await.expect_err("the storage is unavailable");
    let s3 = s3.again().await;
    eventually("it is used again", async || upload().await.reason.is_empty()).await;
    app.database.sql("UPDATE stored_objects SET delete_at = now() - interval '1 s' WHERE delete_at IS NOT NULL").await;
    app.run_task("delete_objects").await.expect("the storage answers");
    assert_eq!(app.database.number("SELECT count(*) FROM stored_objects").await, 1);
    drop(s3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_hangs_holds_nothing_else_up() {
    let s3 = S3::start().await;
    let (app, cast) = TestApp::builder().set("FILES_URL", s3.url()).set("FILES_TIMEOUT", "1s").start_with_cast().await;
    let file = upload(&cast.customer).await;
    s3.hang(true);
    let upload = || cast.customer.call(Protocol::Grpc, "FileService.UploadFile", small());
    upload().await.failure("UPSTREAM_TIMEOUT");
    eventually("the circuit opens", async || upload().await.reason == "CIRCUIT_OPEN").await;
    cast.customer.call(Protocol::Grpc, "FileService.GetFile", json!({ "fileId": file })).await.success();
    assert_eq!(app.database.number("SELECT count(*) FROM files").await, 1, "nothing is half recorded");
    s3.hang(false);
    eventually("it is used again", async || upload().await.reason.is_empty()).await;
}
