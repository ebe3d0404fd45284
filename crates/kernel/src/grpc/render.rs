//! Conversion of domain types to contract messages.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;

use crate::{
    contract::proto::common::v1 as pb,
    money::{Currency, Money},
};

/// Converts a time to a `Timestamp`.
pub fn time(time: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: time.timestamp(), nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0) }
}

/// Converts an amount to a `Money` message.
pub fn money(money: Money) -> pb::Money {
    amount(money.minor(), money.currency())
}

/// Converts a sum to a `Money` message. A sum may be negative or exceed the largest amount of a charge.
pub fn amount(minor: i64, currency: Currency) -> pb::Money {
    pb::Money { amount_minor: minor, currency_code: currency.code().to_owned() }
}
