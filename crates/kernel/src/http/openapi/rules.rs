//! Field rules as JSON Schema. `mainstay-build` compiles the same options into checks.

mod number;

use prost_reflect::FieldDescriptor;
use serde_json::{Map, Value, json};

use crate::contract::{
    Policies,
    policy::{is_marked, option},
    proto::buf::validate::{
        BytesRules, EnumRules, FieldRules, Ignore, MapRules, RepeatedRules, StringRules, field_rules::Type,
        string_rules::WellKnown,
    },
};
pub(crate) use number::{NumberRules, float, int32, int64, uint32, uint64};

/// Strings must not contain NUL.
const WITHOUT_NUL: &str = r"^[^\u0000]*$";

/// Returns the rules of a field; empty if it has none, or if they do not apply.
pub(crate) fn of(field: &FieldDescriptor) -> FieldRules {
    let rules: FieldRules = option(&field.options(), "buf.validate.field").unwrap_or_default();
    if rules.ignore() == Ignore::Always { FieldRules::default() } else { rules }
}

/// Returns whether a request without the field is always rejected.
pub(crate) fn is_required(field: &FieldDescriptor) -> bool {
    let rules = of(field);
    if rules.required() || field.supports_presence() {
        return rules.required();
    }
    if rules.ignore() == Ignore::IfZeroValue {
        return false;
    }
    match rules.r#type {
        Some(Type::String(rules)) => {
            let matches_nothing = |pattern: &String| regex::Regex::new(pattern).is_ok_and(|regex| !regex.is_match(""));
            let is_given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
            rules.min_len() > 0
                || rules.len() > 0
                || rules.min_bytes() > 0
                || rules.len_bytes() > 0
                || rules.well_known.is_some_and(|format| format != WellKnown::UriRef(true))
                || [&rules.r#const, &rules.prefix, &rules.suffix, &rules.contains].into_iter().any(is_given)
                || !rules.r#in.is_empty() && !rules.r#in.contains(&String::new())
                || rules.pattern.as_ref().is_some_and(matches_nothing)
        }
        Some(Type::Bytes(rules)) => rules.min_len() > 0 || rules.len() > 0 || rules.well_known.is_some(),
        Some(Type::Bool(rules)) => rules.r#const(),
        Some(Type::Enum(rules)) => {
            rules.r#const() != 0 || rules.not_in.contains(&0) || !rules.r#in.is_empty() && !rules.r#in.contains(&0)
        }
        Some(Type::Repeated(rules)) => rules.min_items() > 0,
        Some(Type::Map(rules)) => rules.min_pairs() > 0,
        Some(rules) => NumberRules::of(&rules).is_some_and(|rules| !rules.allows(0.0)),
        None => false,
    }
}

/// Returns whether every response has the field, unless a read mask excludes it.
pub(crate) fn is_always_present(field: &FieldDescriptor) -> bool {
    let is_choice = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
    !is_choice && !is_marked(&field.options(), "mainstay.policy.v1.may_be_absent")
}

pub(crate) fn of_items(rules: &RepeatedRules) -> Option<&Type> {
    rules.items.as_ref().and_then(|items| items.r#type.as_ref())
}

pub(crate) fn of_pairs(rules: &MapRules) -> (Option<&Type>, Option<&Type>) {
    fn of(rules: Option<&FieldRules>) -> Option<&Type> {
        rules.and_then(|rules| rules.r#type.as_ref())
    }
    (of(rules.keys.as_deref()), of(rules.values.as_deref()))
}

pub(crate) fn map(rules: &MapRules, schema: &mut Map<String, Value>) {
    put(schema, "minProperties", rules.min_pairs);
    put(schema, "maxProperties", rules.max_pairs);
}

pub(crate) fn violation_message(field: &FieldDescriptor) -> Option<String> {
    let Some(Type::String(rules)) = of(field).r#type else { return None };
    Some(match (rules.well_known, rules.min_len.or(rules.len), rules.max_len.or(rules.len)) {
        (Some(WellKnown::Uuid(true)), _, _) => "must be a UUID".to_owned(),
        (Some(WellKnown::Email(true)), _, _) => "must be an e-mail address".to_owned(),
        (_, Some(least), Some(most)) if least == most => format!("must be exactly {least} characters"),
        (_, Some(least), Some(most)) => format!("must be {least} to {most} characters"),
        (_, None, Some(most)) => format!("must be at most {most} characters"),
        _ => return None,
    })
}

pub(crate) fn list(rules: &RepeatedRules, schema: &mut Map<String, Value>) {
    put(schema, "minItems", rules.min_items);
    put(schema, "maxItems", rules.max_items);
    if rules.unique() {
        schema.insert("uniqueItems".to_owned(), true.into());
    }
}

fn format(well_known: WellKnown) -> Option<&'static str> {
    Some(match well_known {
        WellKnown::Email(true) => "email",
        WellKnown::Uuid(true) => "uuid",
        WellKnown::Hostname(true) => "hostname",
        WellKnown::Ipv4(true) => "ipv4",
        WellKnown::Ipv6(true) => "ipv6",
        WellKnown::Uri(true) => "uri",
        WellKnown::UriRef(true) => "uri-reference",
        _ => return None,
    })
}

pub(crate) fn string(rules: Option<&StringRules>, redacted: bool) -> Map<String, Value> {
    let mut schema = object(json!({ "type": "string" }));
    let format = rules.and_then(|rules| rules.well_known).and_then(format);
    if let Some(format) = format {
        schema.insert("format".to_owned(), format.into());
    } else if redacted {
        schema.insert("format".to_owned(), "password".into());
    }
    let Some(rules) = rules else {
        schema.insert("pattern".to_owned(), WITHOUT_NUL.into());
        return schema;
    };
    let quoted = |text: &Option<String>, before: &str, after: &str| {
        text.as_ref().map(|text| format!("{before}{}{after}", escape(text)))
    };
    let patterns = [
        rules.pattern.clone(),
        quoted(&rules.prefix, "^", ""),
        quoted(&rules.suffix, "", "$"),
        quoted(&rules.contains, "", ""),
    ];
    let mut patterns: Vec<_> = patterns.into_iter().flatten().collect();
    if patterns.is_empty() && format.is_none() {
        patterns.push(WITHOUT_NUL.to_owned());
    }
    match <[String; 1]>::try_from(patterns) {
        Ok([pattern]) => drop(schema.insert("pattern".to_owned(), pattern.into())),
        Err(patterns) if patterns.is_empty() => {}
        Err(patterns) => {
            let all = patterns.into_iter().map(|pattern| json!({ "pattern": pattern }));
            schema.insert("allOf".to_owned(), all.collect());
        }
    }
    if let Some(exact) = &rules.r#const {
        schema.insert("const".to_owned(), exact.as_str().into());
    }
    if !rules.r#in.is_empty() {
        schema.insert("enum".to_owned(), rules.r#in.clone().into());
    }
    let mut invalid: Vec<_> =
        quoted(&rules.not_contains, "", "").map(|pattern| json!({ "pattern": pattern })).into_iter().collect();
    if !rules.not_in.is_empty() {
        invalid.push(json!({ "enum": rules.not_in }));
    }
    if !invalid.is_empty() {
        schema.insert("not".to_owned(), json!({ "anyOf": invalid }));
    }
    put(&mut schema, "minLength", rules.min_len.or(rules.len));
    put(&mut schema, "maxLength", rules.max_len.or(rules.len));
    schema
}

/// Escapes a text for a regular expression of ECMA-262.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |escaped, c| match c {
        '.' | '^' | '$' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '\\' | '/' => {
            escaped + "\\" + c.encode_utf8(&mut [0; 4])
        }
        _ => escaped + c.encode_utf8(&mut [0; 4]),
    })
}

/// Returns the schema of a field whose rules do not apply to its zero value.
pub(crate) fn or_zero(schema: Map<String, Value>, zero: &Value) -> Map<String, Value> {
    let mut schema = schema;
    let description = schema.remove("description");
    let mut either = object(json!({ "anyOf": [{ "const": zero }, schema] }));
    either.extend(description.map(|text| ("description".to_owned(), text)));
    either
}

/// Returns the schema of a string field in a request that holds a declared name: a scope or an event kind.
pub(super) fn declared_names(policies: &Policies, field: &FieldDescriptor) -> Option<Map<String, Value>> {
    if is_marked(&field.options(), "mainstay.policy.v1.is_scope") {
        return Some(names(policies.scopes().map(|scope| (scope.name.as_str(), scope.summary.as_str()))));
    }
    let is_event = is_marked(&field.options(), "mainstay.policy.v1.is_event");
    is_event.then(|| names(policies.events().map(|event| (event.name.as_str(), event.summary.as_str()))))
}

fn names<'a>(declared: impl Iterator<Item = (&'a str, &'a str)>) -> Map<String, Value> {
    let (mut names, mut text) = (Vec::new(), "One of these.".to_owned());
    for (name, summary) in declared {
        names.push(name);
        text += &format!("\n- `{name}`: {summary}");
    }
    object(json!({ "type": "string", "description": text, "enum": names }))
}

/// Returns the schema of bytes in a request. JSON Schema can't bound the decoded length, so the description states it.
pub(crate) fn bytes(rules: Option<&BytesRules>) -> Map<String, Value> {
    let mut schema = object(json!({ "type": "string", "contentEncoding": "base64" }));
    let bounds = rules.map(|rules| (rules.min_len.or(rules.len), rules.max_len.or(rules.len)));
    let words = match bounds {
        Some((Some(least), Some(most))) => format!("{least} to {most} bytes."),
        Some((Some(least), None)) => format!("At least {least} bytes."),
        Some((None, Some(most))) => format!("At most {most} bytes."),
        _ => return schema,
    };
    schema.insert("description".to_owned(), words.into());
    schema
}

pub(crate) fn allows(rules: Option<&EnumRules>, number: i32) -> bool {
    rules.is_none_or(|rules| {
        !rules.not_in.contains(&number)
            && (rules.r#in.is_empty() || rules.r#in.contains(&number))
            && rules.r#const.is_none_or(|exact| exact == number)
    })
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn put(schema: &mut Map<String, Value>, key: &str, value: Option<u64>) {
    if let Some(value) = value {
        schema.insert(key.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_string_are_patterns() {
        let rules = StringRules {
            prefix: Some("a.b".to_owned()),
            suffix: Some("+".to_owned()),
            not_in: vec!["a.b+".to_owned()],
            ..Default::default()
        };
        let schema = Value::from(string(Some(&rules), false));
        assert_eq!(schema["allOf"], json!([{ "pattern": r"^a\.b" }, { "pattern": r"\+$" }]));
        assert_eq!(schema["not"], json!({ "anyOf": [{ "enum": ["a.b+"] }] }));
    }
}
