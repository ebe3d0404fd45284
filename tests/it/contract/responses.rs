//! Rules for response messages. They have no maps, because Envoy's JSON writer crashes on a map entry whose key or
//! value prost omitted. The result of a method is in `data`.

use std::collections::BTreeSet;

use prost_reflect::{Kind, MessageDescriptor};

use crate::support::methods;

fn find_maps(message: &MessageDescriptor, names: &mut BTreeSet<String>, faults: &mut Vec<String>) {
    if !names.insert(message.full_name().to_owned()) {
        return;
    }
    for field in message.fields() {
        let Kind::Message(inner) = field.kind() else { continue };
        let forbidden = ["google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"];
        if field.is_map() || forbidden.contains(&inner.full_name()) {
            faults.push(field.full_name().to_owned());
        }
        find_maps(&inner, names, faults);
    }
}

#[test]
fn no_response_contains_a_map_or_a_struct() {
    let (mut names, mut faults) = (BTreeSet::new(), Vec::new());
    for method in methods() {
        find_maps(&method.descriptor.output(), &mut names, &mut faults);
    }
    assert!(names.len() > 20, "nothing was checked");
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn every_response_has_its_resource_in_data() {
    for method in methods() {
        let output = method.descriptor.output();
        // The body of another protocol, such as SCIM, is sent as it is.
        let has_data = ["data", "body"].iter().any(|name| output.get_field_by_name(name).is_some());
        let is_empty = output.fields().len() == 0;
        assert!(has_data != is_empty, "{}: {} must have data or no field at all", method.name, output.full_name());
        let has_no_body = method.success.iter().all(|success| success.status.as_u16() == 204);
        assert_eq!(has_no_body, is_empty, "{}: a response without fields is a 204", method.name);
    }
}
