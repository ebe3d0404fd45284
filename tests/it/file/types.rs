//! Types and names as sent by phones, browsers and operating systems.

use serde_json::json;

use crate::{
    cases::file::{PNG, announce_and_upload, body},
    support::{Actor, Protocol, Response, TestApp},
};

const HEIC: &[u8] = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x08meta";
const WAV: &[u8] = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0";
const ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0";
const PE: &[u8] = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0";
const DOCM: &str = "application/vnd.ms-word.document.macroEnabled.12";

async fn upload(who: &Actor, protocol: Protocol, name: &str, content_type: &str, content: &[u8]) -> Response {
    let request = json!({ "name": name, "file": body(content_type, content) });
    who.call(protocol, "FileService.UploadFile", request).await
}

/// Cases from issues of Altinn, manifold, zendesk's theme and makeplane: a photo of an iPhone, a recording, a log of
/// PowerShell.
#[tokio::test(flavor = "multi_thread")]
async fn a_type_is_accepted_under_all_its_names() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let utf16: Vec<u8> = "\u{feff}Get-Process\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, &[u8], &str); 14] = [
        ("image/heic", HEIC, "image/heic"),
        ("image/heif", HEIC, "image/heic"),
        ("image/pjpeg", b"\xff\xd8\xff\xe0\0\x10JFIF\0", "image/jpeg"),
        ("image/jpeg", PNG, "image/png"),
        ("audio/wav", WAV, "audio/wav"),
        ("audio/x-wav", WAV, "audio/wav"),
        ("audio/webm;codecs=opus", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01", "audio/webm"),
        ("application/x-zip-compressed", ZIP, "application/zip"),
        (DOCM, ZIP, "application/vnd.ms-word.document.macroenabled.12"),
        ("binary/octet-stream", PNG, "image/png"),
        ("text/plain", b"Gr\xfc\xdfe\r\n", "text/plain"),
        ("text/csv", &utf16, "text/csv"),
        ("text/plain;charset=shift_jis", b"\x93\xfa\x96\x7b\x8c\xea", "text/plain"),
        ("text/plain; charset=ISO-2022-JP", b"\x1b$BF|K\\8l\x1b(B", "text/plain"),
    ];
    for (declared, content, expected) in cases {
        for protocol in [Protocol::Rest, Protocol::Grpc] {
            let file = upload(&cast.customer, protocol, "a", declared, content).await.success();
            assert_eq!(file.text("/data/contentType"), expected, "{declared}, {protocol:?}");
        }
        let request = json!({
            "name": "a", "contentType": declared, "sizeBytes": content.len().to_string(),
            "purpose": "FILE_PURPOSE_ATTACHMENT",
        });
        let id = announce_and_upload(&cast.customer, request, content).await;
        let complete = json!({ "fileId": id });
        let file = cast.customer.rest("FileService.CompleteUpload", complete).await.success();
        assert_eq!(file.text("/data/contentType"), expected, "{declared}, announced");
    }
    for (declared, content) in [
        ("image/heic", &b"<html><script>alert(1)</script>"[..]),
        ("image/x-own", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("image/jpg", PE),
        ("application/x-zip-compressed", PE),
        ("text/plain;charset=utf-16", PE),
        ("audio/wav", b"<script>alert(1)</script>"),
    ] {
        upload(&cast.customer, Protocol::Rest, "a", declared, content).await.failure("UNSUPPORTED_MEDIA_TYPE");
    }
}

/// A text is served as an attachment, whatever its charset may look like to a browser.
#[tokio::test]
async fn a_text_is_never_shown() {
    let (app, cast) = TestApp::start_with_cast().await;
    for (declared, served) in [("text/plain;charset=utf-7", "text/plain"), ("text/html", "application/octet-stream")] {
        let content = b"+ADw-script+AD4-alert(1)+ADw-/script+AD4-";
        let file = upload(&cast.customer, Protocol::Rest, "a", declared, content).await.success().id();
        let request = json!({ "fileId": file });
        let url = cast.customer.rest("FileService.DownloadFile", request).await.success();
        let url = format!("{}{}", app.endpoint.base(), url.text("/data/url"));
        let got = app.endpoint.http.get(url).send().await.expect("an answer");
        let header = |name: &str| got.headers()[name].to_str().expect("ASCII").to_owned();
        assert_eq!((header("content-type"), header("x-content-type-options")), (served.into(), "nosniff".into()));
        assert!(header("content-disposition").starts_with("attachment"));
    }
}

/// Direction marks belong to names in Hebrew, Arabic and Persian; reordering characters do not.
#[tokio::test]
async fn a_name_may_be_written_from_right_to_left() {
    let (_app, cast) = TestApp::start_with_cast().await;
    for name in ["\u{200f}\u{200f}צילום מסך 2024.png", "a\u{200e}.txt", "\u{61c}صورة.jpg", "می\u{200c}خواهم.pdf"]
    {
        let file = upload(&cast.customer, Protocol::Rest, name, "image/png", PNG).await.success();
        assert_eq!(file.text("/data/name"), name);
    }
    for (name, kept) in [("\u{202e}gpj.exe", "gpj.exe"), ("a\u{2066}b.txt ", "ab.txt"), ("\u{202a}C.txt", "C.txt")] {
        let file = upload(&cast.customer, Protocol::Rest, name, "image/png", PNG).await.success();
        assert_eq!(file.text("/data/name"), kept);
    }
    for name in ["\u{200f}", "\u{202e}", "a\u{8}.txt", "a\0b", "a\r\nSet-Cookie: b", "a\u{2028}b"] {
        upload(&cast.customer, Protocol::Rest, name, "image/png", PNG).await.failure("VALIDATION_FAILED");
    }
}
