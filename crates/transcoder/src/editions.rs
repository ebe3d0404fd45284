//! Descriptor sets with files that `prost_reflect` can't read: files of a protobuf edition, and files with field names
//! that it treats as equal, though protobuf's compilers accept them.
//!
//! An edition's features all exist in proto2 or proto3, so a file is rewritten as one of them: explicit presence is
//! `optional`, implicit presence is that of proto3, a delimited message is a group. A file may mix features that only
//! proto3 has (implicit presence) with features that only proto2 has (a closed enum that does not begin at zero). Then
//! it becomes proto2, and its fields with implicit presence are marked: see [`has_presence`].
//!
//! Source: <https://protobuf.dev/editions/features/>.

mod json_names;

use std::collections::HashSet;

use prost::Message as _;
use prost_reflect::{DescriptorError, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, Value};

/// A descriptor set that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorSetError {
    /// The set is broken or incomplete.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// The syntax or edition of a file is unknown to this version.
    #[error("{file} is neither proto2 nor proto3, nor of edition 2023 or 2024")]
    UnknownSyntax {
        /// The file's name.
        file: String,
    },
}

/// Decodes a `FileDescriptorSet` of proto2, proto3, and edition 2023 and 2024 files.
///
/// This function replaces [`DescriptorPool::decode`], which panics if the syntax of a file is unknown. In the pool, a
/// file of an edition appears as the equivalent proto2 or proto3 file. If there is none, because some fields have
/// implicit presence and an enum does not begin at zero, the file appears as proto2, and its fields with implicit
/// presence have an explicit `proto3_optional = false`, which the [`Codec`](crate::json::Codec) respects.
///
/// Of several fields of a message with one JSON name, the field whose proto name equals it keeps the name, else the
/// first field. The others use their proto names as JSON names, and a warning is logged with [`tracing`].
///
/// # Errors
/// An error if the set is invalid or lacks an import, or if a file has another syntax or edition.
pub fn descriptor_pool(bytes: &[u8]) -> Result<DescriptorPool, DescriptorSetError> {
    let descriptor = DescriptorPool::global().get_message_by_name("google.protobuf.FileDescriptorSet");
    // For any other content, the pool returns the error.
    let Some(Ok(mut set)) = descriptor.map(|descriptor| DynamicMessage::decode(descriptor, bytes)) else {
        return Ok(DescriptorPool::decode(bytes)?);
    };
    let (mut is_rewritten, mut unknown) = (false, None);
    each(&mut set, "file", &mut |file| {
        is_rewritten |= json_names::separate(file);
        let features = match &*text(file, "syntax") {
            "" | "proto2" => return,
            "proto3" if fits_proto3(file, "message_type") => return,
            "proto3" => Features::PROTO3,
            "editions" if EDITIONS.contains(&number(file, "edition")) => Features::EDITION,
            _ => {
                unknown = Some(text(file, "name"));
                return;
            }
        };
        rewrite_file(file, features);
        is_rewritten = true;
    });
    match unknown {
        Some(file) => Err(DescriptorSetError::UnknownSyntax { file }),
        None if is_rewritten => Ok(DescriptorPool::decode(&*set.encode_to_vec())?),
        None => Ok(DescriptorPool::decode(bytes)?),
    }
}

/// Returns whether a field has explicit presence. In a proto2 file that represents one of an edition, a scalar with
/// implicit presence has an explicit `proto3_optional = false`, which no compiler writes.
pub(crate) fn has_presence(field: &FieldDescriptor) -> bool {
    let is_scalar = !matches!(field.kind(), Kind::Message(_)) && field.containing_oneof().is_none();
    let is_marked = is_scalar && field.field_descriptor_proto().proto3_optional == Some(false);
    field.supports_presence() && !is_marked
}

/// `google.protobuf.Edition`: 2023 and 2024, whose defaults are equal for the features used here.
const EDITIONS: [i32; 2] = [1000, 1001];

// `google.protobuf.FeatureSet`.
const IMPLICIT: i32 = 2;
const LEGACY_REQUIRED: i32 = 3;
const PACKED: i32 = 1;
const DELIMITED: i32 = 2;

// `google.protobuf.FieldDescriptorProto`.
const LABEL_REQUIRED: i32 = 2;
const LABEL_REPEATED: i32 = 3;
const TYPE_STRING: i32 = 9;
const TYPE_GROUP: i32 = 10;
const TYPE_MESSAGE: i32 = 11;
const TYPE_BYTES: i32 = 12;

/// The features that decide how a field is encoded.
#[derive(Clone, Copy)]
struct Features {
    presence: i32,
    repeated_encoding: i32,
    message_encoding: i32,
}

impl Features {
    const EDITION: Self = Self { presence: 1, repeated_encoding: PACKED, message_encoding: 1 };
    const PROTO3: Self = Self { presence: IMPLICIT, ..Self::EDITION };

    /// Returns these features with the overrides in an element's options.
    fn of(self, element: &DynamicMessage) -> Self {
        let options = element.get_field_by_name("options").and_then(|options| options.as_message().cloned());
        let features = options.as_ref().and_then(|options| options.get_field_by_name("features"));
        let Some(features) = features.as_deref().and_then(Value::as_message) else { return self };
        let own_or =
            |name: &str, inherited| if features.has_field_by_name(name) { number(features, name) } else { inherited };
        Self {
            presence: own_or("field_presence", self.presence),
            repeated_encoding: own_or("repeated_field_encoding", self.repeated_encoding),
            message_encoding: own_or("message_encoding", self.message_encoding),
        }
    }
}

fn rewrite_file(file: &mut DynamicMessage, inherited: Features) {
    let features = inherited.of(file);
    let mut has_implicit = false;
    each(file, "message_type", &mut |message| has_implicit |= rewrite_message(message, features));
    each(file, "extension", &mut |field| has_implicit |= rewrite_field(field, features, false));
    let syntax = if has_implicit && fits_proto3(file, "message_type") { "proto3" } else { "proto2" };
    file.set_field_by_name("syntax", Value::String(syntax.to_owned()));
    file.clear_field_by_name("edition");
}

/// Returns whether `prost_reflect` accepts a file, or a message with its nested ones, as proto3: enums begin at zero,
/// and the names of fields differ by more than case and underscores.
fn fits_proto3(scope: &mut DynamicMessage, messages: &str) -> bool {
    let mut fits = true;
    each(scope, "enum_type", &mut |kind| {
        let mut first = None;
        each(kind, "value", &mut |value| {
            let number = value.get_field_by_name("number").and_then(|number| number.as_i32());
            first = first.or(number);
        });
        fits &= first == Some(0);
    });
    each(scope, messages, &mut |message| {
        let mut names = HashSet::new();
        each(message, "field", &mut |field| {
            fits &= names.insert(text(field, "name").replace('_', "").to_ascii_lowercase());
        });
        fits &= fits_proto3(message, "nested_type");
    });
    fits
}

/// Rewrites the fields of a message; returns whether one has implicit presence.
fn rewrite_message(message: &mut DynamicMessage, inherited: Features) -> bool {
    let features = inherited.of(message);
    let mut has_implicit = false;
    let mut entries = Vec::new();
    each(message, "nested_type", &mut |nested| {
        if is_map_entry(nested) {
            entries.push(format!(".{}", text(nested, "name")));
        }
        has_implicit |= rewrite_message(nested, features);
    });
    let is_entry = is_map_entry(message);
    each(message, "field", &mut |field| {
        let is_map = entries.iter().any(|entry| text(field, "type_name").ends_with(entry));
        has_implicit |= rewrite_field(field, features, is_map || is_entry);
    });
    each(message, "extension", &mut |field| has_implicit |= rewrite_field(field, features, false));
    has_implicit
}

/// Rewrites a field; returns whether it has implicit presence. `in_map` means that it is a map, or part of an entry.
fn rewrite_field(field: &mut DynamicMessage, inherited: Features, in_map: bool) -> bool {
    let features = inherited.of(field);
    let kind = number(field, "type");
    let is_repeated = number(field, "label") == LABEL_REPEATED;
    if features.presence == LEGACY_REQUIRED && !is_repeated {
        field.set_field_by_name("label", Value::EnumNumber(LABEL_REQUIRED));
    }
    if kind == TYPE_MESSAGE && features.message_encoding == DELIMITED && !in_map {
        field.set_field_by_name("type", Value::EnumNumber(TYPE_GROUP));
    }
    if is_repeated && !matches!(kind, TYPE_STRING | TYPE_GROUP | TYPE_MESSAGE | TYPE_BYTES) {
        let is_packed = Value::Bool(features.repeated_encoding == PACKED);
        if let Some(Value::Message(options)) = field.get_field_by_name_mut("options")
            && !options.has_field_by_name("packed")
        {
            options.set_field_by_name("packed", is_packed);
        }
    }
    // Only singular scalars can have implicit presence.
    let is_singular_scalar =
        !is_repeated && !matches!(kind, TYPE_GROUP | TYPE_MESSAGE) && !field.has_field_by_name("oneof_index");
    if !is_singular_scalar || field.has_field_by_name("extendee") {
        return false;
    }
    field.set_field_by_name("proto3_optional", Value::Bool(features.presence != IMPLICIT));
    features.presence == IMPLICIT
}

fn is_map_entry(message: &DynamicMessage) -> bool {
    let options = message.get_field_by_name("options");
    let options = options.as_deref().and_then(Value::as_message);
    options.and_then(|options| options.get_field_by_name("map_entry")).is_some_and(|value| *value == Value::Bool(true))
}

/// Calls `change` with each message of a repeated field.
fn each(message: &mut DynamicMessage, name: &str, change: &mut dyn FnMut(&mut DynamicMessage)) {
    if let Some(Value::List(elements)) = message.get_field_by_name_mut(name) {
        for element in elements {
            if let Value::Message(element) = element {
                change(element);
            }
        }
    }
}

fn text(message: &DynamicMessage, name: &str) -> String {
    message.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn number(message: &DynamicMessage, name: &str) -> i32 {
    message.get_field_by_name(name).and_then(|value| value.as_enum_number()).unwrap_or_default()
}
