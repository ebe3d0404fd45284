//! The descriptors that the evaluation of rules needs: the files of the messages that have rules in CEL, and of the types
//! of their fields, without comments, options and services.

use std::collections::BTreeMap;

use prost_reflect::{
    FileDescriptor, Kind, MessageDescriptor,
    prost::Message as _,
    prost_types::{FileDescriptorProto, FileDescriptorSet},
};

/// Returns the encoded files of these messages and of the types that they use.
pub(crate) fn descriptors(messages: &[MessageDescriptor]) -> Vec<u8> {
    let mut files = BTreeMap::new();
    let mut next: Vec<_> = messages.iter().map(MessageDescriptor::parent_file).collect();
    while let Some(file) = next.pop() {
        if files.contains_key(file.name()) {
            continue;
        }
        let used = used_files(&file);
        let proto = FileDescriptorProto {
            dependency: used.keys().cloned().collect(),
            public_dependency: Vec::new(),
            weak_dependency: Vec::new(),
            extension: Vec::new(),
            service: Vec::new(),
            source_code_info: None,
            ..file.file_descriptor_proto().clone()
        };
        files.insert(file.name().to_owned(), proto);
        next.extend(used.into_values());
    }
    FileDescriptorSet { file: files.into_values().collect() }.encode_to_vec()
}

/// Returns the other files that declare the types of a file's fields.
fn used_files(file: &FileDescriptor) -> BTreeMap<String, FileDescriptor> {
    let mut messages: Vec<_> = file.messages().collect();
    let mut used = BTreeMap::new();
    while let Some(message) = messages.pop() {
        for field in message.fields() {
            let declared = match field.kind() {
                Kind::Message(message) => message.parent_file(),
                Kind::Enum(values) => values.parent_file(),
                _ => continue,
            };
            if declared != *file {
                used.insert(declared.name().to_owned(), declared);
            }
        }
        messages.extend(message.child_messages());
    }
    used
}
