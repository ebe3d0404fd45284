//! The rules of strings.

use prost_reflect::Value;

use super::{Bounds, Check, Text, listed, text::is_format, unknown};

const BLANK: &str = "must have a visible character";

/// The formats: the rule, the predicate of `check`, and the message.
const FORMATS: [(&str, &str, &str); 19] = [
    ("email", "is_email(value)", "must be an e-mail address"),
    ("hostname", "is_hostname(value)", "must be a host name"),
    ("ip", "is_ip(value, None)", "must be an IP address"),
    ("ipv4", "is_ip(value, Some(4))", "must be an IPv4 address"),
    ("ipv6", "is_ip(value, Some(6))", "must be an IPv6 address"),
    ("uri", "is_uri(value)", "must be a URI"),
    ("uri_ref", "is_uri_reference(value)", "must be a URI or a relative reference"),
    ("address", "is_address(value)", "must be a host name or an IP address"),
    ("uuid", "is_uuid(value)", "must be a UUID"),
    ("tuuid", "is_trimmed_uuid(value)", "must be a UUID without hyphens"),
    ("ip_with_prefixlen", "is_ip_prefix(value, None, false)", "must be an IP address with a prefix length"),
    ("ipv4_with_prefixlen", "is_ip_prefix(value, Some(4), false)", "must be an IPv4 address with a prefix length"),
    ("ipv6_with_prefixlen", "is_ip_prefix(value, Some(6), false)", "must be an IPv6 address with a prefix length"),
    ("ip_prefix", "is_ip_prefix(value, None, true)", "must be an IP prefix"),
    ("ipv4_prefix", "is_ip_prefix(value, Some(4), true)", "must be an IPv4 prefix"),
    ("ipv6_prefix", "is_ip_prefix(value, Some(6), true)", "must be an IPv6 prefix"),
    ("host_and_port", "is_host_and_port(value)", "must be a host name or an IP address, with a port"),
    ("ulid", "is_ulid(value)", "must be a ULID"),
    ("protobuf_fqn", "is_qualified_name(value)", "must be a qualified name of Protobuf"),
];

/// Returns the checks of a string.
pub(super) fn checks(rules: &[(String, Value)], text: Text) -> Result<Vec<Check>, String> {
    let (mut length, mut size) = (Bounds::default(), Bounds::default());
    let mut others = Vec::new();
    let is_strict = rules.iter().all(|(rule, value)| rule != "strict" || *value == Value::Bool(true));
    for (rule, value) in rules {
        match (rule.as_str(), value) {
            ("min_len", Value::U64(least)) => length.least = Some(*least),
            ("max_len", Value::U64(most)) => length.most = Some(*most),
            ("len", Value::U64(exact)) => length = Bounds::exactly(*exact),
            ("min_bytes", Value::U64(least)) => size.least = Some(*least),
            ("max_bytes", Value::U64(most)) => size.most = Some(*most),
            ("len_bytes", Value::U64(exact)) => size = Bounds::exactly(*exact),
            ("strict", _) => {}
            ("well_known_regex", Value::EnumNumber(kind)) => others.extend(header(*kind, is_strict)?),
            (_, Value::String(text)) => others.push(part(rule, text)?),
            (_, Value::List(texts)) => others.push(membership(rule, texts)?),
            // A format that is switched off.
            (_, Value::Bool(false)) => {}
            (_, Value::Bool(true)) => others.push(format(rule)?),
            _ => return Err(unknown(rule)),
        }
    }
    // Of several other rules, the message of a format is the most useful, and the conditions of most are the cheapest.
    let mut checks: Vec<_> = length.check("check::characters(value)", "be", " character")?.into_iter().collect();
    checks.extend(size.check("value.len()", "be", " byte")?);
    let is_formatted = rules.iter().any(|(rule, _)| is_format(rule));
    checks.extend(others);
    if text == Text::Plain && !is_formatted && length.least.is_some_and(|least| least > 0) {
        checks.push(Check::new("check::is_blank(value)", BLANK));
    }
    if text == Text::Line {
        checks.push(Check::new("!value.is_empty() && check::is_blank(value)", BLANK));
        checks.push(Check::new("check::has_line_break(value)", "must be one line"));
    }
    // Postgres can't store NUL, so no string may contain it. This check is last, because a wrong length is the more
    // useful error.
    checks.push(match text {
        Text::Line => Check::new("check::has_control(value)", "must not have control characters"),
        _ => Check::new("check::has_nul(value)", "must not contain NUL characters"),
    });
    Ok(checks)
}

fn format(rule: &str) -> Result<Check, String> {
    if rule == "protobuf_dot_fqn" {
        let fault = "!value.strip_prefix('.').is_some_and(check::is_qualified_name)";
        return Ok(Check::new(fault, "must be a qualified name of Protobuf with a dot before it"));
    }
    let format = FORMATS.iter().find(|(name, ..)| *name == rule);
    let (_, predicate, message) = format.ok_or_else(|| unknown(rule))?;
    Ok(Check::new(format!("!check::{predicate}"), *message))
}

/// Returns the check of a name or a value of a header.
fn header(kind: i32, is_strict: bool) -> Result<Option<Check>, String> {
    Ok(match kind {
        0 => None,
        1 => {
            Some(Check::new(format!("!check::is_header_name(value, {is_strict})"), "must be a name of an HTTP header"))
        }
        2 => Some(Check::new(
            format!("!check::is_header_value(value, {is_strict})"),
            "must be a value of an HTTP header",
        )),
        other => return Err(format!("well_known_regex has no {other}")),
    })
}

/// Returns the check that compares a string with a text of the contract.
fn part(rule: &str, text: &str) -> Result<Check, String> {
    Ok(match rule {
        "const" => Check::new(format!("*value != *{text:?}"), format!("must be \"{text}\"")),
        "pattern" => return pattern(text, "matches"),
        "prefix" => Check::new(format!("!value.starts_with({text:?})"), format!("must begin with \"{text}\"")),
        "suffix" => Check::new(format!("!value.ends_with({text:?})"), format!("must end with \"{text}\"")),
        "contains" => Check::new(format!("!value.contains({text:?})"), format!("must contain \"{text}\"")),
        "not_contains" => Check::new(format!("value.contains({text:?})"), format!("must not contain \"{text}\"")),
        _ => return Err(unknown(rule)),
    })
}

/// Returns the check of a list of allowed or forbidden texts.
pub(super) fn membership(rule: &str, texts: &[Value]) -> Result<Check, String> {
    let texts: Vec<_> = texts.iter().filter_map(Value::as_str).collect();
    let shown = listed(texts.iter().map(|text| format!("\"{text}\"")));
    match rule {
        "in" => Ok(Check::new(format!("!{texts:?}.contains(&value.as_str())"), format!("must be one of {shown}"))),
        "not_in" => {
            Ok(Check::new(format!("{texts:?}.contains(&value.as_str())"), format!("must not be one of {shown}")))
        }
        _ => Err(unknown(rule)),
    }
}

/// Returns the check that a value matches a regular expression; `method` is that of `Pattern`.
pub(super) fn pattern(text: &str, method: &str) -> Result<Check, String> {
    regex::Regex::new(text).map_err(|error| format!("the pattern is no regular expression: {error}"))?;
    let item = format!("static PATTERN: check::Pattern = check::Pattern::new({text:?});");
    Ok(Check { item, ..Check::new(format!("!PATTERN.{method}(value)"), format!("must match {text}")) })
}
