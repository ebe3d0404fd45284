//! Example values for the API description.

use mainstay_kernel::http::openapi::examples::Example;
use serde_json::json;

const POST: &str = "0197b5f2-3d41-7c06-8e57-1b9a0f4d6c23";
const AUTHOR: &str = "0197a102-9e44-7c81-a0b7-5e6d2f8c4a90";

/// Returns the example of a field, by its message and its name.
pub(super) fn by_name(message: &str, field: &str) -> Option<Example> {
    Some(match (message, field) {
        ("CreatePostRequest", "author_id" | "slug") => Example::Omitted,
        ("Post", "id") | (_, "post_id") => json!(POST).into(),
        (_, "author_id") => json!(AUTHOR).into(),
        (_, "slug") => json!("how-we-count-tickets").into(),
        (_, "title") => json!("How we count tickets").into(),
        (_, "summary") => json!("Exact totals of a million rows, without counting them.").into(),
        (_, "body") => json!("Counting is **slow**. So we keep *counters*.").into(),
        (_, "html") => json!("<p>Counting is <strong>slow</strong>. So we keep <em>counters</em>.</p>\n").into(),
        (_, "language") => json!("en").into(),
        (_, "tags" | "tag") => json!("postgres").into(),
        (_, "status") => json!("POST_STATUS_PUBLISHED").into(),
        (_, "query") => json!("\"exact totals\" -mysql").into(),
        (_, "read_mask") => json!("id,slug,title,publishTime").into(),
        (_, "update_mask") => json!("title,tags").into(),
        ("SchedulePostRequest", "publish_time") => json!("2027-01-01T08:00:00Z").into(),
        _ => return None,
    })
}
