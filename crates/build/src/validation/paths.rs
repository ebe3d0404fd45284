//! The paths of the types that prost generates.

use prost_reflect::{MessageDescriptor, OneofDescriptor};

use crate::{
    names::{camel, snake},
    packages::Packages,
};

/// Returns the path of a message's type.
pub(crate) fn message(message: &MessageDescriptor, packages: &Packages) -> String {
    format!("{}::{}", scope(message, packages), camel(message.name()))
}

/// Returns the path of a oneof's enum.
pub(crate) fn oneof(message: &MessageDescriptor, oneof: &OneofDescriptor, packages: &Packages) -> String {
    format!("{}::{}::{}", scope(message, packages), snake(message.name()), camel(oneof.name()))
}

fn scope(message: &MessageDescriptor, packages: &Packages) -> String {
    match message.parent_message() {
        Some(parent) => format!("{}::{}", scope(&parent, packages), snake(parent.name())),
        None => packages.rust_path(message.package_name()),
    }
}
