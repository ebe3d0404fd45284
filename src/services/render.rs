//! Domain types as messages of the contract.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;

/// A time as the contract carries it.
pub fn time(time: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: time.timestamp(), nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0) }
}
