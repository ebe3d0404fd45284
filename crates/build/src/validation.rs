//! Turns `buf.validate` rules into checks on the generated types.
//!
//! Each message that is compiled here gets a `Validate` implementation with typed access to its fields, so a valid
//! request causes no lookups and no allocations. A rule that can't be compiled fails the build, with the name of its
//! field.

mod paths;
mod rules;

use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use crate::{Error, names, packages::Packages};
use rules::{Check, Rules};

const TIMESTAMP: &str = "google.protobuf.Timestamp";

/// Generates the Rust source of one `Validate` implementation per message of the generated packages.
///
/// `validation_path` is the Rust path of `Validate`, `Path`, `Violations`, `check` and `text`.
pub(crate) fn generate(
    pool: &DescriptorPool,
    packages: &Packages,
    generated: &BTreeSet<String>,
    validation_path: &str,
) -> Result<String, Error> {
    let generator = Generator { packages, generated };
    let mut implementations = String::new();
    for message in pool.all_messages().filter(|message| generator.is_own(message)) {
        implementations += &generator.implementation(&message)?;
    }
    if implementations.is_empty() {
        return Ok(implementations);
    }
    let used = |module: &str| implementations.contains(&format!("{module}::")).then(|| format!(", {module}"));
    let modules: String = ["check", "text"].into_iter().filter_map(used).collect();
    // A separate block, so that the file can be included anywhere.
    Ok(format!(
        "const _: () = {{\nuse {validation_path}::{{Path, Validate, Violations{modules}}};\n\n{implementations}}};\n"
    ))
}

struct Generator<'a> {
    packages: &'a Packages,
    generated: &'a BTreeSet<String>,
}

impl Generator<'_> {
    /// Returns whether this crate implements `Validate` for a message.
    fn is_own(&self, message: &MessageDescriptor) -> bool {
        let package = message.package_name();
        self.generated.contains(package) && self.packages.is_validated(package) && !message.is_map_entry()
    }

    /// Returns whether a message implements `Validate`, here or in another crate.
    fn is_validated(&self, message: &MessageDescriptor) -> bool {
        let package = message.package_name();
        let compiled = self.generated.contains(package) || self.packages.is_extern(package);
        message.full_name() == TIMESTAMP || compiled && self.packages.is_validated(package)
    }

    /// Generates the implementation for one message.
    fn implementation(&self, message: &MessageDescriptor) -> Result<String, Error> {
        let mut body = String::new();
        for field in message.fields() {
            let statements = self.statements(message, &field);
            body += &statements.map_err(|fault| Error::new(format!("{}: {fault}", field.full_name())))?;
        }
        let (path, violations) = if body.is_empty() { ("_", "_") } else { ("path", "violations") };
        let normalize = self.normalization(message)?;
        let message = paths::message(message, self.packages);
        let signature = format!("fn validate(&self, {path}: &Path<'_>, {violations}: &mut Violations)");
        Ok(format!("impl Validate for {message} {{\n    {signature} {{\n{body}    }}\n{normalize}}}\n\n"))
    }

    /// Generates the method that normalizes the texts of a message; empty if it has none.
    fn normalization(&self, message: &MessageDescriptor) -> Result<String, Error> {
        let mut body = String::new();
        for field in message.fields().filter(|field| !field.is_map()) {
            let rules = Rules::read(&field).map_err(|fault| Error::new(format!("{}: {fault}", field.full_name())))?;
            let statement = match (field.kind(), rules.normalization) {
                (Kind::Message(inner), _) if inner.full_name() != TIMESTAMP && self.is_validated(&inner) => {
                    "value.normalize();".to_owned()
                }
                (_, Some(function)) => format!("text::{function}(value);"),
                _ => continue,
            };
            let name = names::field(&field);
            let source = if field.is_list() {
                format!("for value in &mut self.{name} {{ {statement} }}")
            } else if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
                let member = format!("{}::{}", paths::oneof(message, &oneof, self.packages), names::variant(&field));
                format!("if let Some({member}(value)) = &mut self.{} {{ {statement} }}", names::oneof_field(&oneof))
            } else if field.supports_presence() {
                format!("if let Some(value) = &mut self.{name} {{ {statement} }}")
            } else {
                format!("{{ let value = &mut self.{name}; {statement} }}")
            };
            body += &format!("        {source}\n");
        }
        Ok(match body.is_empty() {
            true => body,
            false => format!("    fn normalize(&mut self) {{\n{body}    }}\n"),
        })
    }

    /// Generates the statements that check one field; empty if there is nothing to check.
    fn statements(&self, message: &MessageDescriptor, field: &FieldDescriptor) -> Result<String, String> {
        if field.is_map() {
            return Err("maps can't be checked; use a repeated message".to_owned());
        }
        let rules = Rules::read(field)?;
        if field.is_list() {
            return Ok(self.list(field, &rules));
        }
        let name = names::field(field);
        let inner = self.value(field, &rules);
        if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
            if rules.required {
                return Err("a member of a oneof can't be required".to_owned());
            }
            let member = format!("{}::{}", paths::oneof(message, &oneof, self.packages), names::variant(field));
            let pattern = format!("Some({member}(value)) = &self.{}", names::oneof_field(&oneof));
            return Ok(
                inner.map_or_else(String::new, |inner| format!("        if let {pattern} {{\n{inner}        }}\n"))
            );
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
    fn list(&self, field: &FieldDescriptor, rules: &Rules) -> String {
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
            self.descend(&message, &item)
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
    fn value(&self, field: &FieldDescriptor, rules: &Rules) -> Option<String> {
        match field.kind() {
            Kind::Message(message) => self.descend(&message, &at(field)),
            _ if rules.checks.is_empty() => None,
            _ => Some(record(&at(field), &rules.checks)),
        }
    }

    /// Descends into a message, if it has checks.
    fn descend(&self, message: &MessageDescriptor, path: &str) -> Option<String> {
        self.is_validated(message).then(|| format!("            value.validate(&{path}, violations);\n"))
    }
}

fn at(field: &FieldDescriptor) -> String {
    format!("path.field({:?})", field.json_name())
}

/// Generates code that records only the first failed check, because a form shows one message per field.
fn record(path: &str, checks: &[Check]) -> String {
    let (mut items, mut branches) = (String::new(), String::new());
    for check in checks {
        if !check.item.is_empty() {
            items += &format!("            {}\n", check.item);
        }
        branches += &format!("if {} {{ Some({:?}) }} else ", check.fault, check.message);
    }
    format!("{items}            violations.check(&{path}, {branches}{{ None }});\n")
}
