//! The text forms of `google.protobuf.Timestamp` and `Duration`, in both directions.

use std::io::Write as _;

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _};

use super::WriteError;

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the bounds that timestamp.proto gives.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// ±10,000 years, the bounds that duration.proto gives.
const MAX_DURATION_SECONDS: i64 = 315_576_000_000;

pub(super) fn write_timestamp(seconds: i64, nanos: i32, out: &mut Vec<u8>) -> Result<(), WriteError> {
    let is_in_range = TIMESTAMP_SECONDS.contains(&seconds) && (0..1_000_000_000).contains(&nanos);
    let time = DateTime::from_timestamp(seconds, 0).filter(|_| is_in_range);
    let time = time.ok_or(WriteError::Invalid("a timestamp is out of range"))?;
    let mut text = *b"\"0000-00-00T00:00:00";
    put_digits(&mut text[1..5], time.year().unsigned_abs());
    put_digits(&mut text[6..8], time.month());
    put_digits(&mut text[9..11], time.day());
    put_digits(&mut text[12..14], time.hour());
    put_digits(&mut text[15..17], time.minute());
    put_digits(&mut text[18..20], time.second());
    out.extend_from_slice(&text);
    write_fraction(nanos.unsigned_abs(), out);
    out.extend_from_slice(b"Z\"");
    Ok(())
}

pub(super) fn write_duration(seconds: i64, nanos: i32, out: &mut Vec<u8>) -> Result<(), WriteError> {
    let signs_differ = seconds.signum() * i64::from(nanos.signum()) < 0;
    // The least integers have no positive counterpart, so the magnitudes are unsigned.
    let (whole, fraction) = (seconds.unsigned_abs(), nanos.unsigned_abs());
    if whole > MAX_DURATION_SECONDS.unsigned_abs() || fraction > 999_999_999 || signs_differ {
        return Err(WriteError::Invalid("a duration is out of range"));
    }
    out.push(b'"');
    if seconds < 0 || nanos < 0 {
        out.push(b'-');
    }
    write!(out, "{whole}").map_err(|_| WriteError::Invalid("out of memory"))?;
    write_fraction(fraction, out);
    out.extend_from_slice(b"s\"");
    Ok(())
}

/// Reads RFC 3339 with `T` and `Z` in capitals, up to nine fraction digits and any offset. A leap second is rejected: a
/// timestamp can't represent one, and protobuf's conformance suite requires the rejection.
pub(super) fn read_timestamp(text: &str) -> Option<(i64, i32)> {
    let bytes = text.as_bytes();
    let (head, tail) = bytes.split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| head[at] != byte) {
        return None;
    }
    let number = |digits: &[u8]| parse_digits(digits)?.try_into().ok();
    let date = NaiveDate::from_ymd_opt(parse_digits(&head[..4])? as i32, number(&head[5..7])?, number(&head[8..10])?)?;
    let time = date.and_hms_opt(number(&head[11..13])?, number(&head[14..16])?, number(&head[17..19])?)?;
    let (nanos, zone) = read_fraction(tail)?;
    let offset = match zone {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (parse_digits(&[*h1, *h2])?, parse_digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    let seconds = time.and_utc().timestamp() - offset;
    TIMESTAMP_SECONDS.contains(&seconds).then_some((seconds, nanos))
}

/// Reads `3s`, `1.5s`, `-0.000000001s`, `+1s`.
pub(super) fn read_duration(text: &str) -> Option<(i64, i32)> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let text = text.strip_suffix('s')?.as_bytes();
    let whole = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    if whole == 0 || whole > 12 {
        return None;
    }
    let seconds = parse_digits(&text[..whole])?;
    let (nanos, rest) = read_fraction(&text[whole..])?;
    if !rest.is_empty() || seconds > MAX_DURATION_SECONDS {
        return None;
    }
    Some(if negative { (-seconds, -nanos) } else { (seconds, nanos) })
}

/// Reads an optional `.` with one to nine digits, and returns the rest.
fn read_fraction(text: &[u8]) -> Option<(i32, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else { return Some((0, text)) };
    let length = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    if length == 0 || length > 9 {
        return None;
    }
    let scale = 10_i64.pow(9 - length as u32);
    Some(((parse_digits(&digits[..length])? * scale) as i32, &digits[length..]))
}

/// Writes the fraction in 0, 3, 6 or 9 digits.
fn write_fraction(nanos: u32, out: &mut Vec<u8>) {
    if nanos == 0 {
        return;
    }
    let mut text = *b".000000000";
    put_digits(&mut text[1..], nanos);
    let keep = if nanos.is_multiple_of(1_000_000) {
        4
    } else if nanos.is_multiple_of(1000) {
        7
    } else {
        10
    };
    out.extend_from_slice(&text[..keep]);
}

fn put_digits(into: &mut [u8], mut value: u32) {
    for slot in into.iter_mut().rev() {
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn parse_digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0i64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_comes_back() {
        for day in -719_162..2_932_897 {
            let mut text = Vec::new();
            write_timestamp(day * 86_400, 0, &mut text).expect("a time");
            let text = std::str::from_utf8(&text).expect("a text").trim_matches('"');
            assert_eq!(read_timestamp(text), Some((day * 86_400, 0)), "{text}");
        }
    }

    #[test]
    fn bad_times_are_refused() {
        for text in [
            "",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00.1234567890Z",
            "0001-01-01T00:00:00+01:00",
            "2024-01-01T00:00:00+0100",
            "2024-01-01T00:00:00é",
            "2024-01-01T00:00:60Z",
            "2016-12-31T23:59:60Z",
            "2017-01-01T00:59:60.5+01:00",
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00.5+00:01",
            "9999-12-31T23:59:59-00:01",
            "+999-12-31T23:59:59Z",
            "10000-01-01T00:00:00Z",
        ] {
            assert_eq!(read_timestamp(text), None, "{text}");
        }
        for text in [
            "",
            "s",
            "1",
            "1.s",
            ".5s",
            "1e3s",
            "--1s",
            "-+1s",
            "+-1s",
            "++1s",
            "+s",
            "1.0000000000s",
            "315576000001s",
            "-315576000001s",
            "-9223372036854775808s",
            " 1s",
            "1s ",
        ] {
            assert_eq!(read_duration(text), None, "{text}");
        }
        assert_eq!(read_duration("+1.5s"), Some((1, 500_000_000)));
        assert_eq!(read_duration("-0.5s"), Some((0, -500_000_000)));
    }

    #[test]
    fn extremes_are_errors_and_never_garbage() {
        type Write = fn(i64, i32, &mut Vec<u8>) -> Result<(), WriteError>;
        let print = |write: Write, seconds, nanos| {
            let mut out = Vec::new();
            write(seconds, nanos, &mut out).map(|()| String::from_utf8(out).unwrap()).ok()
        };
        let (max, top) = (MAX_DURATION_SECONDS, 999_999_999);
        for (seconds, nanos, expected) in [
            (max, top, Some("\"315576000000.999999999s\"")),
            (-max, -top, Some("\"-315576000000.999999999s\"")),
            (0, -1, Some("\"-0.000000001s\"")),
            (i64::MIN, 0, None),
            (i64::MAX, 0, None),
            (i64::MIN, i32::MIN, None),
            (max + 1, 0, None),
            (-max - 1, 0, None),
            (0, i32::MIN, None),
            (0, i32::MAX, None),
            (0, top + 1, None),
            (-1, -top - 1, None),
            (1, -1, None),
            (-1, 1, None),
        ] {
            assert_eq!(print(write_duration, seconds, nanos).as_deref(), expected, "{seconds} s, {nanos} ns");
        }
        let (first, last) = (*TIMESTAMP_SECONDS.start(), *TIMESTAMP_SECONDS.end());
        for (seconds, nanos, expected) in [
            (first, 0, Some("\"0001-01-01T00:00:00Z\"")),
            (last, top, Some("\"9999-12-31T23:59:59.999999999Z\"")),
            (first - 1, 0, None),
            (last + 1, 0, None),
            (i64::MIN, 0, None),
            (i64::MAX, 0, None),
            (0, i32::MIN, None),
            (0, i32::MAX, None),
            (0, -1, None),
            (0, top + 1, None),
        ] {
            assert_eq!(print(write_timestamp, seconds, nanos).as_deref(), expected, "{seconds} s, {nanos} ns");
        }
    }
}
