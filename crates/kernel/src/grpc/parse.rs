//! Conversion of contract messages to domain types, with the checks that field rules can't express.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;

use crate::{
    contract::proto::common::v1 as pb,
    error::{Error, Result},
    money::{Currency, Money},
};

/// Converts the `Money` message of a field to an amount of at least one minor unit.
///
/// The contract has no rules for the parts of `Money`, because responses also contain zero amounts and negative sums.
///
/// # Errors
/// `VALIDATION_FAILED`, with each invalid part.
pub fn price(money: &pb::Money, field: &str) -> Result<Money> {
    let currency = Currency::parse(&money.currency_code);
    let mut faults = Vec::new();
    let max = currency.map_or(i64::MAX, Currency::max_minor);
    if !(1..=max).contains(&money.amount_minor) {
        let range = if currency.is_some() { format!("from 1 to {max}") } else { "at least 1".to_owned() };
        faults.push((format!("{field}.amountMinor"), format!("must be {range}")));
    }
    if currency.is_none() {
        faults.push((format!("{field}.currencyCode"), "must be a code of ISO 4217, like EUR".to_owned()));
    }
    match currency {
        Some(currency) if faults.is_empty() => Money::new(money.amount_minor, currency),
        _ => Err(Error::validation(faults)),
    }
}

/// Converts the `Timestamp` of a field to a time, truncated to microseconds. This is the precision of Postgres, so that
/// a response equals the stored value. Validation has already rejected times outside of the years 1 to 9999.
///
/// # Errors
/// `VALIDATION_FAILED` for a time that can't be represented.
pub fn time(time: Timestamp, field: &str) -> Result<DateTime<Utc>> {
    let micros = i64::from(time.nanos) / 1000;
    let micros = time.seconds.checked_mul(1_000_000).and_then(|seconds| seconds.checked_add(micros));
    let time = micros.and_then(DateTime::from_timestamp_micros);
    time.ok_or_else(|| Error::field(field, "must be a time of the years 1 to 9999"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_is_wrong_is_named() {
        let faults = |amount_minor, code: &str| {
            let money = pb::Money { amount_minor, currency_code: code.to_owned() };
            let error = price(&money, "price").err();
            error.map_or_else(Vec::new, |error| error.fields().iter().map(|(field, _)| field.clone()).collect())
        };
        let none: [&str; 0] = [];
        assert_eq!(faults(1, "EUR"), none);
        assert_eq!(faults(9_999_999_999, "JPY"), none);
        assert_eq!(faults(150_000_000, "IDR"), none);
        assert_eq!(faults(0, "EUR"), ["price.amountMinor"]);
        assert_eq!(faults(100_000_000, "EUR"), ["price.amountMinor"]);
        assert_eq!(faults(1_000_000_000_000, "IDR"), ["price.amountMinor"]);
        assert_eq!(faults(1, "eur"), ["price.currencyCode"]);
        assert_eq!(faults(-1, "EURO"), ["price.amountMinor", "price.currencyCode"]);
    }

    #[test]
    fn a_time_has_the_precision_of_postgres() {
        let read = |seconds, nanos| time(Timestamp { seconds, nanos }, "at").map(|time| time.timestamp_nanos_opt());
        assert_eq!(read(1, 2_999).ok(), Some(Some(1_000_002_000)));
        assert!(read(i64::MAX, 0).is_err());
    }
}
