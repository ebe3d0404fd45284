//! Path variables and query parameters → wire bytes.
//!
//! On the wire a message is merged by concatenation, so a bound value needs no tree: it is appended, wrapped in its
//! parent messages. The last value wins, and the path comes last. An earlier text of a message is removed.

mod conflicts;
mod system_parameters;

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::json::{Cardinality, Codec, EnumFormat, Field, FieldId, Kind, MessageId, ReadError, put_text, writes_plus};
use crate::template::Template;
use crate::wire::{put_delimited, put_tag};

pub(crate) use conflicts::check_conflicts;

type Result<T> = std::result::Result<T, ReadError>;

/// The path to a field: a field of the request, then a field of that field's message, …
pub(crate) type FieldPath = Vec<Step>;

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step {
    message: MessageId,
    /// The field's oneof. Compared before the field, so that the members of a oneof sort next to each other.
    oneof: Option<u16>,
    field: FieldId,
}

/// The maximum length of a path. A message that contains itself makes paths of any length resolvable, and writing one
/// recurses.
const MAX_PATH_FIELDS: usize = 32;

/// Resolves a dotted path of proto or JSON names through singular messages, at most 32 of them. Well-known types have
/// fields in addition to their text form: `since.seconds` as well as `since`. Paths can't contain extensions.
pub(crate) fn resolve(codec: &Codec, root: MessageId, path: &str) -> Option<FieldPath> {
    let mut steps = FieldPath::new();
    let mut message = Some(root);
    for name in path.split('.') {
        let id = message.filter(|_| steps.len() < MAX_PATH_FIELDS)?;
        let field_id = codec.message(id).by_name(name)?;
        let field = &codec.message(id).fields[usize::from(field_id)];
        if field.is_extension() {
            return None;
        }
        steps.push(Step { message: id, oneof: field.oneof, field: field_id });
        message = match field.kind {
            Kind::Message(next) | Kind::Group(next) if field.cardinality == Cardinality::Singular => Some(next),
            _ => None,
        };
    }
    Some(steps)
}

impl Step {
    /// Returns whether the step leads to this field of the message that it begins at.
    pub(crate) fn is_field(self, id: FieldId) -> bool {
        self.field == id
    }

    fn field(self, codec: &Codec) -> &Field {
        &codec.message(self.message).fields[usize::from(self.field)]
    }
}

/// Returns the path as the client should spell it.
fn spell(codec: &Codec, path: &[Step]) -> String {
    let names: Vec<&str> = path.iter().map(|step| &*step.field(codec).name).collect();
    names.join(".")
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
    for ((_, value), field) in template.capture(path).zip(fields) {
        let value = value.ok_or_else(|| ReadError::new("not valid UTF-8").within(&spell(codec, field)))?;
        put_at(codec, field, &value, out)?;
    }
    Ok(())
}

/// A request's query.
#[derive(Debug, Default)]
pub(crate) struct Query {
    /// The encoded fields.
    pub(crate) bytes: Vec<u8>,
    /// The fields that are set, each once.
    pub(crate) fields: Vec<FieldPath>,
    /// The form of enums in the response, as requested by a system parameter.
    pub(crate) enums: EnumFormat,
}

impl Query {
    /// Reads a query. As in Envoy, parameters without a name or a `=` are ignored, and the last value of a singular
    /// field wins. `+` is a space, except in fields whose text may contain a `+` and never contains a space.
    ///
    /// # Errors
    /// A value that does not fit its field; a second value for a field with explicit presence, or for another member of
    /// its oneof; and, unless `ignores_unknown`, an unknown parameter or an unsupported system parameter. With
    /// `ignores_unknown`, a parameter of a field that is bound elsewhere has no meaning either.
    pub(crate) fn read(
        codec: &Codec,
        root: MessageId,
        query: &str,
        ignores_unknown: bool,
        is_bound: impl Fn(&[Step]) -> bool,
    ) -> Result<Self> {
        let (mut bytes, mut enums, mut parameters) = (Vec::new(), EnumFormat::default(), Vec::new());
        let pairs = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| !name.is_empty());
        for (name, value) in pairs {
            let (name, value) = (with_spaces(name), with_spaces(value));
            let name = percent_decode(&name).decode_utf8_lossy();
            let value = percent_decode(&value).decode_utf8();
            let path = resolve(codec, root, &name).filter(|path| !(ignores_unknown && is_bound(path)));
            let Some(path) = path else {
                let value = value.unwrap_or_default();
                match system_parameters::read(&name, &value, &mut enums) {
                    Ok(true) => continue,
                    _ if ignores_unknown => continue,
                    Ok(false) => {
                        let accepts = |field: &Field| field.has_text_form(codec);
                        return Err(codec.message(root).unknown("query parameter", &name, accepts));
                    }
                    Err(error) => return Err(error),
                }
            };
            let mut value = value.map_err(|_| ReadError::new("not valid UTF-8").within(&name))?;
            if path.last().is_some_and(|step| writes_plus(codec, step.field(codec).kind)) {
                value = value.replace(' ', "+").into();
            }
            if path.last().is_some_and(|step| step.field(codec).cardinality == Cardinality::Map) {
                return Err(ReadError::new("can't be given as text").within(&name));
            }
            let start = bytes.len();
            put_at(codec, &path, &value, &mut bytes)?;
            parameters.push((path, (start, bytes.len())));
        }
        let (fields, replaced) = conflicts::check_parameters(codec, parameters)?;
        Ok(Self { bytes: without(bytes, replaced), fields, enums })
    }
}

/// Removes spans, each from its start to its end.
fn without(bytes: Vec<u8>, mut spans: Vec<(usize, usize)>) -> Vec<u8> {
    if spans.is_empty() {
        return bytes;
    }
    spans.sort_unstable();
    let (mut kept, mut at) = (Vec::with_capacity(bytes.len()), 0);
    for (start, end) in spans {
        kept.extend_from_slice(&bytes[at..start]);
        at = end;
    }
    kept.extend_from_slice(&bytes[at..]);
    kept
}

/// Replaces `+` by a space, as forms write it (WHATWG URL, `application/x-www-form-urlencoded`).
fn with_spaces(text: &str) -> Cow<'_, [u8]> {
    match text.contains('+') {
        true => text.replace('+', " ").into_bytes().into(),
        false => text.as_bytes().into(),
    }
}

fn put_at(codec: &Codec, path: &[Step], text: &str, out: &mut Vec<u8>) -> Result<()> {
    let Some((step, rest)) = path.split_first() else { return Ok(()) };
    let field = step.field(codec);
    put_tag(out, field.number, field.kind.wire_type());
    let result = match field.kind {
        _ if rest.is_empty() => put_text(codec, field.kind, text, out),
        Kind::Group(_) => put_at(codec, rest, text, out).map(|()| put_tag(out, field.number, 4)),
        _ => put_delimited(out, |out| put_at(codec, rest, text, out)),
    };
    result.map_err(|error| error.within(&field.name))
}
