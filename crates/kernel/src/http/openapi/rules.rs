//! Field rules as JSON Schema. `mainstay-build` compiles the same options into checks.

use prost_reflect::FieldDescriptor;
use serde_json::{Map, Value, json};

use crate::contract::{
    Policies,
    proto::buf::validate::{
        BytesRules, EnumRules, FieldRules, Int32Rules, Int64Rules, RepeatedRules, StringRules, field_rules::Type,
        string_rules::WellKnown,
    },
    reason::{is_marked, option},
};

/// Strings must not contain NUL.
const WITHOUT_NUL: &str = r"^[^\u0000]*$";

/// Returns the rules of a field; empty if it has none.
pub(crate) fn of(field: &FieldDescriptor) -> FieldRules {
    option(&field.options(), "buf.validate.field").unwrap_or_default()
}

/// Returns whether a request without the field is always rejected.
pub(crate) fn is_required(field: &FieldDescriptor) -> bool {
    let rules = of(field);
    if rules.required() || field.supports_presence() {
        return rules.required();
    }
    match rules.r#type {
        Some(Type::String(rules)) => {
            let matches_nothing = |pattern: &String| regex::Regex::new(pattern).is_ok_and(|regex| !regex.is_match(""));
            rules.min_len() > 0
                || rules.len() > 0
                || rules.well_known.is_some()
                || rules.pattern.as_ref().is_some_and(matches_nothing)
        }
        Some(Type::Bytes(rules)) => rules.min_len() > 0,
        Some(Type::Int32(rules)) => rules.gte() > 0,
        Some(Type::Int64(rules)) => rules.gte() > 0,
        Some(Type::Enum(rules)) => rules.not_in.contains(&0) || !rules.r#in.is_empty() && !rules.r#in.contains(&0),
        Some(Type::Repeated(rules)) => rules.min_items() > 0,
        None => false,
    }
}

/// Returns whether every response has the field, unless a read mask excludes it.
pub(crate) fn is_always_present(field: &FieldDescriptor) -> bool {
    let is_choice = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
    !is_choice && !is_marked(&field.options(), "mainstay.policy.v1.may_be_absent")
}

/// Returns the rules of one list item from the rules of the list.
pub(crate) fn of_items(rules: &RepeatedRules) -> Option<&Type> {
    rules.items.as_ref().and_then(|items| items.r#type.as_ref())
}

/// Returns the message for a string field that violates its rule, for examples.
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

/// Adds the bounds of a list.
pub(crate) fn list(rules: &RepeatedRules, schema: &mut Map<String, Value>) {
    put(schema, "minItems", rules.min_items);
    put(schema, "maxItems", rules.max_items);
    if rules.unique() {
        schema.insert("uniqueItems".to_owned(), true.into());
    }
}

/// Returns the schema of a string in a request.
pub(crate) fn string(rules: Option<&StringRules>, redacted: bool) -> Map<String, Value> {
    let mut schema = object(json!({ "type": "string" }));
    let well_known = rules.and_then(|rules| rules.well_known);
    match well_known {
        Some(WellKnown::Email(true)) => drop(schema.insert("format".to_owned(), "email".into())),
        Some(WellKnown::Uuid(true)) => drop(schema.insert("format".to_owned(), "uuid".into())),
        _ => {
            if redacted {
                schema.insert("format".to_owned(), "password".into());
            }
            let pattern = rules.and_then(|rules| rules.pattern.as_deref()).unwrap_or(WITHOUT_NUL);
            schema.insert("pattern".to_owned(), pattern.into());
        }
    }
    if let Some(rules) = rules {
        put(&mut schema, "minLength", rules.min_len.or(rules.len));
        put(&mut schema, "maxLength", rules.max_len.or(rules.len));
    }
    schema
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

/// Returns the schema of bytes in a request. JSON Schema can't bound the decoded length of base64, so the
/// description states it.
pub(crate) fn bytes(rules: Option<&BytesRules>) -> Map<String, Value> {
    let mut schema = object(json!({ "type": "string", "contentEncoding": "base64" }));
    let bounds = rules.map(|rules| (rules.min_len, rules.max_len));
    let words = match bounds {
        Some((Some(least), Some(most))) => format!("{least} to {most} bytes."),
        Some((Some(least), None)) => format!("At least {least} bytes."),
        Some((None, Some(most))) => format!("At most {most} bytes."),
        _ => return schema,
    };
    schema.insert("description".to_owned(), words.into());
    schema
}

/// Returns the schema of an int32. The bounds are explicit, because `format` is only an annotation.
pub(crate) fn int32(rules: Option<&Int32Rules>) -> Map<String, Value> {
    let least = rules.and_then(|rules| rules.gte).unwrap_or(i32::MIN);
    let most = rules.and_then(|rules| rules.lte).unwrap_or(i32::MAX);
    object(json!({ "type": "integer", "format": "int32", "minimum": least, "maximum": most }))
}

/// Returns the schema of an int64, which JSON carries as a string. A pattern bounds the number of digits, and the
/// description states the exact bounds.
pub(crate) fn int64(rules: Option<&Int64Rules>) -> Map<String, Value> {
    let (least, most) = rules.map_or((None, None), |rules| (rules.gte, rules.lte));
    let more = most.unwrap_or(i64::MAX).max(1).ilog10();
    let sign = if least.is_some_and(|least| least >= 0) { "" } else { "-?" };
    let positive = format!("[1-9][0-9]{{0,{more}}}");
    let pattern = if least.is_some_and(|least| least > 0) { positive } else { format!("(0|{sign}{positive})") };
    let mut schema = object(json!({ "type": "string", "format": "int64", "pattern": format!("^{pattern}$") }));
    let words = match (least, most) {
        (Some(least), Some(most)) => format!("{least} to {most}."),
        (Some(least), None) => format!("At least {least}."),
        (None, Some(most)) => format!("At most {most}."),
        (None, None) => return schema,
    };
    schema.insert("description".to_owned(), words.into());
    schema
}

/// Returns the schema of a uint64, which JSON carries as a string.
pub(crate) fn uint64() -> Map<String, Value> {
    object(json!({ "type": "string", "pattern": "^(0|[1-9][0-9]{0,19})$" }))
}

/// Returns whether a request may use the value.
pub(crate) fn allows(rules: Option<&EnumRules>, number: i32) -> bool {
    rules.is_none_or(|rules| !rules.not_in.contains(&number) && (rules.r#in.is_empty() || rules.r#in.contains(&number)))
}

/// Returns the map of an object literal.
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
    fn the_pattern_of_a_uint64_has_room_for_the_largest_one() {
        let schema = uint64();
        let pattern = schema["pattern"].as_str().expect("a pattern");
        let pattern = regex::Regex::new(pattern).expect("a regular expression");
        for number in [0, 1, u64::MAX] {
            assert!(pattern.is_match(&number.to_string()), "{number}");
        }
        assert!(!pattern.is_match("-1") && !pattern.is_match("007"));
    }
}
