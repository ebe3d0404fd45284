//! Example values for the API description.

use mainstay_kernel::http::openapi::examples::Example;
use serde_json::json;

const VEHICLE: &str = "0197c3d2-4e1f-7a60-b2c9-5f8e7d6c3b14";
const LEASE: &str = "0197c3d9-8b20-7d14-9a57-1c2e3f405162";

/// Returns the example of a field, by its message and its name.
pub(crate) fn by_name(message: &str, field: &str) -> Option<Example> {
    Some(match (message, field) {
        ("Vehicle", "id") | (_, "vehicle_id") => json!(VEHICLE).into(),
        ("Lease", "id") | (_, "lease_id") => json!(LEASE).into(),
        ("Lease", "order_id" | "end_time") => Example::Omitted,
        ("LicensePlate", "region") => json!("M").into(),
        ("LicensePlate", "number") => json!("AI 2036").into(),
        (_, "plate") => json!("M-AI 2036").into(),
        (_, "model") => json!("Volta 3").into(),
        (_, "status") => json!("VEHICLE_STATUS_AVAILABLE").into(),
        ("EstimateTripRequest", "read_mask") => json!("duration,cost").into(),
        (_, "update_mask") => json!("model").into(),
        _ => return None,
    })
}
