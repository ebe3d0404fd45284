//! The kinds of strings, which differ in their normalization.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};

const LINE: &str = "mainstay.policy.v1.is_line";
const CODE: &str = "mainstay.policy.v1.is_code";
const VERBATIM: &str = "mainstay.policy.v1.is_verbatim";

/// The kind of a string.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// Any text, which is normalized.
    Plain,
    /// A text of one line.
    Line,
    /// A code that a person types.
    Code,
    /// Bytes that happen to be UTF-8.
    Verbatim,
}

impl Text {
    pub(super) fn of(field: &FieldDescriptor) -> Result<Self, String> {
        let options = field.options();
        let marked = |name| {
            let extension = field.parent_pool().get_extension_by_name(name);
            extension.is_some_and(|extension| matches!(*options.get_extension(&extension), Value::Bool(true)))
        };
        // Google's standard option for values that must not be shown.
        let is_secret = options.get_field_by_name("debug_redact").is_some_and(|value| *value == Value::Bool(true));
        match (marked(LINE), marked(CODE), marked(VERBATIM)) {
            (true, false, false) if !is_secret => Ok(Self::Line),
            (false, true, false) => Ok(Self::Code),
            (false, false, true) => Ok(Self::Verbatim),
            (false, false, false) if is_secret => Ok(Self::Verbatim),
            (false, false, false) => Ok(Self::Plain),
            _ => Err("a line or a code is normalized, and can't be verbatim or of another kind".to_owned()),
        }
    }

    /// Returns the function that normalizes a value with these rules.
    pub(super) fn normalization(self, kind: &Kind, typed: Option<&(String, DynamicMessage)>) -> Option<&'static str> {
        let has = |is: &dyn Fn(&str) -> bool| {
            let rules = typed.filter(|(name, _)| name == "string").map(|(_, raw)| raw);
            rules.is_some_and(|raw| raw.fields().any(|(rule, _)| is(rule.name())))
        };
        match self {
            _ if *kind != Kind::String => None,
            Self::Verbatim => None,
            Self::Code => Some("normalize_code"),
            _ if has(&|rule| rule == "email") => Some("normalize_email"),
            _ if has(&is_format) => None,
            Self::Line => Some("normalize_line"),
            Self::Plain => Some("normalize"),
        }
    }
}

/// Returns whether a rule demands a format. All formats are ASCII, and normalization must not turn other text into a
/// valid value, except for addresses, which have a normalization. The allowed values of a contract are compared as sent.
pub(super) fn is_format(rule: &str) -> bool {
    const OF_ANY_TEXT: [&str; 12] = [
        "len",
        "min_len",
        "max_len",
        "len_bytes",
        "min_bytes",
        "max_bytes",
        "prefix",
        "suffix",
        "contains",
        "not_contains",
        "not_in",
        "example",
    ];
    !OF_ANY_TEXT.contains(&rule)
}
