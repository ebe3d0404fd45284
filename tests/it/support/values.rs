//! Values of requests.

use mainstay_kernel::clock::Clock;
use serde_json::{Value, json};

/// An amount of euros, in cents.
pub(crate) fn euro(minor: impl Into<Value>) -> Value {
    json!({ "amountMinor": minor.into(), "currencyCode": "EUR" })
}

/// A string that no other test uses.
pub(crate) fn unique() -> String {
    mainstay_kernel::id::new(Clock::default().now()).simple().to_string()
}
