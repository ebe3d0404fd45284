//! Example values for the API description.

use mainstay_kernel::http::openapi::examples::Example;
use serde_json::json;

const FILE: &str = "0197b5f4-8a20-7d13-9c4b-6e5f7a8b9c01";
const OWNER: &str = "0197a102-9e44-7c81-a0b7-5e6d2f8c4a90";
const SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Returns the example of a field, by its message and its name.
pub(super) fn by_name(message: &str, field: &str) -> Option<Example> {
    Some(match (message, field) {
        ("CreateUploadRequest", "account_id" | "sha256") | ("UploadFileRequest", "account_id") => Example::Omitted,
        ("ListFilesRequest", "parent_id") => Example::Omitted,
        ("File", "id") | (_, "file_id") => json!(FILE).into(),
        (_, "owner_id") => json!(OWNER).into(),
        ("UploadHeader", "name") => json!("content-type").into(),
        ("UploadHeader", "value") => json!("application/pdf").into(),
        (_, "name") => json!("invoice.pdf").into(),
        (_, "content_type") => json!("application/pdf").into(),
        (_, "size_bytes") => json!("48213").into(),
        (_, "sha256") => json!(SHA256).into(),
        (_, "purpose") => json!("FILE_PURPOSE_ATTACHMENT").into(),
        (_, "status") => json!("FILE_STATUS_READY").into(),
        (_, "method") => json!("PUT").into(),
        ("Upload", "url") => {
            json!("/files/uploads/0197b5f4-8a20-7d13-9c4b-6e5f7a8b9c01?expires=1792500000&signature=q83v").into()
        }
        ("Download", "url") => {
            json!("/files/0197b5f4-8a20-7d13-9c4b-6e5f7a8b9c01?expires=1792500000&signature=q83v").into()
        }
        (_, "read_mask") => json!("id,name,sizeBytes").into(),
        _ => return None,
    })
}
