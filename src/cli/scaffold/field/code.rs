//! The code of a field, by its kind, as the templates insert it.

use serde::Serialize;

use super::{Field, Kind};
use crate::cli::scaffold::name::{camel, lower_camel, upper};

/// The code of a kind. `VALUE` stands for an expression with the value, `NAME` for the field, and `PATH` for its path in
/// errors, `TYPE` for the type in the model. An expression with `?` may fail.
struct Code {
    /// The type in the contract, and its rules. A message has no rules.
    proto: String,
    rules: Vec<String>,
    is_message: bool,
    /// The type in the model.
    rust: String,
    /// Reads the value of the contract, and renders it.
    parse: &'static str,
    render: &'static str,
    /// The column: its type in SQL, in diesel and in the row, and its check.
    column: [&'static str; 3],
    check: String,
    write: &'static str,
    read: String,
    /// Two values, as JSON.
    examples: [String; 2],
}

impl Code {
    /// Returns the code of a kind whose type is the same in the contract, the model and the row.
    fn plain(proto: &str, rust: &'static str, sql: &'static str, schema: &'static str) -> Self {
        Self {
            proto: proto.to_owned(),
            rules: Vec::new(),
            is_message: false,
            rust: rust.to_owned(),
            parse: "VALUE",
            render: "VALUE",
            column: [sql, schema, rust],
            check: String::new(),
            write: "VALUE",
            read: "VALUE".to_owned(),
            examples: Default::default(),
        }
    }

    fn rules(self, rules: &[&str], check: &str) -> Self {
        let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
        Self { rules, check: check.to_owned(), ..self }
    }

    fn convert(self, parse: &'static str, render: &'static str) -> Self {
        Self { parse, render, ..self }
    }

    fn message(self) -> Self {
        Self { is_message: true, ..self }
    }

    fn examples(self, first: impl ToString, second: impl ToString) -> Self {
        Self { examples: [first.to_string(), second.to_string()], ..self }
    }

    fn of(field: &Field, resource: &str, plural: &str) -> Self {
        const UUID: &str = "(buf.validate.field).string.uuid = true";
        const LINE: &str = "(mainstay.policy.v1.is_line) = true";
        match &field.kind {
            Kind::String => Self::plain("string", "String", "text", "Text")
                .rules(
                    &["(buf.validate.field).string = {\n  min_len: 1\n  max_len: 100\n}", LINE],
                    "char_length(NAME) BETWEEN 1 AND 100",
                )
                .examples("\"First\"", "\"Second\""),
            Kind::Text => Self::plain("string", "String", "text", "Text")
                .rules(
                    &["(buf.validate.field).string = {\n  min_len: 1\n  max_len: 10000\n}"],
                    "char_length(NAME) BETWEEN 1 AND 10000",
                )
                .examples(r#""First\nline""#, r#""Second\nline""#),
            Kind::Int => Self::plain("int64", "i64", "bigint", "BigInt")
                .rules(
                    &["(buf.validate.field).int64 = {\n  gte: -1000000000\n  lte: 1000000000\n}"],
                    "NAME BETWEEN -1000000000 AND 1000000000",
                )
                .examples("\"1\"", "\"-2\""),
            Kind::Bool => Self::plain("bool", "bool", "boolean", "Bool").examples(true, false),
            Kind::Date => Self::plain("google.type.Date", "NaiveDate", "date", "Date")
                .message()
                .convert("parse::date(VALUE, PATH)?", "render::date(VALUE)")
                .examples(
                    r#"{ "year": 2027, "month": 1, "day": 31 }"#,
                    r#"{ "year": 2028, "month": 2, "day": 29 }"#,
                ),
            Kind::Timestamp => {
                Self::plain("google.protobuf.Timestamp", "DateTime<Utc>", "timestamptz", "Timestamptz")
                    .message()
                    .convert("parse::time(VALUE, PATH)?", "render::time(VALUE)")
                    .examples("\"2027-01-31T12:00:00Z\"", "\"2028-02-29T23:59:59.500Z\"")
            }
            Kind::Money => Self::plain("mainstay.common.v1.Money", "Money", "", "")
                .message()
                .convert("parse::price(&VALUE, PATH)?", "render::money(VALUE)")
                .examples(
                    r#"{ "amountMinor": "1999", "currencyCode": "EUR" }"#,
                    r#"{ "amountMinor": "500", "currencyCode": "JPY" }"#,
                ),
            Kind::Uuid => Self::plain("string", "Uuid", "uuid", "Uuid")
                .rules(&[UUID], "")
                .convert(
                    "Uuid::parse_str(&VALUE).map_err(|_| Error::field(PATH, \"must be a UUID\"))?",
                    "VALUE.to_string()",
                )
                .examples(
                    "\"0197c3d2-4e1f-7a60-b2c9-5f8e7d6c3b14\"",
                    "\"0197c3d9-8b20-7d14-9a57-1c2e3f405162\"",
                ),
            Kind::Strings => Self::plain("repeated string", "Vec<String>", "text[]", "Array<Text>")
                .rules(
                    &[
                        "(buf.validate.field).repeated = {\n  max_items: 20\n  unique: true\n  items: {\n    string: {\n      \
                         min_len: 1\n      max_len: 100\n    }\n  }\n}",
                        LINE,
                    ],
                    "cardinality(NAME) <= 20",
                )
                .examples("[\"first\", \"second\"]", "[\"third\"]"),
            Kind::Ref(target) => {
                let id = Self::plain("string", "", "uuid", "Uuid").rules(&[UUID], "").examples(
                    format!("crate::{}::create(caller).await[\"id\"]", target.plural),
                    format!("crate::{}::create(caller).await[\"id\"]", target.plural),
                );
                Self { rust: target.id.clone(), ..id.convert("TYPE::parse(&VALUE)?", "VALUE.to_string()") }
            }
            Kind::Enum(values) => {
                let name = format!("{}{}", camel(resource), camel(&field.name));
                let prefix = format!("{}_{}", upper(resource), upper(&field.name));
                let rule = "(buf.validate.field).enum = {\n  defined_only: true\n  not_in: [0]\n}";
                let (first, last) = (values.first().map_or("", String::as_str), values.last().map_or("", String::as_str));
                let code = Self::plain(&name, "i16", "smallint", "SmallInt")
                    .rules(&[rule], &format!("NAME BETWEEN 1 AND {}", values.len()))
                    .convert(
                        "TYPE::from_number(VALUE).ok_or_else(|| Error::field(PATH, \"is not a known value\"))?",
                        "VALUE.number().into()",
                    )
                    .examples(format!("\"{prefix}_{}\"", upper(first)), format!("\"{prefix}_{}\"", upper(last)));
                let read = format!(
                    "TYPE::from_number(VALUE.into()).ok_or_else(|| corrupt(\"{plural}\", id, \"{}\"))?",
                    field.name
                );
                Self { rust: name, write: "VALUE.number()", read, ..code }
            }
        }
    }
}

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
    is_list: bool,
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
        let (is_list, is_message) = (matches!(self.kind, Kind::Strings), code.is_message);
        let is_required = !is_optional && !is_list;
        let path_of_patch = format!("\"{}.{json}\"", lower_camel(resource));
        let filled = |text: &str, path: &str| text.replace("TYPE", &code.rust).replace("PATH", path);
        let convert = |text: &str, value: &str, path: &str| {
            let text = filled(text, path);
            if is_optional { of_option(&text, value, &name) } else { text.replace("VALUE", value) }
        };
        let sent = if is_message && is_required { format!("{name}.unwrap_or_default()") } else { name.clone() };
        let changed = match (is_list, is_optional) {
            (true, _) => format!("std::mem::take(&mut message.{name})"),
            (_, true) => format!("message.{name}.take()"),
            (_, false) => format!("message.{name}.take().ok_or_else(|| cleared(\"{json}\"))?"),
        };
        let rendered = if is_optional || is_list {
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
        let has_label = !is_list && !is_message;
        let [first, second] = code.examples.clone();
        FieldCode {
            kind: self.kind.name(),
            summary: self.summary(),
            is_optional,
            is_list,
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
