//! Conflicts: fields that a request sets more than once, where one value would silently override another.

use super::{FieldPath, Result, Step, spell};
use crate::json::{Cardinality, Codec, Field, Kind, ReadError, replaces_earlier};
use crate::wire::{Reader, Value};

const TWICE: &str = "given twice";
const ONEOF: &str = "only one member of its oneof may be given";

/// The bytes of a query parameter: their start and their end.
type Span = (usize, usize);

/// Rejects query parameters that conflict; each is given with its bytes. Returns the fields, deduplicated, and the bytes
/// that a later text of the same message replaces.
///
/// In sorted order, conflicting paths are adjacent, or a path between them conflicts too. So only neighbors are
/// compared, and the work is linear after sorting.
///
/// # Errors
/// A second value for a scalar with explicit presence or for another member of a oneof; a field inside a message that
/// is given as text.
pub(super) fn check_parameters(
    codec: &Codec,
    mut parameters: Vec<(FieldPath, Span)>,
) -> Result<(Vec<FieldPath>, Vec<Span>)> {
    parameters.sort_unstable();
    let mut replaced = Vec::new();
    for pair in parameters.windows(2) {
        if let Some(fault) = fault(codec, &pair[0].0, &pair[1].0) {
            let later = if pair[0].1 > pair[1].1 { &pair[0].0 } else { &pair[1].0 };
            return Err(ReadError::new(fault).within(&spell(codec, later)));
        }
        let field = pair[0].0.last().filter(|_| pair[0].0 == pair[1].0).map(|step| step.field(codec));
        if field.is_some_and(|f| f.cardinality == Cardinality::Singular && replaces_earlier(codec, f.kind)) {
            replaced.push(pair[0].1);
        }
    }
    parameters.dedup_by(|one, other| one.0 == other.0);
    Ok((parameters.into_iter().map(|(path, _)| path).collect(), replaced))
}

/// Returns the reason why parameters for both fields conflict; `None` if they do not.
fn fault(codec: &Codec, one: &FieldPath, other: &FieldPath) -> Option<&'static str> {
    let common = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    match (one.get(common), other.get(common)) {
        (None, None) => one.last().is_some_and(|step| has_explicit_presence(step.field(codec))).then_some(TWICE),
        (Some(a), Some(b)) => (a.oneof.is_some() && a.oneof == b.oneof).then_some(ONEOF),
        // One parameter is a message as text, the other a field of it.
        _ => Some(TWICE),
    }
}

/// Returns whether a field is a scalar with explicit presence: `optional`, or a member of a oneof.
fn has_explicit_presence(field: &Field) -> bool {
    field.default_member.is_none() && !matches!(field.kind, Kind::Message(_) | Kind::Group(_))
}

/// Rejects a request that sets a field to different values in `bound` and `other`, that sets a field with explicit
/// presence in both, or that sets one member of a oneof in `bound` and another in `other`.
///
/// Otherwise the later value would win, and the client could not tell that its body was overridden. Envoy rejects this
/// too with `reject_binding_body_field_collisions`.
///
/// # Errors
/// The first such field.
pub(crate) fn check_conflicts(codec: &Codec, fields: &[FieldPath], bound: &[u8], other: &[u8]) -> Result<()> {
    let fields = if other.is_empty() { &[] } else { fields };
    for path in fields {
        let Some(last) = path.last().map(|step| step.field(codec)) else { continue };
        let refusal = |fault: &str| Err(ReadError::new(fault).within(&spell(codec, path)));
        let Ok(value) = find_value(codec, path, other) else { return refusal(ONEOF) };
        let bound = find_value(codec, path, bound).unwrap_or_default();
        match value.zip(bound) {
            Some(_) if last.cardinality != Cardinality::Singular => {}
            Some((value, bound)) if value != bound => return refusal("given twice, with different values"),
            Some(_) if has_explicit_presence(last) => return refusal(TWICE),
            _ => {}
        }
    }
    Ok(())
}

/// Another member of a oneof on the path.
struct Rival;

/// Finds the value of a field in bytes that this module or the JSON reader wrote.
fn find_value<'a>(codec: &Codec, path: &[Step], bytes: &'a [u8]) -> std::result::Result<Option<Value<'a>>, Rival> {
    let Some((step, rest)) = path.split_first() else { return Ok(None) };
    let (message, number) = (codec.message(step.message), step.field(codec).number);
    let mut reader = Reader::new(bytes);
    let mut last = None;
    while let Ok(Some((current, value))) = reader.field() {
        if current != number {
            let oneof = step.oneof.and_then(|_| message.fields[usize::from(message.by_number(current)?)].oneof);
            if oneof.is_some() && oneof == step.oneof {
                return Err(Rival);
            }
            continue;
        }
        match value {
            Value::Bytes(inner) | Value::Group(inner) if !rest.is_empty() => {
                last = find_value(codec, rest, inner)?.or(last);
            }
            value => last = Some(value),
        }
    }
    Ok(last)
}
