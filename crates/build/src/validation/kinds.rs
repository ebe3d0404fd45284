//! The kinds of the values of fields.

use prost_reflect::Kind;

/// Returns the kind of the Rust value: for a wrapper such as `google.protobuf.StringValue`, that of the wrapped value.
pub(crate) fn scalar_kind(kind: &Kind) -> Kind {
    match kind {
        Kind::Message(message) if is_wrapper(message.full_name()) => {
            message.get_field(1).map_or_else(|| kind.clone(), |wrapped| wrapped.kind())
        }
        _ => kind.clone(),
    }
}

fn is_wrapper(name: &str) -> bool {
    let name = name.strip_prefix("google.protobuf.").and_then(|name| name.strip_suffix("Value"));
    name.is_some_and(|name| {
        ["Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64"].contains(&name)
    })
}
