//! The code of each kind of field.

use super::{Field, Kind, Target};
use crate::cli::scaffold::name::{camel, upper};

const LINE: &str = "(mainstay.policy.v1.is_line) = true";
const SHORT: &str = "(buf.validate.field).string = {\n  min_len: 1\n  max_len: 100\n}";
const LONG: &str = "(buf.validate.field).string = {\n  min_len: 1\n  max_len: 10000\n}";
const UUID: &str = "(buf.validate.field).string.uuid = true";
const INT: &str = "(buf.validate.field).int64 = {\n  gte: -1000000000\n  lte: 1000000000\n}";
const ENUM: &str = "(buf.validate.field).enum = {\n  defined_only: true\n  not_in: [0]\n}";
const LIST: &str = "(buf.validate.field).repeated = {
  max_items: 20
  unique: true
  items: {
    string: {
      min_len: 1
      max_len: 100
    }
  }
}";
const MAP: &str = "(buf.validate.field).map = {
  max_pairs: 20
  keys: {
    string: {
      min_len: 1
      max_len: 100
    }
  }
  values: {string: {max_len: 100}}
}";

/// The code of a kind. `VALUE` stands for an expression with the value, `NAME` for the field, and `PATH` for its path in
/// errors, `TYPE` for the type in the model. An expression with `?` may fail.
pub(super) struct Code {
    /// The type in the contract, and its rules. A message has no rules.
    pub(super) proto: String,
    pub(super) rules: Vec<String>,
    pub(super) is_message: bool,
    /// The type in the model.
    pub(super) rust: String,
    /// Reads the value of the contract, and renders it.
    pub(super) parse: &'static str,
    pub(super) render: &'static str,
    /// The column: its type in SQL, in diesel and in the row, and its check.
    pub(super) column: [&'static str; 3],
    pub(super) check: String,
    pub(super) write: &'static str,
    pub(super) read: String,
    /// Two values, as JSON.
    pub(super) examples: [String; 2],
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

    /// Returns the code of a field of a resource.
    pub(super) fn of(field: &Field, resource: &str, plural: &str) -> Self {
        match &field.kind {
            Kind::String => Self::plain("string", "String", "text", "Text")
                .rules(&[SHORT, LINE], "char_length(NAME) BETWEEN 1 AND 100")
                .examples("\"First\"", "\"Second\""),
            Kind::Text => Self::plain("string", "String", "text", "Text")
                .rules(&[LONG], "char_length(NAME) BETWEEN 1 AND 10000")
                .examples(r#""First\nline""#, r#""Second\nline""#),
            Kind::Strings => Self::plain("repeated string", "Vec<String>", "text[]", "Array<Text>")
                .rules(&[LIST, LINE], "cardinality(NAME) <= 20")
                .examples("[\"first\", \"second\"]", "[\"third\"]"),
            Kind::Map => Self::of_map(&field.name, plural),
            Kind::Int => Self::plain("int64", "i64", "bigint", "BigInt")
                .rules(&[INT], "NAME BETWEEN -1000000000 AND 1000000000")
                .examples("\"1\"", "\"-2\""),
            Kind::Bool => Self::plain("bool", "bool", "boolean", "Bool").examples(true, false),
            Kind::Date => Self::plain("google.type.Date", "NaiveDate", "date", "Date")
                .message()
                .convert("parse::date(VALUE, PATH)?", "render::date(VALUE)")
                .examples(r#"{ "year": 2027, "month": 1, "day": 31 }"#, r#"{ "year": 2028, "month": 2, "day": 29 }"#),
            Kind::Timestamp => Self::plain("google.protobuf.Timestamp", "DateTime<Utc>", "timestamptz", "Timestamptz")
                .message()
                .convert("parse::time(VALUE, PATH)?", "render::time(VALUE)")
                .examples("\"2027-01-31T12:00:00Z\"", "\"2028-02-29T23:59:59.500Z\""),
            // Its two columns are special.
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
                .examples("\"0197c3d2-4e1f-7a60-b2c9-5f8e7d6c3b14\"", "\"0197c3d9-8b20-7d14-9a57-1c2e3f405162\""),
            Kind::Ref(target) => Self::of_reference(target),
            Kind::Enum(values) => Self::of_enum(&field.name, values, resource, plural),
        }
    }

    fn of_reference(target: &Target) -> Self {
        let create = format!("crate::{}::create(caller).await[\"id\"]", target.plural);
        let code = Self::plain("string", "", "uuid", "Uuid")
            .rules(&[UUID], "")
            .convert("TYPE::parse(&VALUE)?", "VALUE.to_string()")
            .examples(&create, &create);
        Self { rust: target.id.clone(), ..code }
    }

    fn of_map(field: &str, plural: &str) -> Self {
        let code = Self::plain("map<string, string>", "BTreeMap<String, String>", "jsonb", "Jsonb")
            .rules(&[MAP], "jsonb_typeof(NAME) = 'object'")
            .examples(r#"{ "first": "1" }"#, r#"{ "second": "2", "third": "" }"#);
        let read = format!("serde_json::from_value(VALUE).map_err(|_| corrupt(\"{plural}\", id, \"{field}\"))?");
        Self { column: ["jsonb", "Jsonb", "serde_json::Value"], write: "VALUE.into_iter().collect()", read, ..code }
    }

    fn of_enum(field: &str, values: &[String], resource: &str, plural: &str) -> Self {
        let name = format!("{}{}", camel(resource), camel(field));
        let example = |value: Option<&String>| {
            format!("\"{}_{}_{}\"", upper(resource), upper(field), upper(value.map_or("", String::as_str)))
        };
        let code = Self::plain(&name, "i16", "smallint", "SmallInt")
            .rules(&[ENUM], &format!("NAME BETWEEN 1 AND {}", values.len()))
            .convert(
                "TYPE::from_number(VALUE).ok_or_else(|| Error::field(PATH, \"is not a known value\"))?",
                "VALUE.number().into()",
            )
            .examples(example(values.first()), example(values.last()));
        let read = format!("TYPE::from_number(VALUE.into()).ok_or_else(|| corrupt(\"{plural}\", id, \"{field}\"))?");
        Self { rust: name, write: "VALUE.number()", read, ..code }
    }
}
