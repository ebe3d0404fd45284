//! The rules of one field, read from its `buf.validate.field` option and turned into conditions on `value`.

use std::collections::HashSet;

use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, Value};

const OPTION: &str = "buf.validate.field";
const LINE: &str = "mainstay.policy.v1.is_line";
const VERBATIM: &str = "mainstay.policy.v1.is_verbatim";

/// The rules of one field.
#[derive(Default)]
pub(crate) struct Rules {
    /// Whether the field must be set. For a field without presence, one of the `checks` covers this.
    pub(crate) required: bool,
    /// The checks of the value, or of the list as a whole.
    pub(crate) checks: Vec<Check>,
    /// The checks of each item of a list.
    pub(crate) items: Vec<Check>,
    /// The function of `text` that normalizes the field or the items of a list, if any.
    pub(crate) normalization: Option<&'static str>,
}

/// The kind of a string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    /// Any text, which is normalized.
    Plain,
    /// A text of one line.
    Line,
    /// Bytes that happen to be UTF-8.
    Verbatim,
}

impl Text {
    fn of(field: &FieldDescriptor) -> Result<Self, String> {
        let options = field.options();
        let marked = |name| {
            let extension = field.parent_pool().get_extension_by_name(name);
            extension.is_some_and(|extension| matches!(*options.get_extension(&extension), Value::Bool(true)))
        };
        // Google's standard option for values that must not be shown.
        let is_secret = options.get_field_by_name("debug_redact").is_some_and(|value| *value == Value::Bool(true));
        match (marked(LINE), marked(VERBATIM) || is_secret) {
            (true, true) => Err("a line is normalized, and can't be verbatim".to_owned()),
            (true, false) => Ok(Self::Line),
            (false, true) => Ok(Self::Verbatim),
            (false, false) => Ok(Self::Plain),
        }
    }

    /// Returns the function that normalizes a value with these rules.
    fn normalization(self, kind: &Kind, typed: Option<&(String, DynamicMessage)>) -> Option<&'static str> {
        match self {
            _ if *kind != Kind::String => None,
            Self::Verbatim => None,
            _ if has_rule(typed, &["email"]) => Some("normalize_email"),
            _ if is_format(typed) => None,
            Self::Line => Some("normalize_line"),
            Self::Plain => Some("normalize"),
        }
    }
}

/// A condition under which `value` is invalid, and the message for it.
pub(crate) struct Check {
    /// The item that the condition applies to; empty if there is none.
    pub(crate) item: String,
    pub(crate) fault: String,
    pub(crate) message: String,
}

impl Check {
    pub(crate) fn new(fault: impl Into<String>, message: impl Into<String>) -> Self {
        Self { item: String::new(), fault: fault.into(), message: message.into() }
    }
}

impl Rules {
    /// Reads the rules of a field.
    pub(crate) fn read(field: &FieldDescriptor) -> Result<Self, String> {
        let options = field.options();
        // No file imports the option, so no field has a rule.
        let extension = field.parent_pool().get_extension_by_name(OPTION);
        let extension = extension.filter(|extension| options.has_extension(extension));
        let option = extension.map(|extension| options.get_extension(&extension).into_owned());
        let mut rules = Self::default();
        let mut typed = None;
        if let Some(Value::Message(raw)) = &option {
            for (rule, value) in raw.fields() {
                match (rule.name(), value) {
                    ("required", Value::Bool(required)) => rules.required = *required,
                    (name, Value::Message(inner)) => typed = Some((name.to_owned(), inner.clone())),
                    (name, _) => return Err(unknown(name)),
                }
            }
        }
        if rules.required && !field.supports_presence() {
            rules.checks.push(Check::new(unset_condition(field)?, "is required"));
        }
        let text = Text::of(field)?;
        if field.is_list() {
            return rules.read_list(field, typed, text);
        }
        rules.normalization = text.normalization(&field.kind(), typed.as_ref());
        rules.checks.extend(scalar(&field.kind(), typed, text)?);
        Ok(rules)
    }

    fn read_list(
        mut self,
        field: &FieldDescriptor,
        typed: Option<(String, DynamicMessage)>,
        text: Text,
    ) -> Result<Self, String> {
        let mut items = None;
        if let Some((name, raw)) = typed {
            if name != "repeated" {
                return Err(format!("{name} rules on a list"));
            }
            let mut bounds = Bounds::default();
            let mut unique = false;
            for (rule, value) in raw.fields() {
                match (rule.name(), value) {
                    ("min_items", Value::U64(least)) => bounds.least = Some((*least).into()),
                    ("max_items", Value::U64(most)) => bounds.most = Some((*most).into()),
                    ("unique", Value::Bool(value)) => unique = *value,
                    ("items", Value::Message(raw)) => items = item_rules(raw)?,
                    (name, _) => return Err(unknown(name)),
                }
            }
            self.checks.extend(bounds.check("value.len()", "have", " item")?);
            if unique {
                if matches!(field.kind(), Kind::Message(_) | Kind::Float | Kind::Double) {
                    return Err("only strings, bytes, enums and integers can be unique".to_owned());
                }
                self.checks.push(Check::new("!check::unique(value)", "must not have the same item twice"));
            }
        }
        self.normalization = text.normalization(&field.kind(), items.as_ref());
        self.items = scalar(&field.kind(), items, text)?;
        Ok(self)
    }
}

/// Returns whether the rules of a string demand a format. All formats are ASCII, and normalization must not turn other
/// text into a valid value, except for addresses, which have a normalization.
fn is_format(typed: Option<&(String, DynamicMessage)>) -> bool {
    has_rule(typed, &["pattern", "email", "uuid"])
}

fn has_rule(typed: Option<&(String, DynamicMessage)>, names: &[&str]) -> bool {
    let rules = typed.filter(|(name, _)| name == "string").map(|(_, raw)| raw);
    rules.is_some_and(|raw| raw.fields().any(|(rule, _)| names.contains(&rule.name())))
}

/// Returns the typed rules inside `repeated.items`.
fn item_rules(raw: &DynamicMessage) -> Result<Option<(String, DynamicMessage)>, String> {
    let mut typed = None;
    for (rule, value) in raw.fields() {
        match value {
            Value::Message(inner) => typed = Some((rule.name().to_owned(), inner.clone())),
            _ => return Err(unknown(rule.name())),
        }
    }
    Ok(typed)
}

/// Returns the checks of a single value of a kind.
fn scalar(kind: &Kind, typed: Option<(String, DynamicMessage)>, text: Text) -> Result<Vec<Check>, String> {
    let mut checks = Vec::new();
    // Postgres can't store NUL, so no string may contain it. This check is last, because a wrong length is the more
    // useful error.
    let nul = match text {
        Text::Line => Check::new("check::has_control(value)", "must not have control characters"),
        _ => Check::new("check::has_nul(value)", "must not contain NUL characters"),
    };
    let is_formatted = is_format(typed.as_ref());
    let Some((name, raw)) = typed else {
        return Ok(match kind {
            Kind::String => line(text).into_iter().chain([nul]).collect(),
            Kind::Enum(values) => vec![enumeration(None, values)?],
            _ => checks,
        });
    };
    match (name.as_str(), kind) {
        ("string", Kind::String) => {
            checks = string(&raw)?;
            if text == Text::Plain && !is_formatted && is_required(&raw) {
                checks.push(Check::new("check::is_blank(value)", BLANK));
            }
            checks.extend(line(text));
            checks.push(nul);
        }
        ("bytes", Kind::Bytes) => checks.extend(bounds(&raw)?.check("value.len()", "be", " byte")?),
        ("int32", Kind::Int32) | ("int64", Kind::Int64) => checks.extend(bounds(&raw)?.check("*value", "be", "")?),
        ("enum", Kind::Enum(values)) => checks.push(enumeration(Some(&raw), values)?),
        _ => return Err(format!("{name} rules on a field of type {kind:?}")),
    }
    Ok(checks)
}

const BLANK: &str = "must have a visible character";

/// Returns whether a string must not be empty.
fn is_required(raw: &DynamicMessage) -> bool {
    raw.fields().any(|(rule, value)| rule.name() == "min_len" && matches!(value, Value::U64(1..)))
}

/// Returns the checks of a line.
fn line(text: Text) -> Vec<Check> {
    if text != Text::Line {
        return Vec::new();
    }
    let blank = Check::new("!value.is_empty() && check::is_blank(value)", BLANK);
    vec![blank, Check::new("check::has_line_break(value)", "must be one line")]
}

fn string(raw: &DynamicMessage) -> Result<Vec<Check>, String> {
    let mut length = Bounds::default();
    let mut format = None;
    for (rule, value) in raw.fields() {
        match (rule.name(), value) {
            ("min_len", Value::U64(least)) => length.least = Some((*least).into()),
            ("max_len", Value::U64(most)) => length.most = Some((*most).into()),
            ("len", Value::U64(exact)) => length = Bounds::exactly((*exact).into()),
            ("pattern", Value::String(text)) => format = Some(matching(text)?),
            ("email", Value::Bool(true)) => {
                format = Some(Check::new("!check::is_email(value)", "must be an e-mail address"));
            }
            ("uuid", Value::Bool(true)) => format = Some(Check::new("!check::is_uuid(value)", "must be a UUID")),
            ("email" | "uuid", Value::Bool(false)) => {}
            (name, _) => return Err(unknown(name)),
        }
    }
    Ok(length.check("check::characters(value)", "be", " character")?.into_iter().chain(format).collect())
}

/// Returns the check that a string matches a regular expression.
fn matching(text: &str) -> Result<Check, String> {
    regex::Regex::new(text).map_err(|error| format!("the pattern is no regular expression: {error}"))?;
    let item = format!("static PATTERN: check::Pattern = check::Pattern::new({text:?});");
    Ok(Check { item, ..Check::new("!PATTERN.matches(value)", format!("must match {text}")) })
}

/// Returns the check of an enum. A value must be declared, even without rules, because an undeclared one would be read
/// as unset.
fn enumeration(raw: Option<&DynamicMessage>, values: &EnumDescriptor) -> Result<Check, String> {
    let (mut within, mut without) = (Vec::new(), Vec::new());
    for (rule, value) in raw.into_iter().flat_map(DynamicMessage::fields) {
        match (rule.name(), value) {
            ("defined_only", Value::Bool(_)) => {}
            ("in", Value::List(numbers)) => within = numbers.iter().filter_map(Value::as_i32).collect(),
            ("not_in", Value::List(numbers)) => without = numbers.iter().filter_map(Value::as_i32).collect(),
            (name, _) => return Err(unknown(name)),
        }
    }
    if within.is_empty() {
        within = values.values().map(|value| value.number()).collect();
    }
    // Only the first of several aliases is used.
    let mut numbers = HashSet::new();
    within.retain(|number| !without.contains(number) && numbers.insert(*number));
    // The zero value of proto3 means unset, so it is not listed.
    let listed = within.iter().filter(|number| **number != 0 || within.len() == 1);
    let name = |number: &i32| {
        let value = values.get_value(*number).ok_or_else(|| format!("{} has no {number}", values.full_name()))?;
        Ok::<_, String>(value.name().to_owned())
    };
    let names = listed.map(name).collect::<Result<Vec<_>, _>>()?.join(", ");
    Ok(Check::new(format!("!matches!(*value, {})", pattern(&within)), format!("must be one of {names}")))
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

fn bounds(raw: &DynamicMessage) -> Result<Bounds, String> {
    let mut bounds = Bounds::default();
    for (rule, value) in raw.fields() {
        let number = match value {
            Value::I32(number) => i128::from(*number),
            Value::I64(number) => i128::from(*number),
            Value::U64(number) => i128::from(*number),
            _ => return Err(unknown(rule.name())),
        };
        match rule.name() {
            "gte" | "min_len" => bounds.least = Some(number),
            "lte" | "max_len" => bounds.most = Some(number),
            name => return Err(unknown(name)),
        }
    }
    Ok(bounds)
}

/// The bounds of a measure.
#[derive(Default)]
struct Bounds {
    least: Option<i128>,
    most: Option<i128>,
}

impl Bounds {
    fn exactly(count: i128) -> Self {
        Self { least: Some(count), most: Some(count) }
    }

    /// Returns a check of a measure: `must {verb} {least} to {most}{unit}s`.
    fn check(&self, measure: &str, verb: &str, unit: &str) -> Result<Option<Check>, String> {
        let units = |count: i128| match unit {
            "" => String::new(),
            unit if count == 1 => unit.to_owned(),
            unit => format!("{unit}s"),
        };
        let (fault, range) = match (self.least, self.most) {
            (None, None) => return Ok(None),
            (Some(least), Some(most)) if least > most => return Err(format!("at least {least} and at most {most}")),
            (Some(least), Some(most)) if least == most => (format!("{measure} != {least}"), format!("exactly {least}")),
            (Some(least), Some(most)) => {
                // Borrows the original, instead of dereferencing and borrowing again.
                let borrowed = measure.strip_prefix('*').map_or_else(|| format!("&{measure}"), str::to_owned);
                (format!("!({least}..={most}).contains({borrowed})"), format!("{least} to {most}"))
            }
            (Some(least), None) => (format!("{measure} < {least}"), format!("at least {least}")),
            (None, Some(most)) => (format!("{measure} > {most}"), format!("at most {most}")),
        };
        let last = self.most.or(self.least).unwrap_or_default();
        Ok(Some(Check::new(fault, format!("must {verb} {range}{}", units(last)))))
    }
}

/// Returns the condition under which a field without presence is unset.
fn unset_condition(field: &FieldDescriptor) -> Result<&'static str, String> {
    match field.kind() {
        _ if field.is_list() => Ok("value.is_empty()"),
        Kind::String | Kind::Bytes => Ok("value.is_empty()"),
        Kind::Int32 | Kind::Int64 | Kind::Enum(_) => Ok("*value == 0"),
        kind => Err(format!("a {kind:?} without presence can't be required")),
    }
}

fn unknown(rule: &str) -> String {
    format!("the rule {rule} has no check yet")
}
