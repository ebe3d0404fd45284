//! The names of the code that prost generates. The contract follows buf's naming rules, so fields are already in snake
//! case and messages in camel case.

use prost_reflect::{FieldDescriptor, MessageDescriptor, OneofDescriptor};

const ROOT: &str = "crate::contract::proto";

const KEYWORDS: [&str; 36] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum",
    "false", "final", "fn", "for", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "override",
    "priv", "pub", "ref", "return", "static", "true", "type", "use", "where",
];

/// Returns the path of a message's type.
pub(super) fn message(message: &MessageDescriptor) -> String {
    format!("{}::{}", scope(message), message.name())
}

/// Returns the identifier of a field.
pub(super) fn field(field: &FieldDescriptor) -> String {
    escape(field.name())
}

/// Returns the identifier of a oneof's field.
pub(super) fn oneof_field(oneof: &OneofDescriptor) -> String {
    escape(oneof.name())
}

/// Returns the path of a oneof's enum.
pub(super) fn oneof(message: &MessageDescriptor, oneof: &OneofDescriptor) -> String {
    format!("{}::{}::{}", scope(message), snake(message.name()), camel(oneof.name()))
}

/// Returns the variant of a oneof's member.
pub(super) fn variant(field: &FieldDescriptor) -> String {
    camel(field.name())
}

fn scope(message: &MessageDescriptor) -> String {
    if let Some(parent) = message.parent_message() {
        return format!("{}::{}", scope(&parent), snake(parent.name()));
    }
    let modules: Vec<_> = message.package_name().split('.').map(escape).collect();
    format!("{ROOT}::{}", modules.join("::"))
}

fn escape(name: &str) -> String {
    if KEYWORDS.contains(&name) { format!("r#{name}") } else { name.to_owned() }
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    escape(&snake)
}

fn camel(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
            first.to_ascii_uppercase() + rest
        })
        .collect()
}
