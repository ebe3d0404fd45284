//! Downloads: links, ranges, and headers that keep browsers from executing content.

use serde_json::json;

use crate::{
    cases::file::{PNG, TEXT, body, upload, upload_request},
    support::{Actor, Protocol, Raw, TestApp},
};

async fn link(who: &Actor, id: &str) -> String {
    let answer = who.rest("FileService.DownloadFile", json!({ "fileId": id })).await.success();
    assert_eq!(answer.header("location").map(str::to_owned), Some(answer.text("/data/url")));
    answer.text("/data/url")
}

#[tokio::test]
async fn a_download_is_saved_and_not_run() {
    let (app, cast) = TestApp::start_with_cast().await;
    let page = "<html><script>alert(1)</script></html>";
    let request = json!({ "name": "a\"; x=é.html", "file": body("text/html", page) });
    let id = cast.customer.call(Protocol::Grpc, "FileService.UploadFile", request).await.success().id();
    let url = link(&cast.customer, &id).await;
    for address in [app.endpoint.address, app.endpoint.envoy().await.address()] {
        let got = Raw::new("GET", &url).send(address).await;
        assert_eq!((got.status, got.body.as_str()), (200, Some(page)));
        let header = |name| got.header(name).unwrap_or_default().to_owned();
        assert_eq!(header("content-type"), "application/octet-stream");
        assert_eq!(
            header("content-disposition"),
            "attachment; filename=\"a__ x__.html\"; filename*=UTF-8''a%22%3B%20x%3D%C3%A9%2Ehtml"
        );
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(header("content-security-policy").ends_with("sandbox"), "{got:?}");
        assert_eq!(header("content-length"), page.len().to_string());
    }
}

#[tokio::test]
async fn an_image_is_shown() {
    let (app, cast) = TestApp::start_with_cast().await;
    let request = json!({ "name": "a.png", "purpose": "FILE_PURPOSE_IMAGE", "file": body("image/png", PNG) });
    let id = cast.customer.call(Protocol::Grpc, "FileService.UploadFile", request).await.success().id();
    let got = app.endpoint.http.get(format!("{}{}", app.endpoint.base(), link(&cast.customer, &id).await));
    let got = got.send().await.expect("an answer");
    assert_eq!(got.headers()["content-type"], "image/png");
    assert!(got.headers()["content-disposition"].to_str().expect("ASCII").starts_with("inline"));
    assert_eq!(got.bytes().await.expect("the image"), PNG);
}

#[tokio::test]
async fn a_part_of_a_file_can_be_had() {
    let (app, cast) = TestApp::start_with_cast().await;
    let url = link(&cast.customer, &upload(&cast.customer).await).await;
    let get = |range: &str| Raw::new("GET", &url).header("range", range);
    let address = app.endpoint.address;
    let part = get("bytes=6-10").send(address).await;
    assert_eq!((part.status, part.body.as_str()), (206, Some(&TEXT[6..11])));
    assert_eq!(part.header("content-range"), Some("bytes 6-10/17"));
    let end = get("bytes=-5").send(address).await;
    assert_eq!((end.status, end.body.as_str()), (206, Some(&TEXT[12..])));
    let whole = Raw::new("GET", &url).send(address).await;
    let tag = whole.header("etag").expect("a tag").to_owned();
    let resumed = get("bytes=6-").header("if-range", tag.clone()).send(address).await;
    assert_eq!((resumed.status, resumed.body.as_str()), (206, Some(&TEXT[6..])));
    let response = get("bytes=6-").header("if-range", "\"another\"").send(address).await;
    assert_eq!((response.status, response.body.as_str()), (200, Some(TEXT)));
    let beyond = app.endpoint.http.get(format!("{}{url}", app.endpoint.base())).header("range", "bytes=17-");
    let beyond = beyond.send().await.expect("an answer");
    assert_eq!((beyond.status().as_u16(), beyond.headers()["content-range"].as_bytes()), (416, &b"bytes */17"[..]));
    let again = Raw::new("GET", &url).header("if-none-match", tag.clone()).send(address).await;
    assert_eq!(again.status, 304);
    // Conditions precede a range, which only GET has.
    let again = get("bytes=0-3").header("if-none-match", tag.clone()).send(address).await;
    assert_eq!((again.status, again.header("content-range")), (304, None));
    let again = get("bytes=17-").header("if-none-match", tag.clone()).send(address).await;
    assert_eq!((again.status, again.header("etag"), again.header("content-range")), (304, Some(tag.as_str()), None));
    assert!(again.header("cache-control").is_some(), "{again:?}");
    for form in [tag.clone(), format!("W/{tag}")] {
        let part = get("Bytes=0-3").header("if-match", form).send(address).await;
        assert_eq!((part.status, part.body.as_str()), (206, Some(&TEXT[..4])));
    }
    get("bytes=0-3").header("if-match", "\"x\"").send(address).await.failure("ETAG_MISMATCH");
    let head = app.endpoint.http.head(format!("{}{url}", app.endpoint.base())).header("range", "bytes=0-3");
    assert_eq!(head.send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_link_is_for_one_file_and_ends_with_it() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (one, other) = (upload(&cast.customer).await, upload(&cast.customer).await);
    let url = link(&cast.customer, &one).await;
    let address = app.endpoint.address;
    let get = |url: String| async move { Raw::new("GET", url).send(address).await };
    get(url.replace(&one, &other)).await.failure("PERMISSION_DENIED");
    get(url.replace("expires=", "expires=9")).await.failure("PERMISSION_DENIED");
    get(format!("/files/{one}")).await.failure("PERMISSION_DENIED");
    get(url.replace(&one, "..%2f..%2fetc%2fpasswd")).await.failure("NOT_FOUND");
    let upload = cast.customer.rest("FileService.CreateUpload", upload_request()).await.success();
    // An upload link is not valid for downloads, and vice versa.
    get(upload.text("/data/url").replace("/uploads", "")).await.failure("PERMISSION_DENIED");
    let put = Raw::new("PUT", url.replace("/files/", "/files/uploads/"));
    Raw { body: TEXT.into(), ..put }.send(address).await.failure("PERMISSION_DENIED");
    cast.customer.rest("FileService.DeleteFile", json!({ "fileId": one })).await.success();
    get(url).await.failure("NOT_FOUND");
}

/// Errors before a page is called: a path that is not UTF-8, a query with a duplicate value, an unknown method.
#[tokio::test]
async fn every_refusal_of_a_page_has_the_envelope() {
    let app = TestApp::start().await;
    for (method, target, code) in [
        ("GET", "/files/%ff?expires=1&signature=AAAA", "MALFORMED_REQUEST"),
        ("GET", "/files/a?expires=1&expires=2&signature=AAAA", "MALFORMED_REQUEST"),
        ("PUT", "/files/uploads/%ff", "MALFORMED_REQUEST"),
        ("PUT", "/files/uploads/a?signature=A&signature=B", "MALFORMED_REQUEST"),
        ("GET", "/avatars/%ff/64", "MALFORMED_REQUEST"),
        ("GET", "/images/%c0%80", "MALFORMED_REQUEST"),
        ("DELETE", "/images/a", "METHOD_NOT_ALLOWED"),
    ] {
        let response = Raw::new(method, target).send(app.endpoint.address).await.failure(code);
        assert!(!response.text("/error/requestId").is_empty(), "{method} {target}");
    }
}
