//! Responses survive Envoy's JSON writer, which crashes on a map entry whose key or value prost left out.

use std::collections::BTreeSet;

use prost_reflect::{Kind, MessageDescriptor};

use crate::support::methods;

fn look(message: &MessageDescriptor, seen: &mut BTreeSet<String>, faults: &mut Vec<String>) {
    if !seen.insert(message.full_name().to_owned()) {
        return;
    }
    for field in message.fields() {
        let Kind::Message(inner) = field.kind() else { continue };
        let forbidden = ["google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"];
        if field.is_map() || forbidden.contains(&inner.full_name()) {
            faults.push(field.full_name().to_owned());
        }
        look(&inner, seen, faults);
    }
}

#[test]
fn no_response_contains_a_map_or_a_struct() {
    let (mut seen, mut faults) = (BTreeSet::new(), Vec::new());
    for method in methods() {
        look(&method.descriptor.output(), &mut seen, &mut faults);
    }
    assert!(seen.len() > 20, "nothing was checked");
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn every_response_has_its_resource_in_data() {
    for method in methods() {
        let output = method.descriptor.output();
        let has_data = output.get_field_by_name("data").is_some();
        let says_nothing = output.fields().len() == 0;
        assert!(has_data != says_nothing, "{}: {} has neither data nor nothing", method.name, output.full_name());
        let bodiless = method.success.iter().all(|success| success.status.as_u16() == 204);
        assert_eq!(bodiless, says_nothing, "{}: 204 goes with nothing to say", method.name);
    }
}
