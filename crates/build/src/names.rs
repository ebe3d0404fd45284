//! The names of the code that prost generates.

use heck::{ToLowerCamelCase as _, ToSnakeCase as _, ToUpperCamelCase as _};

const KEYWORDS: [&str; 47] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum",
    "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut",
    "override", "priv", "pub", "ref", "return", "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe",
    "unsized", "use", "virtual", "where", "while", "yield",
];
/// Names that are not even valid as raw identifiers.
const NEVER_IDENTIFIERS: [&str; 6] = ["_", "super", "self", "Self", "extern", "crate"];

/// Returns a name in JSON.
pub(crate) fn json(name: &str) -> String {
    name.to_lower_camel_case()
}

/// Returns the identifier of a field, a oneof or a module.
pub(crate) fn snake(name: &str) -> String {
    escape(name.to_snake_case())
}

/// Returns the identifier of a type, or of a variant of an enum.
pub(crate) fn camel(name: &str) -> String {
    escape(name.to_upper_camel_case())
}

fn escape(name: String) -> String {
    if KEYWORDS.contains(&name.as_str()) {
        format!("r#{name}")
    } else if NEVER_IDENTIFIERS.contains(&name.as_str()) {
        format!("{name}_")
    } else if name.starts_with(|c: char| c.is_numeric()) {
        format!("_{name}")
    } else {
        name
    }
}
