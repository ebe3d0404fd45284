//! Comments of the `.proto` files, which supply the descriptions of the OpenAPI document.

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

/// Returns `Service key` for `ServiceKey`, and `List posts` for `ListPosts`.
pub(crate) fn words(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
            text.push(letter.to_ascii_lowercase());
        } else {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_words() {
        assert_eq!(words("ListPosts"), "List posts");
        assert_eq!(words("GetPostBySlug"), "Get post by slug");
        assert_eq!(words("Ticket"), "Ticket");
    }
}
