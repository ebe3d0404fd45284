//! Domain types as messages of the contract.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;

use crate::{contract::proto::common::v1 as pb, domain::money::Money};

/// A time as the contract carries it.
pub fn time(time: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: time.timestamp(), nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0) }
}

/// An amount as the contract carries it.
pub fn money(money: Money) -> pb::Money {
    pb::Money { amount_minor: money.minor(), currency_code: money.currency().code().to_owned() }
}
