//! Files.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, draft, unknown_id,
};
use crate::support::{Actor, Protocol};

/// The content of every file.
pub(crate) const TEXT: &str = "Smoke since nine.";
/// The smallest PNG.
pub(crate) const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8, 6,
    0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 10, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63, 0, 1, 0, 0, 5, 0, 1, 0x0d,
    0x0a, 0x2d, 0xb4, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];

/// Returns a content in the form that the contract accepts.
pub(crate) fn body(content_type: &str, data: impl AsRef<[u8]>) -> Value {
    json!({ "contentType": content_type, "data": BASE64_STANDARD.encode(data) })
}

/// A request that uploads a small file.
pub(crate) fn small() -> Value {
    json!({ "name": "smoke.txt", "file": body("text/plain", TEXT) })
}

/// A request that announces a file.
pub(crate) fn upload_request() -> Value {
    json!({
        "name": "smoke.txt", "contentType": "text/plain", "sizeBytes": TEXT.len().to_string(),
        "purpose": "FILE_PURPOSE_ATTACHMENT",
    })
}

/// Uploads a small file of a caller.
pub(crate) async fn upload(who: &Actor) -> String {
    who.rest("FileService.UploadFile", small()).await.success().id()
}

/// Announces a file of a caller and uploads a content to its URL; returns its id.
pub(crate) async fn announce_and_upload(who: &Actor, request: Value, content: impl Into<Vec<u8>>) -> String {
    let announced = who.rest("FileService.CreateUpload", request).await.success();
    let status = put(who, &announced.text("/data/url"), content).await;
    assert!(status.is_success(), "{status}");
    announced.text("/data/file/id")
}

/// Uploads a content to a URL.
pub(crate) async fn put(who: &Actor, url: &str, content: impl Into<Vec<u8>>) -> reqwest::StatusCode {
    let url = if url.starts_with('/') { format!("{}{url}", who.endpoint.base()) } else { url.to_owned() };
    let request = who.endpoint.http.put(url).header("content-type", "text/plain").body(content.into());
    request.send().await.expect("an answer").status()
}

/// Uploads an image of a caller.
pub(crate) async fn image(who: &Actor) -> String {
    let request = json!({ "name": "a.png", "purpose": "FILE_PURPOSE_IMAGE", "file": body("image/png", PNG) });
    who.rest("FileService.UploadFile", request).await.success().id()
}

/// Announces a file of a caller, which is not uploaded.
pub(crate) async fn announce(who: &Actor) -> String {
    who.rest("FileService.CreateUpload", upload_request()).await.success().text("/data/file/id")
}

impl Scene {
    /// Uploads a file of the customer.
    async fn upload(&self) -> Value {
        json!({ "fileId": upload(&self.cast.customer).await })
    }

    /// Announces a file of the customer.
    async fn announce(&self) -> Value {
        json!({ "fileId": announce(&self.cast.customer).await })
    }

    fn with_account(&self, mut request: Value) -> Value {
        request["accountId"] = self.account().into();
        request
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = uploads();
    cases.extend(direct_uploads());
    cases.extend(reads());
    cases
}

fn with(mut request: Value, name: &str, value: impl Into<Value>) -> Value {
    request[name] = value.into();
    request
}

fn uploads() -> Vec<Case> {
    cases! {
        "FileService.UploadFile" {
            "a customer, for the own account" => Status(201), |scene| call(&scene.cast.customer, scene.with_account(small()));
            "a customer, without naming the account" => Status(201), |scene| call(&scene.cast.customer, small());
            "an agent" => Status(201), |scene| call(&scene.cast.agent, small());
            "an image" => Status(201), |scene| call(&scene.cast.agent, json!({
                "name": "Grüße 🔥.png", "purpose": "FILE_PURPOSE_IMAGE", "file": body("image/png", PNG),
            }));
            "without a media type" => Status(201), |scene| call(&scene.cast.customer, json!({
                "name": "a", "file": body("application/octet-stream", PNG),
            }));
            "a page that pretends to be an image" => Reason("UNSUPPORTED_MEDIA_TYPE"), |scene| call(&scene.cast.customer, json!({
                "name": "a.png", "file": body("image/png", "<script>alert(1)</script>"),
            }));
            "an image that is not one" => Reason("UNSUPPORTED_MEDIA_TYPE"), |scene| call(&scene.cast.customer, json!({
                "name": "a.txt", "purpose": "FILE_PURPOSE_IMAGE", "file": body("text/plain", TEXT),
            }));
            "an image that breaks off" => Reason("UNSUPPORTED_MEDIA_TYPE"), |scene| call(&scene.cast.customer, json!({
                "name": "a.png", "purpose": "FILE_PURPOSE_IMAGE", "file": body("image/png", &PNG[..20]),
            }));
            "a path" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, with(small(), "name", "../../etc/passwd"));
            "a header" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, with(small(), "name", "a\r\nSet-Cookie: b"))
            };
            "no name" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, with(small(), "name", ""));
            "nothing" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, with(small(), "file", body("text/plain", "")))
            };
            "another account" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.customer, with(small(), "accountId", scene.cast.stranger.as_user().account.to_string()))
            };
            "an unknown account" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, with(small(), "accountId", unknown_id()));
            "a service names no account" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.service, small());
            "the same key again" => Status(201), |scene| {
                let request = call(&scene.cast.customer, small()).header("idempotency-key", "again");
                request.send(Protocol::Grpc, "FileService.UploadFile").await.success();
                request
            };
        }
    }
}

fn direct_uploads() -> Vec<Case> {
    cases! {
        "FileService.CreateUpload" {
            "a customer, for the own account" => Status(201), |scene| call(&scene.cast.customer, scene.with_account(upload_request()));
            "an agent" => Status(201), |scene| call(&scene.cast.agent, upload_request());
            "every field is wrong" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({
                "name": "", "contentType": "", "sizeBytes": "0", "sha256": "abc",
            }));
            "no media type" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, with(upload_request(), "contentType", "text/plain\r\nx: y"))
            };
            "a path" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, with(upload_request(), "name", "a/b"));
            "too large" => Reason("PAYLOAD_TOO_LARGE"), |scene| {
                call(&scene.cast.customer, with(upload_request(), "sizeBytes", (101_i64 << 20).to_string()))
            };
            "another account" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.customer, with(upload_request(), "accountId", scene.cast.stranger.as_user().account.to_string()))
            };
            "a service names no account" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.service, upload_request());
            "no space is left" => Reason("STORAGE_QUOTA_EXCEEDED"), |scene| {
                let large = with(upload_request(), "sizeBytes", (100_i64 << 20).to_string());
                for _ in 0..10 {
                    scene.cast.customer.call(Protocol::Grpc, "FileService.CreateUpload", large.clone()).await.success();
                }
                call(&scene.cast.colleague, large)
            };
        }
        "FileService.CompleteUpload" {
            "what was announced was uploaded" => Status(200), |scene| {
                call(&scene.cast.customer, json!({ "fileId": announce_and_upload(&scene.cast.customer, upload_request(), TEXT).await }))
            };
            "with its checksum" => Status(200), |scene| {
                let request = with(upload_request(), "sha256", sha256(TEXT));
                call(&scene.cast.customer, json!({ "fileId": announce_and_upload(&scene.cast.customer, request, TEXT).await }))
            };
            "once more" => Status(200), |scene| {
                let request = json!({ "fileId": announce_and_upload(&scene.cast.customer, upload_request(), TEXT).await });
                scene.cast.customer.rest("FileService.CompleteUpload", request.clone()).await.success();
                call(&scene.cast.customer, request)
            };
            "nothing was uploaded" => Reason("UPLOAD_INCOMPLETE"), |scene| call(&scene.cast.customer, scene.announce().await);
            "another checksum" => Reason("UPLOAD_INCOMPLETE"), |scene| {
                let request = with(upload_request(), "sha256", sha256("Something else"));
                call(&scene.cast.customer, json!({ "fileId": announce_and_upload(&scene.cast.customer, request, TEXT).await }))
            };
            "another type" => Reason("UNSUPPORTED_MEDIA_TYPE"), |scene| {
                let request = with(upload_request(), "contentType", "image/png");
                call(&scene.cast.customer, json!({ "fileId": announce_and_upload(&scene.cast.customer, request, TEXT).await }))
            };
            "another account's" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.stranger, json!({ "fileId": announce_and_upload(&scene.cast.customer, upload_request(), TEXT).await }))
            };
            "an unknown one" => Reason("NOT_FOUND"), |scene| call(&scene.cast.customer, json!({ "fileId": unknown_id() }));
        }
    }
}

fn sha256(text: &str) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn reads() -> Vec<Case> {
    cases! {
        "FileService.GetFile" {
            "of the own account" => Status(200), |scene| call(&scene.cast.customer, scene.upload().await);
            "of a colleague" => Status(200), |scene| call(&scene.cast.colleague, scene.upload().await);
            "by an agent" => Status(200), |scene| call(&scene.cast.agent, scene.upload().await);
            "that is awaited" => Status(200), |scene| call(&scene.cast.customer, scene.announce().await);
            "some fields" => Status(200), |scene| call(&scene.cast.customer, with(scene.upload().await, "readMask", "id,name"));
            "of another account" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, scene.upload().await);
            "an unknown one" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, json!({ "fileId": unknown_id() }));
        }
        "FileService.ListFiles" {
            "of the own account" => Status(200), |scene| {
                scene.upload().await;
                scene.announce().await;
                call(&scene.cast.customer, json!({}))
            };
            "of an account" => Status(200), |scene| {
                scene.upload().await;
                call(&scene.cast.agent, json!({ "accountId": scene.account(), "pageSize": 1 }))
            };
            "of a ticket" => Status(200), |scene| {
                let ticket = with(draft(), "attachmentIds", vec![upload(&scene.cast.customer).await]);
                let ticket = scene.cast.customer.rest("TicketService.CreateTicket", ticket).await.success().id();
                call(&scene.cast.colleague, json!({ "parentId": ticket }))
            };
            "of what does not exist" => Status(200), |scene| call(&scene.cast.customer, json!({ "parentId": unknown_id() }));
            "an invalid token" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({ "pageToken": "x" }));
        }
        "FileService.DownloadFile" {
            "of the own account" => Status(302), |scene| call(&scene.cast.customer, scene.upload().await);
            "by an agent" => Status(302), |scene| call(&scene.cast.agent, scene.upload().await);
            "that is awaited" => Reason("NOT_FOUND"), |scene| call(&scene.cast.customer, scene.announce().await);
            "of another account" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, scene.upload().await);
        }
        "FileService.DeleteFile" {
            "of the own account" => Status(204), |scene| call(&scene.cast.customer, scene.upload().await);
            "that is awaited" => Status(204), |scene| call(&scene.cast.customer, scene.announce().await);
            "that something refers to" => Reason("FILE_IN_USE"), |scene| {
                let request = scene.upload().await;
                let mut ticket = draft();
                ticket["attachmentIds"] = json!([request["fileId"]]);
                scene.cast.customer.rest("TicketService.CreateTicket", ticket).await.success();
                call(&scene.cast.customer, request)
            };
            "another version" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.customer, scene.upload().await).header("if-match", "\"7\"")
            };
            "of another account" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, scene.upload().await);
        }
    }
}
