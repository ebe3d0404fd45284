//! Turns `buf.validate` rules into checks on the generated types.
//!
//! Each message that is compiled here gets a `Validate` implementation with typed access to its fields, so a valid
//! request causes no lookups and no allocations. A rule that can't be compiled fails the build, with the name of its
//! field. `docs/validation.md` lists the rules and their messages.

mod cel;
mod choices;
mod kinds;
mod paths;
mod rules;

use std::collections::BTreeSet;

use prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use crate::{Error, names, packages::Packages};
use rules::{Check, Element, Rules};

/// The types of Google whose validation is part of the kernel.
const KNOWN: [&str; 8] = [
    "google.protobuf.Duration",
    "google.protobuf.ListValue",
    "google.protobuf.Struct",
    "google.protobuf.Timestamp",
    "google.protobuf.Value",
    "google.type.Date",
    "google.type.Money",
    "google.type.TimeOfDay",
];

/// The file of the descriptors that rules in CEL need.
pub(crate) const CEL_FILE: &str = "cel.binpb";

/// Generates the Rust source of one `Validate` implementation per message of the generated packages.
///
/// `validation_path` is the Rust path of `Validate`, `Path`, `Violations`, `cel`, `check` and `text`. The second result are
/// the descriptors that the source includes as [`CEL_FILE`]; empty if there are no rules in CEL.
pub(crate) fn generate(
    pool: &DescriptorPool,
    packages: &Packages,
    generated: &BTreeSet<String>,
    validation_path: &str,
) -> Result<(String, Vec<u8>), Error> {
    let generator = Generator { packages, generated };
    let (mut implementations, mut evaluated) = (String::new(), Vec::new());
    for message in pool.all_messages().filter(|message| generator.is_own(message)) {
        let implementation = generator.implementation(&message)?;
        if implementation.contains(cel::RULES) {
            evaluated.push(message);
        }
        implementations += &implementation;
    }
    if implementations.is_empty() {
        return Ok((implementations, Vec::new()));
    }
    let used = |module: &str| implementations.contains(&format!("{module}::")).then(|| format!(", {module}"));
    let modules: String = ["check", "text"].into_iter().filter_map(used).collect();
    let (modules, pool, descriptors) = match evaluated.is_empty() {
        true => (modules, String::new(), Vec::new()),
        false => (format!("{modules}, cel"), cel::pool(CEL_FILE), cel::descriptors(&evaluated)),
    };
    // A separate block, so that the file can be included anywhere.
    let source = format!(
        "const _: () = {{\nuse {validation_path}::{{Path, Validate, Violations{modules}}};\n\n{pool}{implementations}}};\n"
    );
    Ok((source, descriptors))
}

struct Generator<'a> {
    packages: &'a Packages,
    generated: &'a BTreeSet<String>,
}

/// A field and its rules.
type Ruled = (FieldDescriptor, Rules);

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
        is_known(message) || compiled && self.packages.is_validated(package)
    }

    /// Generates the implementation for one message.
    fn implementation(&self, message: &MessageDescriptor) -> Result<String, Error> {
        let of_message = |fault| Error::new(format!("{}: {fault}", message.full_name()));
        let (alternatives, expressions) = choices::of_message(message).map_err(of_message)?;
        let fields = message.fields().map(|field| {
            let is_alternative = alternatives.iter().any(|choice| choice.fields.contains(&field));
            let rules = Rules::read(&field, is_alternative);
            let rules = rules.map_err(|fault| Error::new(format!("{}: {fault}", field.full_name())))?;
            Ok((field, rules))
        });
        let fields = fields.collect::<Result<Vec<Ruled>, Error>>()?;
        let mut body: String = fields.iter().map(|(field, rules)| self.statements(message, field, rules)).collect();
        for choice in &alternatives {
            body += &choice.statements(|field| self.is_set(message, field));
        }
        body += &choices::of_oneofs(message).map_err(of_message)?;
        let of_whole = expressions.iter().map(|rule| rule.entry(cel::Part::Message(message), false));
        let mut entries = of_whole.collect::<Result<Vec<_>, _>>().map_err(of_message)?;
        for (field, rules) in &fields {
            let parts = [
                (&rules.whole, cel::Part::Field(field)),
                (&rules.items, cel::Part::Items(field)),
                (&rules.keys, cel::Part::Keys(field)),
            ];
            for (element, part) in parts {
                let of_element = element.cel.iter().map(|rule| rule.entry(part, element.condition.is_some()));
                let of_element = of_element.collect::<Result<Vec<_>, _>>();
                entries.extend(of_element.map_err(|fault| Error::new(format!("{}: {fault}", field.full_name())))?);
            }
        }
        body += &cel::statement(message, &entries);
        let (path, violations) = if body.is_empty() { ("_", "_") } else { ("path", "violations") };
        let normalize = self.normalization(message, &fields);
        let message = paths::message(message, self.packages);
        let signature = format!("fn validate(&self, {path}: &Path<'_>, {violations}: &mut Violations)");
        Ok(format!("impl Validate for {message} {{\n    {signature} {{\n{body}    }}\n{normalize}}}\n\n"))
    }

    /// Generates the method that normalizes the texts of a message; empty if it has none.
    fn normalization(&self, message: &MessageDescriptor, fields: &[Ruled]) -> String {
        let mut body = String::new();
        for (field, rules) in fields {
            let name = names::snake(field.name());
            if let Some(function) = rules.keys.normalization {
                body += &format!("        text::normalize_keys(&mut self.{name}, text::{function});\n");
            }
            let (kind, element) = match () {
                () if field.is_map() => (rules::entry(field).1, &rules.items),
                () if field.is_list() => (field.kind(), &rules.items),
                () => (field.kind(), &rules.whole),
            };
            let statement = match (kind, element.normalization) {
                (Kind::Message(inner), _) if !is_known(&inner) && self.is_validated(&inner) => {
                    "value.normalize();".to_owned()
                }
                (_, Some(function)) => format!("text::{function}(value);"),
                _ => continue,
            };
            let source = if field.is_map() {
                format!("for value in self.{name}.values_mut() {{ {statement} }}")
            } else if field.is_list() {
                format!("for value in &mut self.{name} {{ {statement} }}")
            } else if let Some((oneof, member)) = self.member(message, field) {
                format!("if let Some({member}(value)) = &mut self.{oneof} {{ {statement} }}")
            } else if is_option(field) {
                format!("if let Some(value) = &mut self.{name} {{ {statement} }}")
            } else {
                format!("{{ let value = &mut self.{name}; {statement} }}")
            };
            body += &format!("        {source}\n");
        }
        match body.is_empty() {
            true => body,
            false => format!("    fn normalize(&mut self) {{\n{body}    }}\n"),
        }
    }

    /// Returns the identifier of the oneof that a field belongs to, and the path of its variant.
    fn member(&self, message: &MessageDescriptor, field: &FieldDescriptor) -> Option<(String, String)> {
        let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic())?;
        let member = format!("{}::{}", paths::oneof(message, &oneof, self.packages), names::camel(field.name()));
        Some((names::snake(oneof.name()), member))
    }

    /// Returns the expression for whether a field is set; without presence, whether it is not zero.
    fn is_set(&self, message: &MessageDescriptor, field: &FieldDescriptor) -> String {
        let name = names::snake(field.name());
        if let Some((oneof, member)) = self.member(message, field) {
            return format!("matches!(&self.{oneof}, Some({member}(_)))");
        }
        match field.kind() {
            _ if field.is_list() || field.is_map() => format!("!self.{name}.is_empty()"),
            _ if is_option(field) => format!("self.{name}.is_some()"),
            _ if field.supports_presence() => "true".to_owned(),
            Kind::String | Kind::Bytes => format!("!self.{name}.is_empty()"),
            Kind::Bool => format!("self.{name}"),
            Kind::Float | Kind::Double => format!("(self.{name}.to_bits() != 0)"),
            _ => format!("(self.{name} != 0)"),
        }
    }

    /// Generates the statements that check one field; empty if there is nothing to check.
    fn statements(&self, message: &MessageDescriptor, field: &FieldDescriptor, rules: &Rules) -> String {
        let (name, path) = (names::snake(field.name()), at(field));
        if field.is_map() {
            return self.map(field, rules);
        }
        if field.is_list() {
            let items = self.value(&field.kind(), &rules.items, &format!("{path}.item(index)"));
            let each = format!("        for (index, value) in self.{name}.iter().enumerate() {{\n{items}        }}\n");
            return bound(&name, &whole(&path, &rules.whole)) + if items.is_empty() { "" } else { &each };
        }
        let inner = self.value(&field.kind(), &rules.whole, &path);
        let (pattern, is_unset) = match self.member(message, field) {
            Some((oneof, member)) => (
                format!("Some({member}(value)) = &self.{oneof}"),
                format!("!matches!(&self.{oneof}, Some({member}(_)))"),
            ),
            None if is_option(field) => (format!("Some(value) = &self.{name}"), format!("self.{name}.is_none()")),
            None => return bound(&name, &inner),
        };
        let mut source = String::new();
        if !inner.is_empty() {
            source += &format!("        if let {pattern} {{\n{inner}        }}\n");
        }
        if rules.required {
            source += &record(&path, &[Check::new(is_unset, "is required")]);
        }
        source
    }

    /// Generates the checks of the map itself, then of each key and value.
    fn map(&self, field: &FieldDescriptor, rules: &Rules) -> String {
        let (name, path) = (names::snake(field.name()), at(field));
        let (key, value) = rules::entry(field);
        let keys = self.value(&key, &rules.keys, "path");
        let values = self.value(&value, &rules.items, "path");
        let mut source = bound(&name, &whole(&path, &rules.whole));
        let enter = format!("            let path = {path};\n            let path = path.key(key);\n");
        let keys = if keys.is_empty() {
            keys
        } else {
            format!("            {{\n            let value = key;\n{keys}            }}\n")
        };
        if !values.is_empty() {
            source += &format!("        for (key, value) in &self.{name} {{\n{enter}{keys}{values}        }}\n");
        } else if !keys.is_empty() {
            source += &format!("        for key in self.{name}.keys() {{\n{enter}{keys}        }}\n");
        }
        source
    }

    /// Generates the checks of a value bound to `value`: those of its rules, and those of its message.
    fn value(&self, kind: &Kind, element: &Element, path: &str) -> String {
        let mut source = String::new();
        if let Kind::Message(message) = kind
            && !element.is_ignored
            && self.is_validated(message)
        {
            source += &format!("            value.validate(&{path}, violations);\n");
        }
        source + &whole(path, element)
    }
}

/// Returns whether the kernel validates a message of Google.
fn is_known(message: &MessageDescriptor) -> bool {
    KNOWN.contains(&message.full_name())
}

/// Returns whether the type of a field is an `Option`.
fn is_option(field: &FieldDescriptor) -> bool {
    field.supports_presence() && field.cardinality() != Cardinality::Required
}

fn at(field: &FieldDescriptor) -> String {
    format!("path.field({:?})", field.json_name())
}

/// Binds a field to `value`, unless there is nothing to check.
fn bound(name: &str, checks: &str) -> String {
    if checks.is_empty() {
        return String::new();
    }
    format!("        {{\n            let value = &self.{name};\n{checks}        }}\n")
}

/// Generates the checks of an element, unless its value is a zero to which they do not apply.
fn whole(path: &str, element: &Element) -> String {
    let checks = record(path, &element.checks);
    match element.condition {
        Some(condition) if !checks.is_empty() => format!("            if {condition} {{\n{checks}            }}\n"),
        _ => checks,
    }
}

/// Generates code that records only the first failed check, because a form shows one message per field.
fn record(path: &str, checks: &[Check]) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let (mut items, mut branches) = (String::new(), String::new());
    for check in checks {
        if !check.item.is_empty() {
            items += &format!("            {}\n", check.item);
        }
        branches += &format!("if {} {{ Some({:?}) }} else ", check.fault, check.message);
    }
    format!("{items}            violations.check(&{path}, {branches}{{ None }});\n")
}
