//! Turns `buf.validate` rules into checks on the generated types.
//!
//! One `Validate` implementation per message of the contract, with typed access to its fields: a valid request needs no
//! look-up and no allocation. A rule that can't be compiled fails the build and names its field.

#[path = "validation/names.rs"]
mod names;
#[path = "validation/rules.rs"]
mod rules;

use std::{error::Error, fmt::Write};

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use rules::{Check, Rules};

const CONTRACT: &str = "mainstay.";
const TIMESTAMP: &str = "google.protobuf.Timestamp";

/// Generates the Rust source of one `Validate` implementation per message.
pub(crate) fn generate(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let mut source = String::new();
    for message in pool.all_messages().filter(|message| message.full_name().starts_with(CONTRACT)) {
        let mut body = String::new();
        for field in message.fields() {
            body += &statements(&message, &field).map_err(|fault| format!("{}: {fault}", field.full_name()))?;
        }
        let (path, violations) = if body.is_empty() { ("_", "_") } else { ("path", "violations") };
        write!(
            source,
            "impl Validate for {} {{\n    fn validate(&self, {path}: &Path<'_>, {violations}: &mut Violations) {{\n{body}    }}\n}}\n\n",
            names::message(&message),
        )?;
    }
    Ok(source)
}

/// Generates the statements that check one field; empty if there is nothing to check.
fn statements(message: &MessageDescriptor, field: &FieldDescriptor) -> Result<String, String> {
    if field.is_map() {
        return Err("maps have no place in the contract".to_owned());
    }
    let rules = Rules::read(field)?;
    if field.is_list() {
        return Ok(list(field, &rules));
    }
    let name = names::field(field);
    let inner = value(field, &rules);
    if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
        if rules.required {
            return Err("a member of a oneof can't be required".to_owned());
        }
        let member = format!("{}::{}", names::oneof(message, &oneof), names::variant(field));
        let pattern = format!("Some({member}(value)) = &self.{}", names::oneof_field(&oneof));
        return Ok(inner.map_or_else(String::new, |inner| format!("        if let {pattern} {{\n{inner}        }}\n")));
    }
    if !field.supports_presence() {
        return Ok(inner.map_or_else(String::new, |inner| {
            format!("        {{\n            let value = &self.{name};\n{inner}        }}\n")
        }));
    }
    let mut source = String::new();
    if let Some(inner) = inner {
        source += &format!("        if let Some(value) = &self.{name} {{\n{inner}        }}\n");
    }
    if rules.required {
        let check = Check::new(format!("self.{name}.is_none()"), "is required");
        source += &record(&at(field), &[check]);
    }
    Ok(source)
}

/// Generates the checks of the list itself, then of each item.
fn list(field: &FieldDescriptor, rules: &Rules) -> String {
    let name = names::field(field);
    let mut source = String::new();
    if !rules.checks.is_empty() {
        source += "        {\n";
        source += &format!("            let value = &self.{name};\n");
        source += &record(&at(field), &rules.checks);
        source += "        }\n";
    }
    let item = format!("{}.item(index)", at(field));
    let inner = if let Kind::Message(message) = field.kind() {
        descend(&message, &item)
    } else if rules.items.is_empty() {
        None
    } else {
        Some(record(&item, &rules.items))
    };
    if let Some(inner) = inner {
        source += &format!("        for (index, value) in self.{name}.iter().enumerate() {{\n{inner}        }}\n");
    }
    source
}

/// Generates the checks of a value bound to `value`.
fn value(field: &FieldDescriptor, rules: &Rules) -> Option<String> {
    match field.kind() {
        Kind::Message(message) => descend(&message, &at(field)),
        _ if rules.checks.is_empty() => None,
        _ => Some(record(&at(field), &rules.checks)),
    }
}

/// Descends into a message, if it has checks.
fn descend(message: &MessageDescriptor, path: &str) -> Option<String> {
    let checked = message.full_name().starts_with(CONTRACT) || message.full_name() == TIMESTAMP;
    checked.then(|| format!("            value.validate(&{path}, violations);\n"))
}

fn at(field: &FieldDescriptor) -> String {
    format!("path.field({:?})", field.json_name())
}

/// Generates code that records the first failed check: a form can show one message per field.
fn record(path: &str, checks: &[Check]) -> String {
    let mut branches = String::new();
    for check in checks {
        branches += &format!("if {} {{ Some({:?}) }} else ", check.fault, check.message);
    }
    format!("            violations.check(&{path}, {branches}{{ None }});\n")
}
