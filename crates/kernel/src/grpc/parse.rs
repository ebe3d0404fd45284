//! Conversion of contract messages to domain types, with the checks that field rules can't express.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use prost_types::Timestamp;

use crate::{
    contract::proto::{common::v1 as pb, google::r#type as google},
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
    } else if let Some(step) = currency.map(Currency::step).filter(|step| money.amount_minor % step != 0) {
        let code = &money.currency_code;
        let message = format!("must be a multiple of {step}, because gateways charge no smaller part of {code}");
        faults.push((format!("{field}.amountMinor"), message));
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

/// Converts a date with a year, a month and a day.
///
/// # Errors
/// `VALIDATION_FAILED` for a date that lacks one of them, or that no calendar has.
pub fn date(date: google::Date, field: &str) -> Result<NaiveDate> {
    let google::Date { year, month, day } = date;
    let parts = u32::try_from(month).ok().zip(u32::try_from(day).ok()).filter(|_| (1..=9999).contains(&year));
    let date = parts.and_then(|(month, day)| NaiveDate::from_ymd_opt(year, month, day));
    date.ok_or_else(|| Error::field(field, "must have a year, a month and a day"))
}

/// Converts a time of day, truncated to microseconds, the precision of Postgres.
///
/// # Errors
/// `VALIDATION_FAILED` for a leap second and for the end of the day (24:00), which have no place in the day.
pub fn time_of_day(time: google::TimeOfDay, field: &str) -> Result<NaiveTime> {
    let part = |part: i32| u32::try_from(part).unwrap_or(u32::MAX);
    let (hours, minutes, seconds) = (part(time.hours), part(time.minutes), part(time.seconds));
    let time = NaiveTime::from_hms_micro_opt(hours, minutes, seconds, part(time.nanos) / 1000);
    time.ok_or_else(|| Error::field(field, "must be from 00:00:00 to 23:59:59"))
}

/// Converts a `google.type.Money`, which may be negative, to minor units of its currency.
///
/// # Errors
/// `VALIDATION_FAILED` for an unknown currency, a fraction of a minor unit, and an amount beyond 64 bits.
pub fn signed_amount(money: &google::Money, field: &str) -> Result<(i64, Currency)> {
    let unknown = || Error::field(format!("{field}.currencyCode"), "must be a code of ISO 4217, like EUR");
    let currency = Currency::parse(&money.currency_code).ok_or_else(unknown)?;
    let nanos_per_minor = 10_i64.pow(9 - currency.places());
    if i64::from(money.nanos) % nanos_per_minor != 0 {
        let message = format!("must have at most {} decimal places", currency.places());
        return Err(Error::field(format!("{field}.nanos"), message));
    }
    let minor = money.units.checked_mul(10_i64.pow(currency.places()));
    let minor = minor.and_then(|minor| minor.checked_add(i64::from(money.nanos) / nanos_per_minor));
    let minor = minor.ok_or_else(|| Error::field(format!("{field}.units"), "is too large"))?;
    Ok((minor, currency))
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
        assert_eq!([faults(1_230, "KWD"), faults(500, "MGA")], [none, none]);
        for (minor, code) in [(1_234, "KWD"), (1, "TND"), (501, "MGA"), (1, "MGA")] {
            assert_eq!(faults(minor, code), ["price.amountMinor"], "{minor} {code}");
        }
        assert_eq!(faults(0, "EUR"), ["price.amountMinor"]);
        assert_eq!(faults(100_000_000, "EUR"), ["price.amountMinor"]);
        assert_eq!(faults(1_000_000_000_000, "IDR"), ["price.amountMinor"]);
        assert_eq!(faults(1, "eur"), ["price.currencyCode"]);
        assert_eq!(faults(-1, "EURO"), ["price.amountMinor", "price.currencyCode"]);
    }

    #[test]
    fn dates_times_of_day_and_signed_amounts_return_as_they_were() {
        use crate::grpc::render;
        let sent = google::Date { year: 2026, month: 2, day: 28 };
        assert_eq!(date(sent, "day").map(render::date).ok(), Some(sent));
        assert!(
            date(google::Date { day: 29, ..sent }, "day").is_err()
                && date(google::Date { day: 0, ..sent }, "day").is_err()
        );
        let sent = google::TimeOfDay { hours: 23, minutes: 59, seconds: 59, nanos: 1000 };
        assert_eq!(time_of_day(sent, "at").map(render::time_of_day).ok(), Some(sent));
        assert!(time_of_day(google::TimeOfDay { hours: 24, ..Default::default() }, "at").is_err());
        for (code, units, nanos, minor) in [
            ("EUR", -1, -750_000_000, -175),
            ("EUR", 0, -10_000_000, -1),
            ("JPY", 5, 0, 5),
            ("KWD", 1, 5_000_000, 1005),
        ] {
            let sent = google::Money { currency_code: code.to_owned(), units, nanos };
            let (parsed, currency) = signed_amount(&sent, "sum").expect("an amount");
            assert_eq!((parsed, render::signed_amount(minor, currency)), (minor, sent));
        }
        let faults = |code: &str, units, nanos| {
            let money = google::Money { currency_code: code.to_owned(), units, nanos };
            signed_amount(&money, "sum").err().map(|error| error.fields()[0].0.clone())
        };
        assert_eq!(faults("JPY", 0, 10_000_000).as_deref(), Some("sum.nanos"));
        assert_eq!(faults("euro", 0, 0).as_deref(), Some("sum.currencyCode"));
        assert_eq!(faults("EUR", i64::MAX, 0).as_deref(), Some("sum.units"));
    }

    #[test]
    fn a_time_has_the_precision_of_postgres() {
        let read = |seconds, nanos| time(Timestamp { seconds, nanos }, "at").map(|time| time.timestamp_nanos_opt());
        assert_eq!(read(1, 2_999).ok(), Some(Some(1_000_002_000)));
        assert!(read(i64::MAX, 0).is_err());
    }
}
