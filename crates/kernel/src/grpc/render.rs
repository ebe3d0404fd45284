//! Conversion of domain types to messages of the contract.

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

/// Converts a sum, which may be negative or greater than an amount that can be charged, to a `Money` message.
pub fn amount(minor: i64, currency: Currency) -> pb::Money {
    pb::Money { amount_minor: minor, currency_code: currency.code().to_owned() }
}
