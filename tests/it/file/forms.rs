//! Uploads as a browser's form sends them.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    cases::file::{PNG, TEXT, body},
    support::{Actor, Protocol, Raw, TestApp, rest},
};

async fn post(who: &Actor, protocol: Protocol, query: &str, form: Form) -> crate::support::Response {
    let base = who.endpoint.base_of(protocol).await;
    let request = who.endpoint.http.post(format!("{base}/api/v1/files{query}")).multipart(form);
    rest::read(request.bearer_auth(who.token().await.expect("a token")).send().await.expect("an answer")).await
}

fn text() -> Part {
    Part::text(TEXT).file_name("smoke.txt").mime_str("text/plain").expect("a media type")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_taken_whatever_its_order_of_fields() {
    let (_app, cast) = TestApp::start_with_cast().await;
    for protocol in [Protocol::Rest, Protocol::Envoy] {
        let plain = post(&cast.customer, protocol, "", Form::new().part("file", text())).await.success();
        let field = |name: &str| plain.data()[name].clone();
        assert_eq!((field("name"), field("sizeBytes")), (Value::from("smoke.txt"), Value::from("17")));
        assert_eq!((plain.status, field("contentType")), (201, Value::from("text/plain")));
        let image = Part::bytes(PNG).file_name("C:\\fakepath\\photo.png").mime_str("image/png").expect("a media type");
        let account = cast.customer.as_user().account.to_string();
        let form = Form::new().text("purpose", "FILE_PURPOSE_IMAGE").text("accountId", account).part("photo", image);
        let image = post(&cast.customer, protocol, "", form).await.success();
        assert_eq!(
            (image.text("/data/name"), image.text("/data/purpose")),
            ("photo.png".into(), "FILE_PURPOSE_IMAGE".into())
        );
        let named = post(&cast.customer, protocol, "?name=other.txt", Form::new().part("file", text())).await.success();
        assert_eq!(named.text("/data/name"), "other.txt");
    }
}

/// .NET, urllib3 before 2.0, curl on Windows, and a boundary of a mail library.
#[tokio::test]
async fn a_file_keeps_its_name_from_any_client() {
    let (app, cast) = TestApp::start_with_cast().await;
    let authorization = format!("Bearer {}", cast.customer.token().await.expect("a token"));
    for (parameters, name) in [
        (&b"filename=\"=?utf-8?B?5paw?=\"; filename*=utf-8''%E6%96%B0"[..], "新"),
        (b"filename*=utf-8''%D1%84.txt", "ф.txt"),
        (b"filename=\"Gr\xfc\xdfe.txt\"", "Grüße.txt"),
        (b"Filename=\"a.txt\"", "a.txt"),
    ] {
        let head = [&b"------=_Part_1\r\ncontent-disposition: form-data; name=\"file\"; "[..], parameters].concat();
        let raw = Raw::new("POST", "/api/v1/files").header("authorization", authorization.clone());
        let raw = raw.header("content-type", "multipart/form-data;\tboundary=----=_Part_1");
        let raw = Raw { body: [&head[..], b"\r\n\r\nabc\r\n------=_Part_1--\r\n"].concat(), ..raw };
        let file = raw.send(app.endpoint.address).await.success();
        assert_eq!((file.status, file.text("/data/name")), (201, name.to_owned()));
    }
}

#[tokio::test]
async fn a_form_that_is_not_understood_is_refused() {
    let (app, cast) = TestApp::start_with_cast().await;
    let post = |form| post(&cast.customer, Protocol::Rest, "", form);
    post(Form::new().text("purpose", "FILE_PURPOSE_IMAGE")).await.failure("VALIDATION_FAILED");
    post(Form::new().text("colour", "red").part("file", text())).await.failure("VALIDATION_FAILED");
    post(Form::new().text("purpose", "PORPOISE").part("file", text())).await.failure("VALIDATION_FAILED");
    post(Form::new().part("file", text()).part("more", text())).await.failure("VALIDATION_FAILED");
    post(Form::new().part("file", Part::text(TEXT).file_name("../"))).await.failure("VALIDATION_FAILED");
    post(Form::new().text("name", "x".repeat(2000)).part("file", text())).await.failure("MALFORMED_REQUEST");
    let token = cast.customer.token().await.expect("a token");
    let raw = |content_type: &str, body: &[u8]| {
        let raw = Raw::new("POST", "/api/v1/files").header("authorization", format!("Bearer {token}"));
        Raw { body: body.to_vec(), ..raw.header("content-type", content_type) }
    };
    let address = app.endpoint.address;
    raw("multipart/form-data", b"--x--").send(address).await.failure("MALFORMED_REQUEST");
    raw("multipart/form-data; boundary=x", b"nothing of it").send(address).await.failure("MALFORMED_REQUEST");
    let broken_off = b"--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc";
    raw("multipart/form-data; boundary=x", broken_off).send(address).await.failure("MALFORMED_REQUEST");
    assert_eq!(app.database.number("SELECT count(*) FROM files").await, 0);
}

/// No object is stored that its row could not name.
#[tokio::test]
async fn a_media_type_has_a_limit() {
    let (app, cast) = TestApp::start_with_cast().await;
    let of_length = |length: usize| format!("text/{}", "x".repeat(length - 5));
    let part = |content_type: &str| Part::text(TEXT).file_name("a").mime_str(content_type).expect("a media type");
    let post_form = async |content_type: &str| {
        post(&cast.customer, Protocol::Rest, "", Form::new().part("file", part(content_type))).await
    };
    let post_body = async |content_type: &str| {
        let request = json!({ "name": "a", "file": body(content_type, TEXT) });
        cast.customer.rest("FileService.UploadFile", request).await
    };
    let long = of_length(128);
    for refused in [post_form(&long).await, post_body(&long).await] {
        let refused = refused.failure("VALIDATION_FAILED");
        assert_eq!(refused.text("/error/fields/contentType"), "must be at most 127 characters");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM stored_objects").await, 0);
    let longest = of_length(127);
    for file in [post_form(&longest).await, post_body(&longest).await] {
        assert_eq!(file.success().text("/data/contentType"), longest);
    }
}

/// Neither before nor after the file, regardless of how the form is chunked.
#[tokio::test]
async fn a_form_with_much_beside_its_file_is_refused() {
    const TYPE: &str = "multipart/form-data; boundary=x";
    let (app, cast) = TestApp::start_with_cast().await;
    let authorization = format!("Bearer {}", cast.customer.token().await.expect("a token"));
    let file = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc\r\n--x\r\nx: ";
    for beginning in ["--x\r\nx: ", file] {
        let mut form = beginning.as_bytes().to_vec();
        form.resize(1 << 20, b'y');
        let pieces: Vec<_> = form.chunks(8 << 10).map(|piece| json!({ "file": body(TYPE, piece) })).collect();
        let raw = Raw::new("POST", "/api/v1/files").header("authorization", authorization.clone());
        let raw = Raw { body: form, ..raw.header("content-type", TYPE) };
        for answer in [
            raw.send(app.endpoint.address).await,
            cast.customer.call(Protocol::Grpc, "FileService.UploadFile", pieces.into()).await,
        ] {
            let response = answer.failure("MALFORMED_REQUEST");
            assert_eq!(response.text("/error/message"), "The form has too much beside the file.", "{beginning}");
        }
    }
    assert_eq!(app.database.number("SELECT count(*) FROM files").await, 0);
}

/// The last chunk of a body may come in a separate frame, after the form has ended: the request ends there, and its
/// connection is reusable.
#[tokio::test]
async fn the_end_of_a_body_may_come_later() {
    let (app, cast) = TestApp::start_with_cast().await;
    let token = cast.customer.token().await.expect("a token");
    let form = b"--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc\r\n--x--\r\n";
    let head = format!(
        "POST /api/v1/files HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
         content-type: multipart/form-data; boundary=x\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
        form.len()
    );
    let mut stream = TcpStream::connect(app.endpoint.address).await.expect("a connection");
    for _ in 0..2 {
        stream.write_all(&[head.as_bytes(), form, b"\r\n"].concat()).await.expect("sent");
        let mut answer = vec![0; 4096];
        let early = timeout(Duration::from_millis(300), stream.read(&mut answer)).await;
        assert!(early.is_err(), "answered before the request has ended: {}", String::from_utf8_lossy(&answer));
        stream.write_all(b"0\r\n\r\n").await.expect("sent");
        let length =
            timeout(Duration::from_secs(10), stream.read(&mut answer)).await.expect("in time").expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..length]).to_lowercase();
        assert!(answer.starts_with("http/1.1 201") && !answer.contains("connection: close"), "{answer}");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM files").await, 2);
}
