//! Scalars from text, as in path segments, query parameters, and JSON strings and numbers.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::schema::{EnumId, Kind, MessageId, Shape};
use super::{Codec, ReadError, field_mask, time};
use crate::wire::{put_bytes, put_delimited, put_tag, put_varint, zigzag};

type Result<T> = std::result::Result<T, ReadError>;

// Padding is optional and the last character's spare bits are ignored, like in all protobuf JSON parsers.
const BASE64: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, BASE64);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, BASE64);

/// Writes the value of one singular field (or one element), without its tag, from the text of a path or query.
///
/// # Errors
/// An error if the text is not such a value, or if the field is a message without a text form.
pub(crate) fn put_text(codec: &Codec, kind: Kind, text: &str, out: &mut Vec<u8>) -> Result<()> {
    match kind {
        Kind::String => {
            put_varint(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
        Kind::Bytes => put_base64(text, out),
        Kind::Bool => put_bool(text, out),
        Kind::Enum(id) => put_enum(codec, id, text, out),
        Kind::Message(id) => put_delimited(out, |out| put_message_text(codec, id, text, out)),
        Kind::Group(_) => Err(ReadError::new("can't be given as text")),
        // JSON also permits 1e3 and 10.0; Envoy accepts neither here.
        number
            if number.is_whole_number() && !text.trim_start_matches(['+', '-']).bytes().all(|b| b.is_ascii_digit()) =>
        {
            Err(ReadError::new("not a whole number"))
        }
        number => put_quoted_number(number, text, out),
    }
}

/// Returns whether a second text of a kind replaces the first as a whole. Scalars do so on the wire, where messages are
/// merged: a time without a fraction would get that of an earlier one. The paths of a mask are a list.
pub(crate) fn replaces_earlier(codec: &Codec, kind: Kind) -> bool {
    matches!(kind, Kind::Message(id) if !matches!(codec.message(id).shape, Shape::FieldMask))
}

/// Returns whether texts of a kind may contain a `+` and never contain a space: base64, times with an offset, and
/// durations with a sign.
pub(crate) fn writes_plus(codec: &Codec, kind: Kind) -> bool {
    match kind {
        Kind::Bytes => true,
        Kind::Message(id) => match codec.message(id).shape {
            Shape::Timestamp | Shape::Duration => true,
            Shape::Wrapper => writes_plus(codec, codec.message(id).fields[0].kind),
            _ => false,
        },
        // Envoy accepts no number with a `+` here.
        _ => false,
    }
}

/// Writes a number from a JSON string, which may begin with `+`, as in Envoy.
///
/// # Errors
/// An error if the text is not such a number.
pub(super) fn put_quoted_number(kind: Kind, text: &str, out: &mut Vec<u8>) -> Result<()> {
    let digits = text.strip_prefix('+').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    put_number(kind, digits.unwrap_or(text), out)
}

/// Writes a well-known type whose JSON is a string, or a wrapper of a scalar.
pub(super) fn put_message_text(codec: &Codec, id: MessageId, text: &str, out: &mut Vec<u8>) -> Result<()> {
    let message = codec.message(id);
    match message.shape {
        Shape::Timestamp => {
            let timestamp = time::read_timestamp(text)
                .ok_or_else(|| ReadError::new("not an RFC 3339 time such as 2024-05-01T12:00:00Z"))?;
            put_seconds_and_nanos(timestamp, out);
            Ok(())
        }
        Shape::Duration => {
            let duration = time::read_duration(text).ok_or_else(|| ReadError::new("not a duration such as 1.5s"))?;
            put_seconds_and_nanos(duration, out);
            Ok(())
        }
        Shape::FieldMask => {
            for path in field_mask::split(text).map(str::trim).filter(|path| !path.is_empty()) {
                put_bytes(out, 1, field_mask::read_path(path).as_bytes());
            }
            Ok(())
        }
        Shape::Wrapper => {
            let kind = message.fields[0].kind;
            put_tag(out, 1, kind.wire_type());
            put_text(codec, kind, text, out)
        }
        _ => Err(ReadError::new("can't be given as text")),
    }
}

fn put_seconds_and_nanos((seconds, nanos): (i64, i32), out: &mut Vec<u8>) {
    if seconds != 0 {
        put_tag(out, 1, 0);
        put_varint(out, seconds as u64);
    }
    if nanos != 0 {
        put_tag(out, 2, 0);
        put_varint(out, i64::from(nanos) as u64);
    }
}

/// Writes a number of any numeric kind from its decimal text.
pub(super) fn put_number(kind: Kind, text: &str, out: &mut Vec<u8>) -> Result<()> {
    match kind {
        Kind::Double => out.extend_from_slice(&double(text)?.to_le_bytes()),
        Kind::Float => out.extend_from_slice(&float(text)?.to_le_bytes()),
        Kind::Int32 => put_varint(out, signed(text, i32::MIN.into(), i32::MAX.into())? as u64),
        Kind::Int64 => put_varint(out, signed(text, i64::MIN, i64::MAX)? as u64),
        Kind::Sint32 => put_varint(out, zigzag(signed(text, i32::MIN.into(), i32::MAX.into())?)),
        Kind::Sint64 => put_varint(out, zigzag(signed(text, i64::MIN, i64::MAX)?)),
        Kind::Uint32 => put_varint(out, unsigned(text, u32::MAX.into())?),
        Kind::Uint64 => put_varint(out, unsigned(text, u64::MAX)?),
        Kind::Fixed32 => out.extend_from_slice(&(unsigned(text, u32::MAX.into())? as u32).to_le_bytes()),
        Kind::Fixed64 => out.extend_from_slice(&unsigned(text, u64::MAX)?.to_le_bytes()),
        Kind::Sfixed32 => {
            out.extend_from_slice(&(signed(text, i32::MIN.into(), i32::MAX.into())? as i32).to_le_bytes());
        }
        Kind::Sfixed64 => out.extend_from_slice(&signed(text, i64::MIN, i64::MAX)?.to_le_bytes()),
        _ => return Err(ReadError::new("not a numeric field")),
    }
    Ok(())
}

/// Writes a bool in every spelling that Envoy accepts, which parses text with absl's `SimpleAtob`; the JSON mapping
/// defines none.
pub(super) fn put_bool(text: &str, out: &mut Vec<u8>) -> Result<()> {
    let is = |spellings: [&str; 5]| spellings.iter().any(|spelling| text.eq_ignore_ascii_case(spelling));
    if is(["true", "t", "yes", "y", "1"]) {
        out.push(1);
    } else if is(["false", "f", "no", "n", "0"]) {
        out.push(0);
    } else {
        return Err(ReadError::new("not true or false"));
    }
    Ok(())
}

/// Writes an enum by name, or by the number of a known value. Numbers unknown to this descriptor set are only accepted
/// as JSON numbers.
pub(super) fn put_enum(codec: &Codec, id: EnumId, text: &str, out: &mut Vec<u8>) -> Result<()> {
    let kind = codec.enumeration(id);
    let number = kind.number(text).or_else(|| text.parse().ok().filter(|&number| kind.json(number).is_some()));
    // Each position gets another number, because two unknown names need not be the same value.
    let number = number.or_else(|| codec.passes_unknown_enum_names.then(|| kind.undeclared(out.len())));
    let number = number.ok_or_else(|| kind.unknown())?;
    put_varint(out, i64::from(number) as u64);
    Ok(())
}

/// Writes bytes from base64, standard or URL-safe. The line breaks of MIME and PEM are skipped, as in Envoy. Other
/// whitespace is rejected, because a space in a query may be an unescaped `+`.
pub(super) fn put_base64(text: &str, out: &mut Vec<u8>) -> Result<()> {
    let joined = text.contains(['\r', '\n']).then(|| text.replace(['\r', '\n'], ""));
    let text = joined.as_deref().unwrap_or(text);
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    put_delimited(out, |out| engine.decode_vec(text, out)).map_err(|_| ReadError::new("not base64"))
}

fn signed(text: &str, min: i64, max: i64) -> Result<i64> {
    let value = text.parse().ok().or_else(|| whole(text)?.try_into().ok());
    in_range(value.filter(|value| (min..=max).contains(value)), text)
}

fn unsigned(text: &str, max: u64) -> Result<u64> {
    let value = text.parse().ok().or_else(|| whole(text)?.try_into().ok());
    in_range(value.filter(|value| *value <= max), text)
}

fn in_range<T>(value: Option<T>, text: &str) -> Result<T> {
    value.ok_or_else(|| {
        let number = is_decimal(text) && text.parse::<f64>().is_ok();
        ReadError::new(if number { "out of range, or not a whole number" } else { "not a whole number" })
    })
}

/// Parses `1.0` and `1.8e19`, which are whole numbers too, without the rounding of a double.
fn whole(text: &str) -> Option<i128> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    if whole.is_empty() || fraction.is_empty() {
        return None;
    }
    let exponent = exponent.parse::<i64>().ok()?;
    let (mut value, mut zeros) = (0i128, 0u32);
    for digit in whole.bytes().chain(fraction.bytes()) {
        match digit {
            // Zeros at the end belong to the exponent.
            b'0' => zeros += 1,
            b'1'..=b'9' if value == 0 => (value, zeros) = (i128::from(digit - b'0'), 0),
            b'1'..=b'9' => {
                value = value.checked_mul(10i128.checked_pow(zeros + 1)?)?.checked_add(i128::from(digit - b'0'))?;
                zeros = 0;
            }
            _ => return None,
        }
    }
    if value == 0 {
        return Some(0);
    }
    let exponent = exponent.checked_add(i64::from(zeros))?.checked_sub(fraction.len() as i64)?;
    let value = value.checked_mul(10i128.checked_pow(exponent.try_into().ok()?)?)?;
    Some(if negative { -value } else { value })
}

pub(super) fn double(text: &str) -> Result<f64> {
    non_finite(text).map_or_else(|| finite(text, text.parse().ok(), f64::is_finite), Ok)
}

/// Parses directly as a float, because the shortest text of the largest float exceeds it as a double.
fn float(text: &str) -> Result<f32> {
    non_finite(text).map_or_else(|| finite(text, text.parse().ok(), f32::is_finite), |value| Ok(value as f32))
}

fn finite<T: Copy>(text: &str, value: Option<T>, is_finite: impl Fn(T) -> bool) -> Result<T> {
    let value = value.filter(|_| is_decimal(text)).ok_or_else(|| ReadError::new("not a number"))?;
    if is_finite(value) { Ok(value) } else { Err(ReadError::new("out of range")) }
}

fn non_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Returns whether the text contains only characters of a decimal number. Rust would also parse `inf` and `nan`.
fn is_decimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
}
