//! The rules of enums.

use std::collections::HashSet;

use prost_reflect::{EnumDescriptor, Value};

use super::{Check, unknown};

/// Returns the check of an enum. A value must be declared, even without rules, because an undeclared one would be read
/// as unset.
pub(super) fn checks(rules: &[(String, Value)], values: &EnumDescriptor) -> Result<Vec<Check>, String> {
    let (mut within, mut without, mut exact) = (Vec::new(), Vec::new(), None);
    for (rule, value) in rules {
        match (rule.as_str(), value) {
            ("defined_only", Value::Bool(_)) => {}
            ("const", Value::I32(number)) => exact = Some(*number),
            ("in", Value::List(numbers)) => within = numbers.iter().filter_map(Value::as_i32).collect(),
            ("not_in", Value::List(numbers)) => without = numbers.iter().filter_map(Value::as_i32).collect(),
            _ => return Err(unknown(rule)),
        }
    }
    if within.is_empty() {
        within = values.values().map(|value| value.number()).collect();
    }
    // Only the first of several aliases is used.
    let mut numbers = HashSet::new();
    within.retain(|number| {
        !without.contains(number) && exact.is_none_or(|exact| exact == *number) && numbers.insert(*number)
    });
    if within.is_empty() {
        return Err(format!("no value of {} satisfies the rules", values.full_name()));
    }
    // The zero value of proto3 means unset, so it is not listed.
    let listed = within.iter().filter(|number| **number != 0 || within.len() == 1);
    let name = |number: &i32| {
        let value = values.get_value(*number).ok_or_else(|| format!("{} has no {number}", values.full_name()))?;
        Ok::<_, String>(value.name().to_owned())
    };
    let names = listed.map(name).collect::<Result<Vec<_>, _>>()?.join(", ");
    Ok(vec![Check::new(format!("!matches!(*value, {})", pattern(&within)), format!("must be one of {names}"))])
}

/// Formats numbers as a pattern, with runs as ranges.
fn pattern(numbers: &[i32]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let runs = sorted.chunk_by(|left, right| left + 1 == *right).map(|run| match run {
        [first, .., last] => format!("{first}..={last}"),
        run => run.iter().map(i32::to_string).collect(),
    });
    runs.collect::<Vec<_>>().join(" | ")
}
