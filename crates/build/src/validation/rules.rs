//! The rules of one field, read from its `buf.validate.field` option and turned into conditions on `value`.

mod bounds;
mod bytes;
mod enumeration;
mod order;
mod string;
mod text;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};

use super::{cel, kinds::scalar_kind};
use bounds::Bounds;
use text::Text;

pub(crate) const FIELD: &str = "buf.validate.field";

/// The rules of one field.
#[derive(Default)]
pub(crate) struct Rules {
    /// Whether the field must be set. For a field without presence, one of the checks of `whole` covers this.
    pub(crate) required: bool,
    /// The checks of the value, or of the list or map as a whole.
    pub(crate) whole: Element,
    /// The checks of each key of a map.
    pub(crate) keys: Element,
    /// The checks of each item of a list, or of each value of a map.
    pub(crate) items: Element,
}

/// The checks of one value.
#[derive(Default)]
pub(crate) struct Element {
    pub(crate) checks: Vec<Check>,
    /// The rules in CEL.
    pub(crate) cel: Vec<cel::Rule>,
    /// The condition under which the checks apply: that `value` is not zero.
    pub(crate) condition: Option<&'static str>,
    /// Whether no rule applies, nor those of the value's message.
    pub(crate) is_ignored: bool,
    /// The function of `text` that normalizes the value, if any.
    pub(crate) normalization: Option<&'static str>,
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

/// The values to which the rules do not apply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ignore {
    IfZero,
    Always,
}

/// The content of one `FieldRules`.
#[derive(Default)]
struct Raw {
    required: bool,
    ignore: Option<Ignore>,
    /// The name of the rules of a type, and these rules.
    typed: Option<(String, DynamicMessage)>,
    cel: Vec<cel::Rule>,
}

impl Raw {
    fn read(rules: &DynamicMessage) -> Result<Self, String> {
        let mut raw = Self::default();
        for (rule, value) in declared(rules)? {
            match (rule.as_str(), value) {
                ("required", Value::Bool(required)) => raw.required = required,
                ("ignore", Value::EnumNumber(0)) => {}
                ("ignore", Value::EnumNumber(1)) => raw.ignore = Some(Ignore::IfZero),
                ("ignore", Value::EnumNumber(3)) => raw.ignore = Some(Ignore::Always),
                ("cel" | "cel_expression", rules) => raw.cel.extend(cel::read(&rules)?),
                (_, Value::Message(inner)) => {
                    raw.cel.extend(cel::predefined(&inner)?);
                    raw.typed = Some((rule, inner));
                }
                _ => return Err(unknown(&rule)),
            }
        }
        Ok(raw)
    }

    /// Reads the rules inside of others; `None` has none.
    fn inner(rules: Option<&Value>) -> Result<Self, String> {
        rules.and_then(Value::as_message).map_or_else(|| Ok(Self::default()), Self::read)
    }

    /// Returns the checks of a value of this kind.
    fn element(self, kind: &Kind, text: Text) -> Result<Element, String> {
        let is_ignored = self.ignore == Some(Ignore::Always);
        let typed = self.typed.filter(|_| !is_ignored);
        let kind = scalar_kind(kind);
        Ok(Element {
            is_ignored,
            condition: zero(&kind).filter(|_| self.ignore == Some(Ignore::IfZero)).map(|[_, not_zero]| not_zero),
            normalization: text.normalization(&kind, typed.as_ref()),
            cel: if is_ignored { Vec::new() } else { self.cel },
            checks: value(&kind, typed, text)?,
        })
    }
}

impl Rules {
    /// Reads the rules of a field. `is_alternative` says that a rule of the message allows only one of several fields.
    pub(crate) fn read(field: &FieldDescriptor, is_alternative: bool) -> Result<Self, String> {
        let options = field.options();
        let extension = field.parent_pool().get_extension_by_name(FIELD);
        // If no file imports the option, no field has it.
        let rules = extension.filter(|extension| options.has_extension(extension));
        let rules = rules.map(|extension| options.get_extension(&extension).into_owned());
        let mut raw = Raw::inner(rules.as_ref())?;
        if is_alternative && raw.ignore.is_none() {
            raw.ignore = Some(Ignore::IfZero);
        }
        let is_ignored = raw.ignore == Some(Ignore::Always);
        let required = raw.required && !is_ignored;
        let text = Text::of(field)?;
        let is_collection = field.is_map() || field.is_list();
        let mut rules = match is_collection {
            true => Self::read_collection(field, raw, text)?,
            false => Self { whole: raw.element(&field.kind(), text)?, ..Self::default() },
        };
        rules.required = required;
        if field.supports_presence() {
            // An unset field has no value to check, and one that is set is checked even if it is zero.
            rules.whole.condition = None;
        } else if required {
            let zero = if is_collection { Some("value.is_empty()") } else { zero(&field.kind()).map(|[zero, _]| zero) };
            let zero = zero.ok_or_else(|| format!("a {:?} without presence can't be required", field.kind()))?;
            rules.whole.checks.insert(0, Check::new(zero, "is required"));
            rules.whole.condition = None;
        }
        Ok(rules)
    }

    /// Reads the rules of a list or a map.
    fn read_collection(field: &FieldDescriptor, raw: Raw, text: Text) -> Result<Self, String> {
        let is_map = field.is_map();
        let (name, what, unit) = if is_map { ("map", "a map", " pair") } else { ("repeated", "a list", " item") };
        let mut rules = Self { whole: Element::of_collection(&raw), ..Self::default() };
        let (mut keys, mut items, mut bounds, mut unique) = (None, None, Bounds::default(), false);
        for (rule, value) in raw.typed_as(name, what)? {
            match (rule.as_str(), &value) {
                ("min_items" | "min_pairs", Value::U64(least)) => bounds.least = Some(*least),
                ("max_items" | "max_pairs", Value::U64(most)) => bounds.most = Some(*most),
                ("unique", Value::Bool(value)) => unique = *value,
                ("keys", _) => keys = Some(value),
                ("items" | "values", _) => items = Some(value),
                _ => return Err(unknown(&rule)),
            }
        }
        rules.whole.checks.extend(bounds.check("value.len()", "have", unit)?);
        if unique {
            let fault = match scalar_kind(&field.kind()) {
                Kind::Message(_) => return Err("only scalars and enums can be unique".to_owned()),
                Kind::Float => "!check::unique_numbers(value.iter().map(|value| f64::from(*value)))",
                Kind::Double => "!check::unique_numbers(value.iter().copied())",
                _ => "!check::unique(value)",
            };
            rules.whole.checks.push(Check::new(fault, "must not have the same item twice"));
        }
        let inner = |of: Option<Value>| match raw.ignore {
            Some(Ignore::Always) => Ok(Raw { ignore: raw.ignore, ..Raw::default() }),
            _ => Raw::inner(of.as_ref()),
        };
        let mut kind = field.kind();
        if is_map {
            let (key, value) = entry(field);
            rules.keys = inner(keys)?.element(&key, text)?;
            kind = value;
        }
        rules.items = inner(items)?.element(&kind, text)?;
        Ok(rules)
    }
}

impl Raw {
    /// Returns the rules of a collection.
    fn typed_as(&self, name: &str, what: &str) -> Result<Vec<(String, Value)>, String> {
        match &self.typed {
            Some((_, _)) if self.ignore == Some(Ignore::Always) => Ok(Vec::new()),
            Some((other, _)) if other != name => Err(format!("{other} rules on {what}")),
            Some((_, rules)) => declared(rules),
            None => Ok(Vec::new()),
        }
    }
}

impl Element {
    fn of_collection(raw: &Raw) -> Self {
        let is_ignored = raw.ignore == Some(Ignore::Always);
        Self {
            condition: (raw.ignore == Some(Ignore::IfZero)).then_some("!value.is_empty()"),
            is_ignored,
            cel: if is_ignored { Vec::new() } else { raw.cel.clone() },
            ..Self::default()
        }
    }
}

/// Returns the kinds of the keys and values of a map.
pub(crate) fn entry(field: &FieldDescriptor) -> (Kind, Kind) {
    let entry = field.kind();
    let entry = entry.as_message().expect("a map is a list of entries");
    (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind())
}

/// Returns the rules that are set, without the examples, which are for readers.
fn declared(rules: &DynamicMessage) -> Result<Vec<(String, Value)>, String> {
    if let Some(rule) = rules.unknown_fields().next() {
        return Err(format!("the rule {} is unknown: import the file that declares it", rule.number()));
    }
    let set = rules.fields().filter(|(rule, _)| rule.name() != "example");
    Ok(set.map(|(rule, value)| (rule.name().to_owned(), value.clone())).collect())
}

/// Returns the checks of a single value of a kind.
fn value(kind: &Kind, typed: Option<(String, DynamicMessage)>, text: Text) -> Result<Vec<Check>, String> {
    let (name, rules) = typed.map_or_else(|| (String::new(), Vec::new()), |(name, rules)| (name, vec![rules]));
    let rules = rules.first().map_or_else(|| Ok(Vec::new()), declared)?;
    let expected = match kind {
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Any" => "any",
            "google.protobuf.Duration" => "duration",
            "google.protobuf.FieldMask" => "field_mask",
            "google.protobuf.Timestamp" => "timestamp",
            _ => "",
        },
        Kind::Enum(_) => "enum",
        // Its name in Protobuf.
        scalar => &format!("{scalar:?}"),
    };
    if !name.is_empty() && name != expected {
        return Err(format!("{name} rules on a field of type {kind:?}"));
    }
    match expected {
        "" => Ok(Vec::new()),
        "any" => order::any(&rules),
        "duration" => order::duration(&rules),
        "field_mask" => order::field_mask(&rules),
        "timestamp" => order::timestamp(&rules),
        "bool" => boolean(&rules),
        "string" => string::checks(&rules, text),
        "bytes" => bytes::checks(&rules),
        _ => match kind {
            Kind::Enum(values) => enumeration::checks(&rules, values),
            _ => order::number(&rules),
        },
    }
}

fn boolean(rules: &[(String, Value)]) -> Result<Vec<Check>, String> {
    let check = |(rule, value): &(String, Value)| match (rule.as_str(), value) {
        ("const", Value::Bool(true)) => Ok(Check::new("!*value", "must be true")),
        ("const", Value::Bool(false)) => Ok(Check::new("*value", "must be false")),
        _ => Err(unknown(rule)),
    };
    rules.iter().map(check).collect()
}

/// Returns the conditions under which `value` is zero, and under which it is not; `None` for a message.
fn zero(kind: &Kind) -> Option<[&'static str; 2]> {
    Some(match kind {
        Kind::Message(_) => return None,
        Kind::String | Kind::Bytes => ["value.is_empty()", "!value.is_empty()"],
        Kind::Bool => ["!*value", "*value"],
        // A negative zero is a value that is sent.
        Kind::Float | Kind::Double => ["value.to_bits() == 0", "value.to_bits() != 0"],
        _ => ["*value == 0", "*value != 0"],
    })
}

/// Returns a list of values for a message: `1, 2, 3`.
fn listed<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(", ")
}

fn unknown(rule: &str) -> String {
    format!("the rule {rule} has no check yet")
}
