//! The code of a field, as the templates insert it.

use serde::Serialize;

use super::{Field, Kind, kinds::Code};
use crate::cli::scaffold::name::{camel, lower_camel, upper};

/// A column of the table.
#[derive(Debug, Clone, Serialize)]
pub(in crate::cli::scaffold) struct Column {
    pub(in crate::cli::scaffold) name: String,
    sql: &'static str,
    schema: &'static str,
    rust: String,
    check: String,
    references: Option<String>,
    is_optional: bool,
    /// Sets the column of a row from the model.
    write: String,
}

impl Column {
    /// Returns whether the column may lead to a person, by its name: the kernel demands a declaration for each of these.
    pub(in crate::cli::scaffold) fn is_personal(&self) -> bool {
        const OWNERS: [&str; 10] =
            ["user", "account", "author", "assignee", "requester", "owner", "actor", "principal", "customer", "person"];
        match self.name.split('_').collect::<Vec<_>>()[..] {
            [.., owner, "id"] => OWNERS.contains(&owner),
            [_, .., "by"] | [.., "email" | "address" | "phone"] => true,
            _ => false,
        }
    }
}

/// A value of an enum, in words, in the contract and in Rust.
#[derive(Debug, Serialize)]
struct Variant {
    words: String,
    name: String,
    proto: String,
    rust: String,
}

/// A field, as the templates insert it.
#[derive(Debug, Serialize)]
pub(in crate::cli::scaffold) struct FieldCode {
    name: String,
    json: String,
    kind: &'static str,
    summary: String,
    pub(in crate::cli::scaffold) is_optional: bool,
    pub(in crate::cli::scaffold) is_output: bool,
    /// The value of a new resource, if the server sets it.
    initial: String,
    /// The value in the response after it was cleared.
    cleared: &'static str,
    /// Whether it can't be cleared.
    pub(in crate::cli::scaffold) is_required: bool,
    /// Whether a request without it is refused.
    pub(in crate::cli::scaffold) is_checked: bool,
    pub(in crate::cli::scaffold) reference: Option<super::Target>,
    variants: Vec<Variant>,
    proto_prefix: String,
    proto: String,
    label: &'static str,
    label_of_create: &'static str,
    rules: String,
    rules_of_create: String,
    /// The type in the model, without and with its optionality.
    rust: String,
    value: String,
    /// Expressions that set the field: of the model from a row, of the message, of the new values; and of the patch.
    read: String,
    render: String,
    pub(in crate::cli::scaffold) create: String,
    pub(in crate::cli::scaffold) patch: String,
    first: String,
    second: String,
    #[serde(skip)]
    pub(in crate::cli::scaffold) columns: Vec<Column>,
}

impl Field {
    /// Returns the code of the field in a resource.
    pub(in crate::cli::scaffold) fn code(&self, resource: &str, plural: &str) -> FieldCode {
        let code = Code::of(self, resource, plural);
        let (name, json, is_optional) = (self.name.clone(), lower_camel(&self.name), self.is_optional);
        let (is_collection, is_message) = (self.kind.is_collection(), code.is_message);
        let is_required = !is_optional && !is_collection;
        let path_of_patch = format!("\"{}.{json}\"", lower_camel(resource));
        let filled = |text: &str, path: &str| text.replace("TYPE", &code.rust).replace("PATH", path);
        let convert = |text: &str, value: &str, path: &str| {
            let text = filled(text, path);
            if is_optional { of_option(&text, value, &name) } else { text.replace("VALUE", value) }
        };
        let sent = if is_message && is_required { format!("{name}.unwrap_or_default()") } else { name.clone() };
        let changed = match (is_collection, is_optional) {
            (true, _) => format!("std::mem::take(&mut message.{name})"),
            (_, true) => format!("message.{name}.take()"),
            (_, false) => format!("message.{name}.take().ok_or_else(|| cleared(\"{json}\"))?"),
        };
        let rendered = if is_optional || is_collection {
            convert(code.render, &name, "")
        } else {
            format!("Some({})", convert(code.render, &name, ""))
        };
        let read = match self.kind {
            Kind::Money if is_optional => format!(
                "{name}: {name}_minor.zip({name}_currency).map(|(minor, currency)| Money::from_columns(minor, \
                 &currency)).transpose()?"
            ),
            Kind::Money => format!("{name}: Money::from_columns({name}_minor, &{name}_currency)?"),
            _ => set(&name, convert(&code.read, &name, "")),
        };
        let mut rules_of_create = code.rules.clone();
        if is_message && is_required {
            rules_of_create.push("(buf.validate.field).required = true".to_owned());
        }
        let has_label = !is_collection && !is_message;
        let [first, second] = code.examples.clone();
        FieldCode {
            kind: self.kind.name(),
            summary: self.summary(),
            is_optional,
            is_output: self.is_output,
            initial: match &self.kind {
                _ if is_optional => "None".to_owned(),
                Kind::Int => "0".to_owned(),
                Kind::Bool => "false".to_owned(),
                Kind::Enum(values) => format!("{}::{}", code.rust, camel(values.first().map_or("", String::as_str))),
                _ => "Default::default()".to_owned(),
            },
            cleared: match self.kind {
                Kind::Strings => "json!([])",
                Kind::Map => "json!({})",
                _ => "Value::Null",
            },
            is_required,
            is_checked: is_required && !matches!(self.kind, Kind::Int | Kind::Bool),
            reference: self.target().cloned(),
            variants: self.variants(),
            proto_prefix: format!("{}_{}", upper(resource), upper(&name)),
            label: if has_label { "optional " } else { "" },
            label_of_create: if has_label && is_optional { "optional " } else { "" },
            rules: options(&code.rules),
            rules_of_create: options(&rules_of_create),
            value: if is_optional { format!("Option<{}>", code.rust) } else { code.rust.clone() },
            read,
            render: set(&name, rendered),
            create: set(&name, convert(code.parse, &sent, &format!("\"{json}\""))),
            patch: convert(code.parse, &changed, &path_of_patch),
            first: if is_optional { "null".to_owned() } else { first },
            second,
            columns: self.columns(&code),
            proto: code.proto,
            rust: code.rust,
            name,
            json,
        }
    }

    fn variants(&self) -> Vec<Variant> {
        let Kind::Enum(values) = &self.kind else { return Vec::new() };
        let variant = |value: &String| Variant {
            words: crate::cli::scaffold::name::capital(&value.replace('_', " ")),
            name: value.replace('_', " "),
            proto: upper(value),
            rust: camel(value),
        };
        values.iter().map(variant).collect()
    }

    fn columns(&self, code: &Code) -> Vec<Column> {
        let (name, is_optional) = (&self.name, self.is_optional);
        let column = |suffix: &str, [sql, schema, rust]: [&'static str; 3], check: &str, write: &str| {
            let write = if is_optional { of_option(write, name, name) } else { write.replace("VALUE", name) };
            let name = format!("{name}{suffix}");
            let rust = if rust.is_empty() { code.rust.clone() } else { rust.to_owned() };
            let references = self.target().map(|target| target.plural.clone());
            let (check, write) = (check.replace("NAME", &name), set(&name, write));
            Column { name, sql, schema, rust, check, references, is_optional, write }
        };
        match self.kind {
            Kind::Money => {
                let currency = "VALUE.currency().code().to_owned()";
                vec![
                    column("_minor", ["bigint", "BigInt", "i64"], "NAME > 0", "VALUE.minor()"),
                    column("_currency", ["text", "Text", "String"], "char_length(NAME) = 3", currency),
                ]
            }
            _ => vec![column("", code.column, &code.check, code.write)],
        }
    }
}

/// Returns the initialization of a field of a struct.
fn set(name: &str, value: String) -> String {
    if name == value { value } else { format!("{name}: {value}") }
}

/// Returns an expression for an optional value.
fn of_option(text: &str, value: &str, name: &str) -> String {
    if text == "VALUE" {
        return value.to_owned();
    }
    if let Some(function) = text.strip_suffix("(VALUE)") {
        return format!("{value}.map({function})");
    }
    match text.strip_suffix('?') {
        Some(fallible) => format!("{value}.map(|{name}| {}).transpose()?", fallible.replace("VALUE", name)),
        None => format!("{value}.map(|{name}| {})", text.replace("VALUE", name)),
    }
}

/// Returns the options of a field in a `.proto` file.
fn options(rules: &[String]) -> String {
    let indented = |rule: &String, by: &str| rule.replace('\n', &format!("\n{by}"));
    match rules {
        [] => String::new(),
        [rule] => format!(" [{}]", indented(rule, "  ")),
        rules => {
            let rules: Vec<_> = rules.iter().map(|rule| format!("\n    {}", indented(rule, "    "))).collect();
            format!(" [{}\n  ]", rules.join(","))
        }
    }
}
