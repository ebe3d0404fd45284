//! Field rules: every violation of a request at once, each under its JSON field path.
//!
//! The checks are compiled from `buf.validate` options by `build/validation.rs`. Beyond the written rules no string may
//! hold a NUL character, which Postgres can't store.

/// A message that can name everything that is wrong with it.
pub trait Validate {
    /// Adds what is wrong with the message to `violations`; `path` leads from the request to this message.
    fn validate(&self, path: &mut Path, violations: &mut Violations);
}

/// Where in a request a field stands, in JSON names: `tickets[3].subject`.
#[derive(Debug, Default)]
pub struct Path {
    text: String,
}

/// What is wrong with a request, field by field.
#[derive(Debug, Default)]
pub struct Violations {
    list: Vec<(String, String)>,
}

impl Violations {
    /// Adds one violation; a field keeps its first message.
    pub fn push(&mut self, field: impl Into<String>, message: impl Into<String>) {
        let field = field.into();
        if self.list.iter().all(|(known, _)| *known != field) {
            self.list.push((field, message.into()));
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The violations, in the order of the fields.
    pub fn into_inner(self) -> Vec<(String, String)> {
        self.list
    }
}

impl Path {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
