//! The types of Google that have a meaning beyond their fields. A value that JSON or Postgres can't represent is invalid.

use chrono::NaiveDate;
use prost_types::{Duration, ListValue, Struct, Timestamp, Value, value::Kind};

use super::{Path, Validate, Violations, check};
use crate::{
    contract::proto::google::r#type::{Date, Money, TimeOfDay},
    money::Currency,
};

/// The seconds of ten thousand years, the largest duration of Protobuf.
const MAX_DURATION: i64 = 315_576_000_000;
const BILLION: i32 = 1_000_000_000;

impl Validate for Timestamp {
    fn validate(&self, path: &Path<'_>, violations: &mut Violations) {
        let fault = !check::is_rfc3339(self.seconds, self.nanos);
        violations.check(path, fault.then_some("must be a time of the years 1 to 9999"));
    }
}

impl Validate for Duration {
    fn validate(&self, path: &Path<'_>, violations: &mut Violations) {
        let fault = !is_duration(self.seconds, self.nanos);
        violations.check(path, fault.then_some("must be a duration of at most 10,000 years"));
    }
}

impl Validate for Date {
    fn validate(&self, path: &Path<'_>, violations: &mut Violations) {
        let &Self { year, month, day } = self;
        // Of a date without a year, the year is one with a 29th of February.
        let is_date = |year, day| {
            let (month, day) = (month.cast_unsigned(), i32::cast_unsigned(day));
            NaiveDate::from_ymd_opt(year, month, day).is_some()
        };
        let is_valid = match (year, month, day) {
            (1..=9999, 0, 0) => true,
            (1..=9999, _, 0) => is_date(year, 1),
            (0, _, 1..) => is_date(2000, day),
            (1..=9999, _, 1..) => is_date(year, day),
            _ => false,
        };
        violations.check(path, (!is_valid).then_some("must be a date of the years 1 to 9999"));
    }
}

impl Validate for TimeOfDay {
    fn validate(&self, path: &Path<'_>, violations: &mut Violations) {
        let &Self { hours, minutes, seconds, nanos } = self;
        let is_end = (hours, minutes, seconds, nanos) == (24, 0, 0, 0);
        let within = (0..24).contains(&hours) && (0..60).contains(&minutes) && (0..=60).contains(&seconds);
        let is_valid = is_end || within && (0..BILLION).contains(&nanos);
        violations.check(path, (!is_valid).then_some("must be a time of day"));
    }
}

impl Validate for Money {
    fn validate(&self, path: &Path<'_>, violations: &mut Violations) {
        let is_known = Currency::parse(&self.currency_code).is_some();
        violations.check(&path.field("currencyCode"), (!is_known).then_some("must be a code of ISO 4217, like EUR"));
        let fault = !has_one_sign(self.units, self.nanos);
        violations.check(&path.field("nanos"), fault.then_some("must be less than a unit, with the sign of the units"));
    }
}

pub(super) fn is_duration(seconds: i64, nanos: i32) -> bool {
    seconds.unsigned_abs() <= MAX_DURATION.unsigned_abs() && has_one_sign(seconds, nanos)
}

/// Returns whether the parts of a number have the same sign, and the billionths are less than one.
fn has_one_sign(units: i64, nanos: i32) -> bool {
    nanos.unsigned_abs() < BILLION.unsigned_abs() && units.signum() * i64::from(nanos.signum()) >= 0
}

impl Validate for Struct {
    fn validate(&self, path: &Path<'_>, violations: &mut Violations) {
        for (key, value) in &self.fields {
            let path = path.key(key);
            violations.check(&path, check::has_nul(key).then_some(NUL));
            value.validate(&path, violations);
        }
    }
}

impl Validate for ListValue {
    fn validate(&self, path: &Path<'_>, violations: &mut Violations) {
        for (index, value) in self.values.iter().enumerate() {
            value.validate(&path.item(index), violations);
        }
    }
}

const NUL: &str = "must not contain NUL characters";

impl Validate for Value {
    fn validate(&self, path: &Path<'_>, violations: &mut Violations) {
        let fault = match &self.kind {
            None => Some("must be a value of JSON"),
            Some(Kind::NumberValue(number)) => (!number.is_finite()).then_some("must be a finite number"),
            Some(Kind::StringValue(text)) => check::has_nul(text).then_some(NUL),
            Some(Kind::StructValue(fields)) => return fields.validate(path, violations),
            Some(Kind::ListValue(items)) => return items.validate(path, violations),
            Some(Kind::NullValue(_) | Kind::BoolValue(_)) => None,
        };
        violations.check(path, fault);
    }
}
