//! Example values for the API description.

use mainstay_kernel::http::openapi::examples::Example;
use serde_json::json;

const OPERATION: &str = "0197b612-45de-7a99-9e01-a1b2c3d4e5f6";

/// Returns the example of a field, by its message and its name.
pub(super) fn by_name(message: &str, field: &str) -> Option<Example> {
    Some(match (message, field) {
        ("ListOperationErrorsRequest", "read_mask") => json!("line,message").into(),
        ("ListDeadJobsRequest", "read_mask") => json!("id,kind").into(),
        (_, "read_mask") => json!("id,state,rowsDone").into(),
        ("DeadJob", "id") => json!("17").into(),
        ("DeadJob" | "ListDeadJobsRequest", "kind") => json!("sync_refunds").into(),
        ("DeadJob", "attempts") => json!(10).into(),
        ("DeadJob", "failure") => json!("The gateway did not answer in time.").into(),
        ("DeadJob", "dead_time") => json!("2026-03-02T08:15:30Z").into(),
        ("RedriveDeadJobsRequest", "ids") => json!("17").into(),
        ("RedriveDeadJobsRequest", "kind") => Example::Omitted,
        ("RedrivenJobs", "count") => json!(2).into(),
        ("Operation", "id") | (_, "operation_id") => json!(OPERATION).into(),
        ("OperationFailure", "message") => json!("The file can't be read: it is not UTF-8.").into(),
        ("OperationError", "message") => json!("body: must be 1 to 20000 characters").into(),
        ("OperationFailure", "code") => json!("MALFORMED_REQUEST").into(),
        ("OperationError", "code") => json!("VALIDATION_FAILED").into(),
        ("OperationError", "line") => json!("2182").into(),
        ("Operation", "kind") => json!("OPERATION_KIND_IMPORT_TICKETS").into(),
        ("Operation", "kind_name") => json!("import_tickets").into(),
        ("Operation", "state") => json!("OPERATION_STATE_RUNNING").into(),
        (_, "rows_total") => json!("2181").into(),
        (_, "rows_done") => json!("1200").into(),
        (_, "rows_created") => json!("1194").into(),
        (_, "rows_known") => json!("5").into(),
        (_, "rows_failed") => json!("1").into(),
        ("Operation", "failure" | "finish_time") => Example::Omitted,
        _ => return None,
    })
}
