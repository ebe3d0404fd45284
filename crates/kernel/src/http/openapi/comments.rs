//! Comments of the `.proto` files, which supply the descriptions of the OpenAPI document.

use prost_reflect::{
    EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
};

pub(crate) trait Commented {
    /// Returns the comment on one line; empty if there is none.
    fn comment(&self) -> String;
}

macro_rules! commented {
    ($($descriptor:ty),*) => {$(
        impl Commented for $descriptor {
            fn comment(&self) -> String {
                find(&self.parent_file(), self.path())
            }
        }
    )*};
}

commented!(EnumDescriptor, FieldDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor);

/// Describes an enum and each of its values in Markdown, because clients see the values by name.
pub(crate) fn enumeration(values: &EnumDescriptor, is_shown: impl Fn(i32) -> bool) -> String {
    let file = values.parent_file();
    let mut text = values.comment();
    for value in values.values().filter(|value| is_shown(value.number())) {
        text += &format!("\n- `{}`: {}", value.name(), find(&file, value.path()));
    }
    text
}

fn find(file: &FileDescriptor, path: &[i32]) -> String {
    let locations = file.file_descriptor_proto().source_code_info.iter().flat_map(|info| &info.location);
    let comment =
        locations.filter(|location| location.path == path).find_map(|found| found.leading_comments.as_deref());
    comment.map(reflow).unwrap_or_default()
}

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
