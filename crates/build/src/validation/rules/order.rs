//! The rules of values with an order: numbers, durations and times; and those of the other well-known types.

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};
use prost_types::{Duration, Timestamp};

use super::{Check, listed, string, unknown};

/// The words of a range, in the order: at least, greater, at most, less.
type Words = [&'static str; 4];

const OF_NUMBERS: Words = ["at least ", "greater than ", "at most ", "less than "];
const OF_TIMES: Words = ["at or after ", "after ", "at or before ", "before "];

/// A value of a rule.
struct Constant {
    /// The expression in Rust.
    literal: String,
    /// The value in a message.
    shown: String,
    place: Place,
}

/// The place of a value in the order.
#[derive(PartialEq, PartialOrd)]
enum Place {
    Integer(i128),
    Float(f64),
}

/// One end of a range.
struct End {
    constant: Constant,
    is_inclusive: bool,
}

impl End {
    fn bound(&self) -> (&Constant, bool) {
        (&self.constant, self.is_inclusive)
    }
}

#[derive(Default)]
struct Range {
    low: Option<End>,
    high: Option<End>,
}

/// Returns the checks of a number.
pub(super) fn number(rules: &[(String, Value)]) -> Result<Vec<Check>, String> {
    let (mut checks, others) = compare(rules, "value", OF_NUMBERS)?;
    for (rule, value) in others {
        match (rule, value) {
            ("finite", Value::Bool(true)) => {
                checks.insert(0, Check::new("!value.is_finite()", "must be a finite number"))
            }
            ("finite", Value::Bool(false)) => {}
            _ => return Err(unknown(rule)),
        }
    }
    Ok(checks)
}

/// Returns the checks of a duration.
pub(super) fn duration(rules: &[(String, Value)]) -> Result<Vec<Check>, String> {
    let (checks, others) = compare(rules, INSTANT, OF_NUMBERS)?;
    others.first().map_or(Ok(checks), |(rule, _)| Err(unknown(rule)))
}

/// The seconds and nanoseconds of a duration or a time, whose order is that of the values.
const INSTANT: &str = "&(value.seconds, value.nanos)";

/// Returns the checks of a time.
pub(super) fn timestamp(rules: &[(String, Value)]) -> Result<Vec<Check>, String> {
    let (mut checks, others) = compare(rules, INSTANT, OF_TIMES)?;
    for (rule, value) in others {
        let now = "(value.seconds, value.nanos) {} violations.now()";
        match (rule, value) {
            ("lt_now" | "gt_now", Value::Bool(false)) => {}
            ("lt_now", _) => checks.push(Check::new(now.replace("{}", ">"), "must be in the past")),
            ("gt_now", _) => checks.push(Check::new(now.replace("{}", "<"), "must be in the future")),
            ("within", value) => {
                let Constant { literal, shown, .. } = constant(value)?;
                let fault = format!("!check::is_within((value.seconds, value.nanos), violations.now(), {literal})");
                checks.push(Check::new(fault, format!("must be within {shown} of now")));
            }
            _ => return Err(unknown(rule)),
        }
    }
    Ok(checks)
}

/// Returns the checks of an `Any`.
pub(super) fn any(rules: &[(String, Value)]) -> Result<Vec<Check>, String> {
    let check = |(rule, value): &(String, Value)| {
        let check = string::membership(rule, value.as_list().unwrap_or_default())?;
        let message = check
            .message
            .replace("must be", "must have a type that is")
            .replace("must not be", "must have a type that is not");
        Ok(Check::new(check.fault.replace("value.as_str()", "value.type_url.as_str()"), message))
    };
    rules.iter().map(check).collect()
}

/// Returns the checks of a field mask.
pub(super) fn field_mask(rules: &[(String, Value)]) -> Result<Vec<Check>, String> {
    let check = |(rule, value): &(String, Value)| {
        let paths = |value: &Value| {
            let paths = value.as_list().unwrap_or_default().iter().filter_map(Value::as_str);
            paths.map(str::to_owned).collect::<Vec<_>>()
        };
        Ok(match (rule.as_str(), value) {
            ("const", Value::Message(mask)) => {
                let paths = mask.get_field_by_name("paths").map(|value| paths(&value)).unwrap_or_default();
                Check::new(
                    format!("value.paths != {paths:?}"),
                    format!("must have exactly the paths {}", listed(&paths)),
                )
            }
            ("in" | "not_in", value) => {
                let paths = paths(value);
                let (test, words) = match rule.as_str() {
                    "in" => ("!value.paths.iter().all", "must have only"),
                    _ => ("value.paths.iter().any", "must not have"),
                };
                let fault = format!("{test}(|path| check::is_path_within(path, &{paths:?}))");
                Check::new(fault, format!("{words} paths in {}", listed(&paths)))
            }
            _ => return Err(unknown(rule)),
        })
    };
    rules.iter().map(check).collect()
}

type Other<'a> = (&'a str, &'a Value);

/// Returns the checks of the rules that compare a value with constants, and the other rules. `reference` is an
/// expression of a reference to the value.
fn compare<'a>(
    rules: &'a [(String, Value)],
    reference: &str,
    words: Words,
) -> Result<(Vec<Check>, Vec<Other<'a>>), String> {
    let (mut range, mut checks, mut others) = (Range::default(), Vec::new(), Vec::new());
    for (rule, value) in rules {
        let end = |is_inclusive| Ok::<_, String>(Some(End { constant: constant(value)?, is_inclusive }));
        match rule.as_str() {
            "gte" => range.low = end(true)?,
            "gt" => range.low = end(false)?,
            "lte" => range.high = end(true)?,
            "lt" => range.high = end(false)?,
            "const" => {
                let Constant { literal, shown, .. } = constant(value)?;
                let measure = reference.strip_prefix('&').map_or_else(|| format!("*{reference}"), str::to_owned);
                checks.push(Check::new(format!("{measure} != {literal}"), format!("must be {shown}")));
            }
            "in" | "not_in" => {
                let constants = value.as_list().unwrap_or_default().iter().map(constant);
                let constants = constants.collect::<Result<Vec<_>, _>>()?;
                let literals = listed(constants.iter().map(|constant| &constant.literal));
                let shown = listed(constants.iter().map(|constant| &constant.shown));
                let (not, words) = if rule == "in" { ("!", "must be") } else { ("", "must not be") };
                let fault = format!("{not}[{literals}].contains({reference})");
                checks.push(Check::new(fault, format!("{words} one of {shown}")));
            }
            rule => others.push((rule, value)),
        }
    }
    checks.splice(0..0, range.check(reference, words)?);
    Ok((checks, others))
}

impl Range {
    /// Returns the check of the range. If its low end is above its high end, the values between both are invalid.
    fn check(self, reference: &str, [at_least, greater, at_most, less]: Words) -> Result<Option<Check>, String> {
        let low = |end: &End| format!("{}{}", if end.is_inclusive { at_least } else { greater }, end.constant.shown);
        let high = |end: &End| format!("{}{}", if end.is_inclusive { at_most } else { less }, end.constant.shown);
        let range = between(self.low.as_ref().map(End::bound), self.high.as_ref().map(End::bound));
        // NaN is outside of each range.
        let outside = format!("!{range}.contains({reference})");
        Ok(Some(match (&self.low, &self.high) {
            (None, None) => return Ok(None),
            (Some(least), None) => Check::new(outside, format!("must be {}", low(least))),
            (None, Some(most)) => Check::new(outside, format!("must be {}", high(most))),
            (Some(least), Some(most)) if most.constant.place < least.constant.place => {
                let between =
                    between(Some((&most.constant, !most.is_inclusive)), Some((&least.constant, !least.is_inclusive)));
                let nan = if matches!(least.constant.place, Place::Float(_)) { " || value.is_nan()" } else { "" };
                let fault = format!("{between}.contains({reference}){nan}");
                Check::new(fault, format!("must be {} or {}", high(most), low(least)))
            }
            (Some(least), Some(most)) => {
                let is_inclusive = least.is_inclusive && most.is_inclusive;
                let is_single = least.constant.place == most.constant.place;
                if is_single && !is_inclusive {
                    return Err(format!("no value is {} and {}", low(least), high(most)));
                }
                let words = match (is_single, is_inclusive) {
                    (true, _) => format!("must be exactly {}", least.constant.shown),
                    (_, true) => format!("must be {} to {}", least.constant.shown, most.constant.shown),
                    _ => format!("must be {} and {}", low(least), high(most)),
                };
                Check::new(outside, words)
            }
        }))
    }
}

/// Returns a range in Rust, with its ends and whether each is inclusive.
fn between(low: Option<(&Constant, bool)>, high: Option<(&Constant, bool)>) -> String {
    match (low, high) {
        (Some((low, true)), None) => format!("({}..)", low.literal),
        (None, Some((high, true))) => format!("(..={})", high.literal),
        (None, Some((high, false))) => format!("(..{})", high.literal),
        (Some((low, true)), Some((high, true))) => format!("({}..={})", low.literal, high.literal),
        (Some((low, true)), Some((high, false))) => format!("({}..{})", low.literal, high.literal),
        (low, high) => {
            let bound = |end: Option<(&Constant, bool)>| match end {
                None => "::std::ops::Bound::Unbounded".to_owned(),
                Some((end, true)) => format!("::std::ops::Bound::Included({})", end.literal),
                Some((end, false)) => format!("::std::ops::Bound::Excluded({})", end.literal),
            };
            format!("check::Between({}, {})", bound(low), bound(high))
        }
    }
}

fn constant(value: &Value) -> Result<Constant, String> {
    let integer = |number: i128| Constant {
        literal: number.to_string(),
        shown: number.to_string(),
        place: Place::Integer(number),
    };
    Ok(match value {
        Value::I32(number) => integer((*number).into()),
        Value::I64(number) => integer((*number).into()),
        Value::U32(number) => integer((*number).into()),
        Value::U64(number) => integer((*number).into()),
        Value::F32(number) => float((*number).into(), &format!("{number:?}"), &number.to_string(), "f32"),
        Value::F64(number) => float(*number, &format!("{number:?}"), &number.to_string(), "f64"),
        Value::Message(message) => instant(message)?,
        other => return Err(format!("{other:?} has no order")),
    })
}

fn float(number: f64, literal: &str, shown: &str, kind: &str) -> Constant {
    let literal = match () {
        () if number.is_nan() => format!("{kind}::NAN"),
        () if number == f64::INFINITY => format!("{kind}::INFINITY"),
        () if number == f64::NEG_INFINITY => format!("{kind}::NEG_INFINITY"),
        () => format!("{literal}_{kind}"),
    };
    Constant { literal, shown: shown.to_owned(), place: Place::Float(number) }
}

/// Returns a constant duration or time.
fn instant(message: &DynamicMessage) -> Result<Constant, String> {
    let field = |name| message.get_field_by_name(name).map(|value| value.into_owned());
    let seconds = field("seconds").and_then(|value| value.as_i64()).unwrap_or_default();
    let nanos = field("nanos").and_then(|value| value.as_i32()).unwrap_or_default();
    let shown = match message.descriptor().full_name() {
        "google.protobuf.Duration" => {
            let text = Duration { seconds, nanos }.to_string();
            if nanos == 0 { text } else { format!("{}s", text.trim_end_matches('s').trim_end_matches('0')) }
        }
        "google.protobuf.Timestamp" => Timestamp { seconds, nanos }.to_string(),
        other => return Err(format!("{other} has no order")),
    };
    let place = Place::Integer(i128::from(seconds) * 1_000_000_000 + i128::from(nanos));
    Ok(Constant { literal: format!("({seconds}, {nanos})"), shown, place })
}
