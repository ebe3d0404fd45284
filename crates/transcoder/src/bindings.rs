//! Path variables and query parameters → wire bytes.
//!
//! On the wire a message is merged by concatenation, so a bound value needs no tree: it is appended, wrapped in its
//! parent messages. The last value wins, and the path comes last.

use percent_encoding::percent_decode_str;

use crate::json::{Cardinality, Codec, Field, FieldId, Kind, MessageId, ReadError, Shape, put_text};
use crate::template::Template;
use crate::wire::{Reader, Value, put_delimited, put_tag};

type Result<T> = std::result::Result<T, ReadError>;

/// The path to a field: a message and a field of it, then that field's message and a field of that, …
pub(crate) type FieldPath = Vec<(MessageId, FieldId)>;

/// A message that contains itself makes a path of any length resolvable, and writing one recurses, so the length is
/// limited.
const MAX_PATH_FIELDS: usize = 32;

/// Resolves a dotted path of proto or JSON names through singular messages, at most 32 of them.
pub(crate) fn resolve(codec: &Codec, root: MessageId, path: &str) -> Option<FieldPath> {
    let mut fields = FieldPath::new();
    let mut message = Some(root);
    for name in path.split('.') {
        let id = message.filter(|_| fields.len() < MAX_PATH_FIELDS)?;
        let field_id = codec.message(id).by_name(name)?;
        let field = &codec.message(id).fields[usize::from(field_id)];
        fields.push((id, field_id));
        message = match field.kind {
            Kind::Message(next)
                if field.cardinality == Cardinality::Singular && codec.message(next).shape == Shape::Object =>
            {
                Some(next)
            }
            _ => None,
        };
    }
    Some(fields)
}

/// Appends the path's variables.
///
/// # Errors
/// A value does not fit its field.
pub(crate) fn put_path(
    codec: &Codec,
    template: &Template,
    fields: &[FieldPath],
    path: &str,
    out: &mut Vec<u8>,
) -> Result<()> {
    for ((variable, value), field) in template.capture(path).zip(fields) {
        let value = value.ok_or_else(|| ReadError::new("not valid UTF-8").within(&variable.field_path))?;
        put_at(codec, field, &value, out)?;
    }
    Ok(())
}

/// Appends the query's parameters, and returns the fields they set. As in Envoy, parameters without a name or a `=` are
/// ignored, and the last value of a singular field wins.
///
/// # Errors
/// An unknown parameter, a value that does not fit its field, or a second value for a field with explicit presence or
/// for a oneof.
pub(crate) fn put_query(codec: &Codec, root: MessageId, query: &str, out: &mut Vec<u8>) -> Result<Vec<FieldPath>> {
    let mut fields = Vec::new();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| !name.is_empty()) {
        let name = percent_decode_str(name).decode_utf8_lossy();
        let field = resolve(codec, root, &name).ok_or_else(|| codec.message(root).unknown("query parameter", &name))?;
        let value =
            percent_decode_str(value).decode_utf8().map_err(|_| ReadError::new("not valid UTF-8").within(&name))?;
        if last_field(codec, &field).is_some_and(|field| field.cardinality == Cardinality::Map) {
            return Err(ReadError::new("can't be given as text").within(&name));
        }
        if fields.iter().any(|earlier| conflicts(codec, earlier, &field)) {
            return Err(ReadError::new("given twice").within(&name));
        }
        put_at(codec, &field, &value, out)?;
        fields.push(field);
    }
    // Without duplicates, because each field is looked up in the whole body.
    fields.sort_unstable();
    fields.dedup();
    Ok(fields)
}

/// Returns whether a field is a scalar with explicit presence: `optional`, or a member of a oneof.
fn has_explicit_presence(field: &Field) -> bool {
    field.default_member.is_none() && !matches!(field.kind, Kind::Message(_) | Kind::Group(_))
}

/// Returns whether parameters for both fields conflict.
fn conflicts(codec: &Codec, one: &FieldPath, other: &FieldPath) -> bool {
    let (Some(a), Some(b)) = (last_field(codec, one), last_field(codec, other)) else { return false };
    let are_siblings = one.len() == other.len() && one[..one.len() - 1] == other[..other.len() - 1];
    (one == other && has_explicit_presence(a))
        || (are_siblings && a.oneof.is_some() && a.oneof == b.oneof && one != other)
}

fn put_at(codec: &Codec, path: &[(MessageId, FieldId)], text: &str, out: &mut Vec<u8>) -> Result<()> {
    let Some((&(message, field), rest)) = path.split_first() else { return Ok(()) };
    let field = &codec.message(message).fields[usize::from(field)];
    put_tag(out, field.number, field.kind.wire_type());
    let written = if rest.is_empty() {
        put_text(codec, field.kind, text, out)
    } else {
        put_delimited(out, |out| put_at(codec, rest, text, out))
    };
    written.map_err(|error| error.within(&field.name))
}

/// Returns the field that a path leads to.
fn last_field<'t>(codec: &'t Codec, path: &FieldPath) -> Option<&'t Field> {
    path.last().map(|&(message, field)| &codec.message(message).fields[usize::from(field)])
}

/// Rejects a request that sets a field to different values in `bound` and `other`, or that sets a field with explicit
/// presence in both.
///
/// Otherwise the later value would win, and the client could not tell that its body was overruled. Envoy rejects this
/// too with `reject_binding_body_field_collisions`.
///
/// # Errors
/// The first such field.
pub(crate) fn check_conflicts(codec: &Codec, fields: &[FieldPath], bound: &[u8], other: &[u8]) -> Result<()> {
    let fields = if other.is_empty() { &[] } else { fields };
    for path in fields {
        if last_field(codec, path).is_none_or(|field| field.cardinality != Cardinality::Singular) {
            continue;
        }
        let (Some(given), Some(bound)) = (find_value(codec, path, other), find_value(codec, path, bound)) else {
            continue;
        };
        let only_once = last_field(codec, path).is_some_and(has_explicit_presence);
        if only_once || given != bound {
            let names: Vec<&str> =
                path.iter().map(|&(message, id)| &*codec.message(message).fields[usize::from(id)].name).collect();
            let fault = if given == bound { "given twice" } else { "given twice, with different values" };
            return Err(ReadError::new(fault).within(&names.join(".")));
        }
    }
    Ok(())
}

/// Finds the value of a field in bytes that this module or the JSON reader wrote.
fn find_value<'a>(codec: &Codec, path: &[(MessageId, FieldId)], bytes: &'a [u8]) -> Option<Value<'a>> {
    let (&(message, field), rest) = path.split_first()?;
    let number = codec.message(message).fields[usize::from(field)].number;
    let mut reader = Reader::new(bytes);
    let mut found = None;
    while let Ok(Some((seen, value))) = reader.field() {
        if seen != number {
            continue;
        }
        match value {
            Value::Bytes(inner) if !rest.is_empty() => found = find_value(codec, rest, inner).or(found),
            value => found = Some(value),
        }
    }
    found
}
