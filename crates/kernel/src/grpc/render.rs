//! Conversion of domain types to contract messages.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, Timelike as _, Utc};
use prost_types::Timestamp;

use crate::{
    contract::proto::{common::v1 as pb, google::r#type as google},
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

/// Converts a date.
pub fn date(date: NaiveDate) -> google::Date {
    google::Date { year: date.year(), month: date.month().cast_signed(), day: date.day().cast_signed() }
}

/// Converts a time of day.
pub fn time_of_day(time: NaiveTime) -> google::TimeOfDay {
    google::TimeOfDay {
        hours: time.hour().cast_signed(),
        minutes: time.minute().cast_signed(),
        seconds: time.second().cast_signed(),
        nanos: time.nanosecond().cast_signed(),
    }
}

/// Converts minor units, which may be negative, to a `google.type.Money`.
pub fn signed_amount(minor: i64, currency: Currency) -> google::Money {
    let minor_per_unit = 10_i64.pow(currency.places());
    let nanos = minor % minor_per_unit * 10_i64.pow(9 - currency.places());
    google::Money {
        currency_code: currency.code().to_owned(),
        units: minor / minor_per_unit,
        nanos: i32::try_from(nanos).expect("less than a unit"),
    }
}
