//! The comments of the `.proto` files, which supply the descriptions in the document.

use std::{collections::HashMap, sync::LazyLock};

use prost_reflect::{
    EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
};

use crate::contract;

/// Maps a file and a path in it, as in `SourceCodeInfo`, to the leading comment there.
static COMMENTS: LazyLock<HashMap<(String, Vec<i32>), String>> = LazyLock::new(|| {
    let mut comments = HashMap::new();
    for file in contract::current().descriptors.file_descriptor_protos() {
        for location in file.source_code_info.iter().flat_map(|info| &info.location) {
            if let Some(text) = &location.leading_comments {
                comments.insert((file.name().to_owned(), location.path.clone()), reflow(text));
            }
        }
    }
    comments
});

/// A descriptor that can have a comment.
pub(crate) trait Commented {
    /// Returns the comment on one line; empty if there is none.
    fn comment(&self) -> &'static str;
}

macro_rules! commented {
    ($($descriptor:ty),*) => {$(
        impl Commented for $descriptor {
            fn comment(&self) -> &'static str {
                find(&self.parent_file(), self.path())
            }
        }
    )*};
}

commented!(EnumDescriptor, FieldDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor);

/// Describes an enum and each of its values in Markdown, because clients see the values by name.
pub(crate) fn enumeration(values: &EnumDescriptor, is_shown: impl Fn(i32) -> bool) -> String {
    let file = values.parent_file();
    let mut text = values.comment().to_owned();
    for value in values.values().filter(|value| is_shown(value.number())) {
        text += &format!("\n- `{}`: {}", value.name(), find(&file, value.path()));
    }
    text
}

fn find(file: &FileDescriptor, path: &[i32]) -> &'static str {
    COMMENTS.get(&(file.name().to_owned(), path.to_vec())).map_or("", String::as_str)
}

/// Joins lines that were wrapped in the source file.
fn reflow(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Returns the first sentence without its full stop.
pub(crate) fn summary(text: &str) -> &str {
    let end = text.match_indices('.').map(|(at, _)| at).find(|&at| {
        let rest = &text[at + 1..];
        rest.is_empty() || rest.strip_prefix(' ').is_some_and(|next| next.starts_with(char::is_uppercase))
    });
    end.map_or(text, |end| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_the_first_sentence() {
        assert_eq!(summary("Returns a ticket. More."), "Returns a ticket");
        assert_eq!(summary("BCP 47; e.g. en. More"), "BCP 47; e.g. en");
        assert_eq!(summary("No stop"), "No stop");
    }
}
