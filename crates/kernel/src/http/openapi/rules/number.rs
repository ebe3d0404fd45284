//! Rules of numbers as JSON Schema.

use serde_json::{Map, Value, json};

use super::object;
use crate::contract::proto::buf::validate::field_rules::Type;

#[derive(Debug, Clone)]
pub(super) struct End {
    number: Value,
    is_inclusive: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct NumberRules {
    exact: Option<Value>,
    low: Option<End>,
    high: Option<End>,
    within: Vec<Value>,
    without: Vec<Value>,
    examples: Vec<Value>,
}

macro_rules! rules_of {
    ($rules:expr, $module:ident) => {{
        use crate::contract::proto::buf::validate::$module::{GreaterThan, LessThan};
        let rules = $rules;
        let end = |number: Value, is_inclusive| End { number, is_inclusive };
        NumberRules {
            exact: rules.r#const.map(Value::from),
            low: rules.greater_than.as_ref().map(|low| match low {
                GreaterThan::Gt(number) => end((*number).into(), false),
                GreaterThan::Gte(number) => end((*number).into(), true),
            }),
            high: rules.less_than.as_ref().map(|high| match high {
                LessThan::Lt(number) => end((*number).into(), false),
                LessThan::Lte(number) => end((*number).into(), true),
            }),
            within: rules.r#in.iter().map(|number| Value::from(*number)).collect(),
            without: rules.not_in.iter().map(|number| Value::from(*number)).collect(),
            examples: rules.example.iter().map(|number| Value::from(*number)).collect(),
        }
    }};
}

impl NumberRules {
    /// Reads the rules of a number; `None` for rules of another type.
    pub(crate) fn of(rules: &Type) -> Option<Self> {
        Some(match rules {
            Type::Float(rules) => rules_of!(rules, float_rules),
            Type::Double(rules) => rules_of!(rules, double_rules),
            Type::Int32(rules) => rules_of!(rules, int32_rules),
            Type::Int64(rules) => rules_of!(rules, int64_rules),
            Type::Uint32(rules) => rules_of!(rules, u_int32_rules),
            Type::Uint64(rules) => rules_of!(rules, u_int64_rules),
            Type::Sint32(rules) => rules_of!(rules, s_int32_rules),
            Type::Sint64(rules) => rules_of!(rules, s_int64_rules),
            Type::Fixed32(rules) => rules_of!(rules, fixed32_rules),
            Type::Fixed64(rules) => rules_of!(rules, fixed64_rules),
            Type::Sfixed32(rules) => rules_of!(rules, s_fixed32_rules),
            Type::Sfixed64(rules) => rules_of!(rules, s_fixed64_rules),
            _ => return None,
        })
    }

    pub(super) fn allows(&self, number: f64) -> bool {
        let is_same = |other: &Value| other.as_f64() == Some(number);
        let above = self.low.as_ref().map(|end| end.allows(number, |low, number| low < number));
        let below = self.high.as_ref().map(|end| end.allows(number, |high, number| high > number));
        let in_range = match (above, below) {
            (Some(above), Some(below)) if self.is_split() => above || below,
            (above, below) => above.unwrap_or(true) && below.unwrap_or(true),
        };
        in_range
            && self.exact.as_ref().is_none_or(is_same)
            && (self.within.is_empty() || self.within.iter().any(is_same))
            && !self.without.iter().any(is_same)
    }

    /// Returns whether the values between both ends are the invalid ones.
    fn is_split(&self) -> bool {
        let number = |end: &Option<End>| end.as_ref().and_then(|end| end.number.as_f64());
        number(&self.high).zip(number(&self.low)).is_some_and(|(high, low)| high < low)
    }

    /// Returns a valid number that the rules name, unless `usual` is valid.
    pub(crate) fn example(&self, usual: f64) -> Option<Value> {
        let of_end = |end: &End, step: i64| match (end.is_inclusive, end.number.as_i64()) {
            (true, _) => end.number.clone(),
            (false, Some(number)) => number.saturating_add(step).into(),
            (false, None) => end.number.as_f64().map_or(Value::Null, |number| (number + step as f64 / 2.0).into()),
        };
        let named = self.examples.first().or(self.exact.as_ref()).or(self.within.first()).cloned();
        let low = || self.low.as_ref().map(|low| of_end(low, 1));
        let high = || self.high.as_ref().map(|high| of_end(high, -1));
        named.or_else(|| if self.allows(usual) { None } else { low().or_else(high) })
    }

    pub(super) fn add(&self, schema: &mut Map<String, Value>) {
        let low = self.low.iter().map(|end| (if end.is_inclusive { "minimum" } else { "exclusiveMinimum" }, end));
        let high = self.high.iter().map(|end| (if end.is_inclusive { "maximum" } else { "exclusiveMaximum" }, end));
        let ends: Vec<_> = low.chain(high).map(|(key, end)| (key.to_owned(), end.number.clone())).collect();
        if self.is_split() {
            let parts = ends.into_iter().map(|end| Value::from(Map::from_iter([end])));
            schema.insert("anyOf".to_owned(), parts.collect());
        } else {
            for (key, number) in ends {
                schema.remove(key.trim_start_matches("exclusive").to_ascii_lowercase().as_str());
                schema.insert(key, number);
            }
        }
        self.add_values(schema, Value::clone);
    }

    /// Adds the rules about single values, each as `shown`.
    fn add_values(&self, schema: &mut Map<String, Value>, shown: impl Fn(&Value) -> Value) {
        if let Some(exact) = &self.exact {
            schema.insert("const".to_owned(), shown(exact));
        }
        if !self.within.is_empty() {
            schema.insert("enum".to_owned(), self.within.iter().map(&shown).collect());
        }
        if !self.without.is_empty() {
            schema.insert("not".to_owned(), json!({ "enum": self.without.iter().map(&shown).collect::<Vec<_>>() }));
        }
    }

    fn bounds(&self) -> (Option<i128>, Option<i128>) {
        if self.is_split() {
            return (None, None);
        }
        let number = |end: &Option<End>, step: i128| {
            let end = end.as_ref()?;
            let number = end.number.as_i64().map(i128::from).or_else(|| end.number.as_u64().map(i128::from))?;
            Some(if end.is_inclusive { number } else { number + step })
        };
        (number(&self.low, 1), number(&self.high, -1))
    }
}

impl End {
    fn allows(&self, number: f64, is_beyond: fn(f64, f64) -> bool) -> bool {
        let end = self.number.as_f64().unwrap_or_default();
        is_beyond(end, number) || self.is_inclusive && end == number
    }
}

/// Returns the schema of a 32-bit integer. The bounds are explicit, because `format` is only an annotation.
pub(crate) fn int32(rules: Option<&NumberRules>) -> Map<String, Value> {
    let schema = json!({ "type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX });
    with(object(schema), rules)
}

pub(crate) fn uint32(rules: Option<&NumberRules>) -> Map<String, Value> {
    with(object(json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": u32::MAX })), rules)
}

pub(crate) fn float(rules: Option<&NumberRules>) -> Map<String, Value> {
    with(object(json!({ "type": "number" })), rules)
}

fn with(mut schema: Map<String, Value>, rules: Option<&NumberRules>) -> Map<String, Value> {
    if let Some(rules) = rules {
        rules.add(&mut schema);
    }
    schema
}

/// Returns the schema of a 64-bit integer, which JSON carries as a string. A pattern bounds the number of digits, and the
/// description states the exact bounds.
pub(crate) fn int64(rules: Option<&NumberRules>) -> Map<String, Value> {
    let (least, most) = rules.map_or((None, None), NumberRules::bounds);
    let more = most.unwrap_or(i64::MAX.into()).max(1).ilog10();
    let sign = if least.is_some_and(|least| least >= 0) { "" } else { "-?" };
    let positive = format!("[1-9][0-9]{{0,{more}}}");
    let pattern = if least.is_some_and(|least| least > 0) { positive } else { format!("(0|{sign}{positive})") };
    let schema = object(json!({ "type": "string", "format": "int64", "pattern": format!("^{pattern}$") }));
    described(schema, rules, (least, most))
}

/// Returns the schema of an unsigned 64-bit integer, which JSON carries as a string.
pub(crate) fn uint64(rules: Option<&NumberRules>) -> Map<String, Value> {
    let schema = object(json!({ "type": "string", "pattern": "^(0|[1-9][0-9]{0,19})$" }));
    described(schema, rules, rules.map_or((None, None), NumberRules::bounds))
}

fn described(
    mut schema: Map<String, Value>,
    rules: Option<&NumberRules>,
    bounds: (Option<i128>, Option<i128>),
) -> Map<String, Value> {
    if let Some(rules) = rules {
        rules.add_values(&mut schema, |number| number.to_string().into());
    }
    let words = match bounds {
        (Some(least), Some(most)) => format!("{least} to {most}."),
        (Some(least), None) => format!("At least {least}."),
        (None, Some(most)) => format!("At most {most}."),
        (None, None) => return schema,
    };
    schema.insert("description".to_owned(), words.into());
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::proto::buf::validate::{DoubleRules, Int32Rules, double_rules, int32_rules};

    #[test]
    fn the_pattern_of_a_uint64_has_room_for_the_largest_one() {
        let schema = uint64(None);
        let pattern = schema["pattern"].as_str().expect("a pattern");
        let pattern = regex::Regex::new(pattern).expect("a regular expression");
        for number in [0, 1, u64::MAX] {
            assert!(pattern.is_match(&number.to_string()), "{number}");
        }
        assert!(!pattern.is_match("-1") && !pattern.is_match("007"));
    }

    #[test]
    fn an_exclusive_end_replaces_that_of_the_type() {
        let low = Some(int32_rules::GreaterThan::Gt(0));
        let rules = NumberRules::of(&Type::Int32(Int32Rules { greater_than: low, ..Default::default() }));
        let schema = Value::from(int32(rules.as_ref()));
        assert_eq!(schema["exclusiveMinimum"], 0);
        assert_eq!((&schema["minimum"], &schema["maximum"]), (&Value::Null, &i32::MAX.into()));
        assert!(!rules.expect("rules").allows(0.0));
    }

    #[test]
    fn a_low_end_above_the_high_one_excludes_the_values_between() {
        let rules = DoubleRules {
            greater_than: Some(double_rules::GreaterThan::Gt(10.0)),
            less_than: Some(double_rules::LessThan::Lte(-1.0)),
            ..Default::default()
        };
        let rules = NumberRules::of(&Type::Double(rules)).expect("rules");
        let schema = float(Some(&rules));
        assert_eq!(schema["anyOf"], json!([{ "exclusiveMinimum": 10.0 }, { "maximum": -1.0 }]));
        assert!(!rules.allows(0.0));
    }
}
