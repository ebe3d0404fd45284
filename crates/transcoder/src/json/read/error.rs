//! The reasons why JSON is not a message.

/// The maximum number of characters of a name that an error repeats.
const MAX_NAME_CHARS: usize = 100;

/// JSON that can't be converted to the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default())]
pub struct ReadError {
    /// The position, as the client spells it: `items[2].unitPrice`. `None` means the whole document.
    pub field: Option<String>,
    /// A description of the fault that may be shown to the client.
    pub message: String,
}

impl ReadError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { field: None, message: message.into() }
    }

    /// Prepends the name of the enclosing member. Called while the error propagates outwards, so that a valid document
    /// has no overhead.
    pub(crate) fn within(mut self, name: &str) -> Self {
        // The name may be a key chosen by the client; the response need not echo a megabyte of it.
        let name = name.char_indices().nth(MAX_NAME_CHARS).map_or(name, |(end, _)| &name[..end]);
        self.field = Some(match self.field {
            None => name.to_owned(),
            Some(inner) if inner.starts_with('[') => format!("{name}{inner}"),
            Some(inner) => format!("{name}.{inner}"),
        });
        self
    }

    /// Prepends the index of the enclosing array element.
    pub(crate) fn within_index(mut self, index: usize) -> Self {
        self.field = Some(match self.field {
            None => format!("[{index}]"),
            Some(inner) if inner.starts_with('[') => format!("[{index}]{inner}"),
            Some(inner) => format!("[{index}].{inner}"),
        });
        self
    }
}
