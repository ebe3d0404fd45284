//! The rules of bytes.

use prost_reflect::Value;

use super::{Bounds, Check, listed, string, unknown};

/// Returns the checks of bytes.
pub(super) fn checks(rules: &[(String, Value)]) -> Result<Vec<Check>, String> {
    let mut length = Bounds::default();
    let mut others = Vec::new();
    for (rule, value) in rules {
        match (rule.as_str(), value) {
            ("min_len", Value::U64(least)) => length.least = Some(*least),
            ("max_len", Value::U64(most)) => length.most = Some(*most),
            ("len", Value::U64(exact)) => length = Bounds::exactly(*exact),
            ("pattern", Value::String(text)) => others.push(string::pattern(text, "matches_bytes")?),
            (_, Value::Bytes(part)) => others.push(compared(rule, part)?),
            ("in" | "not_in", Value::List(values)) => others.push(membership(rule, values)),
            (_, Value::Bool(false)) => {}
            (_, Value::Bool(true)) => others.push(format(rule)?),
            _ => return Err(unknown(rule)),
        }
    }
    let length = length.check("value.len()", "be", " byte")?;
    Ok(length.into_iter().chain(others).collect())
}

fn compared(rule: &str, part: &[u8]) -> Result<Check, String> {
    let (literal, shown) = (literal(part), hex(part));
    Ok(match rule {
        "const" => Check::new(format!("value[..] != {literal}[..]"), format!("must be {shown}")),
        "prefix" => Check::new(format!("!value.starts_with({literal})"), format!("must begin with {shown}")),
        "suffix" => Check::new(format!("!value.ends_with({literal})"), format!("must end with {shown}")),
        "contains" => Check::new(format!("!check::contains(value, {literal})"), format!("must contain {shown}")),
        _ => return Err(unknown(rule)),
    })
}

fn membership(rule: &str, values: &[Value]) -> Check {
    let values: Vec<_> = values.iter().filter_map(Value::as_bytes).collect();
    let literals = listed(values.iter().map(|value| format!("&{}[..]", literal(value))));
    let shown = listed(values.iter().map(|value| hex(value)));
    match rule {
        "in" => Check::new(format!("![{literals}].contains(&&value[..])"), format!("must be one of {shown}")),
        _ => Check::new(format!("[{literals}].contains(&&value[..])"), format!("must not be one of {shown}")),
    }
}

fn format(rule: &str) -> Result<Check, String> {
    Ok(match rule {
        "ip" => Check::new("!matches!(value.len(), 4 | 16)", "must be an IP address of 4 or 16 bytes"),
        "ipv4" => Check::new("value.len() != 4", "must be an IPv4 address of 4 bytes"),
        "ipv6" => Check::new("value.len() != 16", "must be an IPv6 address of 16 bytes"),
        "uuid" => Check::new("value.len() != 16", "must be a UUID of 16 bytes"),
        _ => return Err(unknown(rule)),
    })
}

/// Returns a byte string in Rust.
fn literal(bytes: &[u8]) -> String {
    format!("b\"{}\"", bytes.escape_ascii())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
