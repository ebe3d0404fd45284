//! Rules in CEL, the Common Expression Language: `cel`, `cel_expression` and predefined rules of `buf.validate`.
//!
//! `mainstay-build` checks each expression against the contract and generates one [`Rules`] per message that has any; it
//! parses the expressions at the first use. A message is evaluated as a dynamic message, which the encoded message is
//! decoded to. Other messages cost nothing.
//!
//! - `library`: the functions of CEL and of protovalidate.
//! - `value`: the values of messages.

mod library;
mod value;

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ::cel::{
    Context, ExecutionError, IdedExpr, Value as Evaluated,
    common::{
        types::{CelBool, CelString},
        value::Val,
    },
};
pub use prost_reflect::DescriptorPool as Pool;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::{Key, Path, Violations};

const TOO_MANY: &str = "has too many items for its rules";

type Converted = Result<Box<dyn Val>, ExecutionError>;

/// A rule of a message.
#[derive(Debug)]
pub struct Rule {
    /// The id, for logs.
    pub id: &'static str,
    /// The expression: `false` and non-empty strings are violations.
    pub expression: &'static str,
    /// The message of a violation; empty: the string that the expression returns.
    pub message: &'static str,
    /// The expression of the variable `rule`; empty if the rule is not predefined.
    pub rule: &'static str,
    /// The JSON name of the field, at which a violation is reported.
    pub field: &'static str,
    /// The part of the message that is `this`.
    pub part: Part,
    /// Whether the rule ignores a zero value.
    pub ignores_zero: bool,
}

/// A part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The message itself.
    Message,
    /// The value of the field.
    Field,
    /// Each item of the list, or each value of the map.
    Items,
    /// Each key of the map.
    Keys,
}

/// The rules of a message type.
pub struct Rules {
    message: MessageDescriptor,
    rules: Vec<Compiled>,
}

struct Compiled {
    rule: &'static Rule,
    field: FieldDescriptor,
    expression: IdedExpr,
    value: Option<IdedExpr>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rules.iter().map(|compiled| compiled.rule)).finish()
    }
}

/// The evaluated items of one request, which share a bound: an expression may iterate over a list for each item of another.
#[derive(Debug, Clone, Default)]
pub(super) struct Steps(Arc<AtomicUsize>);

impl Steps {
    /// The most items that all rules of a request evaluate. A step takes about a microsecond.
    const MOST: usize = 100_000;
    /// The bytes that are copied, decoded or searched in the time of a step.
    const BYTES: usize = 256;

    fn take(&self, count: usize) -> Result<(), ExecutionError> {
        self.0.fetch_add(count, Ordering::Relaxed);
        match self.are_spent() {
            true => Err(ExecutionError::function_error("steps", "too many items")),
            false => Ok(()),
        }
    }

    fn read(&self, bytes: usize) -> Result<(), ExecutionError> {
        self.take(bytes / Self::BYTES)
    }

    fn are_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) > Self::MOST
    }
}

/// Decodes the descriptors of the messages that have rules.
///
/// # Panics
/// If the descriptors are invalid. The build generates valid ones.
pub fn pool(descriptors: &[u8]) -> Pool {
    Pool::decode(descriptors).expect("the descriptors of the build")
}

impl Rules {
    /// Parses the rules of a message type.
    ///
    /// # Panics
    /// If the message does not exist or an expression does not parse. The build rejects a contract with an invalid one.
    pub fn new(pool: &Pool, message: &str, rules: &'static [Rule]) -> Self {
        let message = pool.get_message_by_name(message).expect("a message of the contract");
        let parsed = |text: &str| library::parse(text).expect("an expression");
        let compiled = rules.iter().map(|rule| Compiled {
            rule,
            field: message.get_field_by_json_name(rule.field).expect("a field of the message"),
            expression: parsed(rule.expression),
            value: (!rule.rule.is_empty()).then(|| parsed(rule.rule)),
        });
        Self { rules: compiled.collect(), message: message.clone() }
    }

    /// Adds the violations of a message.
    pub fn check(&self, message: &impl prost::Message, path: &Path<'_>, violations: &mut Violations) {
        let encoded = message.encode_to_vec();
        let steps = Steps(violations.steps.get_or_insert_default().clone());
        if steps.read(encoded.len()).is_err() {
            let field = self.rules.first().map(|first| path.field(first.rule.field).to_string());
            return violations.push(field.unwrap_or_default(), TOO_MANY);
        }
        match DynamicMessage::decode(self.message.clone(), encoded.as_slice()) {
            Ok(message) => {
                let message = Arc::new(message);
                self.rules.iter().for_each(|rule| rule.check(&message, path, violations));
            }
            Err(error) => violations.fail(format!("{}: {error}", self.message.full_name())),
        }
    }
}

impl Compiled {
    fn check(&self, message: &Arc<DynamicMessage>, path: &Path<'_>, violations: &mut Violations) {
        let path = path.field(self.rule.field);
        if self.rule.part == Part::Message {
            return self.evaluate(|steps| Ok(value::whole(message, steps)), &path, violations);
        }
        let may_be_unset = self.field.supports_presence() || self.rule.ignores_zero && self.rule.part == Part::Field;
        if may_be_unset && !message.has_field(&self.field) {
            return;
        }
        let value = message.get_field(&self.field);
        match (self.rule.part, value.as_ref()) {
            (Part::Items, Value::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.element(item, &self.field.kind(), &path.item(index), violations);
                }
            }
            (Part::Items | Part::Keys, Value::Map(entries)) => {
                let entry = self.field.kind();
                let entry = entry.as_message().expect("a map is a list of entries");
                let (key_kind, value_kind) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                for (key, value) in entries {
                    let path = path.key(name(key));
                    match self.rule.part {
                        Part::Keys => self.element(&Value::from(key.clone()), &key_kind, &path, violations),
                        _ => self.element(value, &value_kind, &path, violations),
                    }
                }
            }
            (_, value) => self.evaluate(|steps| value::convert(value, steps), &path, violations),
        }
    }

    fn element(&self, value: &Value, kind: &Kind, path: &Path<'_>, violations: &mut Violations) {
        if !(self.rule.ignores_zero && value.is_default(kind)) {
            self.evaluate(|steps| value::convert(value, steps), path, violations);
        }
    }

    fn evaluate(&self, this: impl FnOnce(&Steps) -> Converted, path: &Path<'_>, violations: &mut Violations) {
        let steps = Steps(violations.steps.get_or_insert_default().clone());
        match self.fault(this, &steps, violations.now()) {
            Ok(None) => {}
            Ok(Some(message)) => violations.push(path.to_string(), message),
            Err(_) if steps.are_spent() => violations.push(path.to_string(), TOO_MANY),
            Err(error) => violations.fail(format!("the rule {}: {}", self.rule.id, cause(&error))),
        }
    }

    fn fault(
        &self,
        this: impl FnOnce(&Steps) -> Converted,
        steps: &Steps,
        now: (i64, i32),
    ) -> Result<Option<Cow<'static, str>>, ExecutionError> {
        steps.take(1)?;
        let mut context = Context::with_env(library::environment());
        context.add_variable_as_val("this", this(steps)?);
        context.add_variable_as_val("now", value::timestamp(now.0, now.1)?);
        context.add_variable_as_val(library::STEPS, value::counter(steps));
        if let Some(rule) = &self.value {
            let rule = Evaluated::resolve_val(rule, &context)?.into_owned();
            context.add_variable_as_val("rule", rule);
        }
        let result = Evaluated::resolve_val(&self.expression, &context)?;
        let Rule { message, expression, .. } = *self.rule;
        let result: &dyn Val = result.as_ref();
        let text = match (result.downcast_ref::<CelBool>(), result.downcast_ref::<CelString<'_>>()) {
            (Some(is_valid), _) if *is_valid.inner() => return Ok(None),
            (Some(_), _) => None,
            (None, Some(text)) if text.inner().is_empty() => return Ok(None),
            (None, Some(text)) => Some(text.inner()),
            (None, None) => return Err(ExecutionError::function_error("rule", "neither a bool nor a string")),
        };
        Ok(Some(match (message, text) {
            ("", Some(text)) => text.to_owned().into(),
            ("", None) => format!("must satisfy {expression}").into(),
            (message, _) => message.into(),
        }))
    }
}

/// Returns the cause of a failure without values, which may be secrets of the request, for a log.
fn cause(error: &ExecutionError) -> Cow<'static, str> {
    match error {
        ExecutionError::DivisionByZero(_) => "division by zero".into(),
        ExecutionError::RemainderByZero(_) => "remainder by zero".into(),
        ExecutionError::Overflow(operation, ..) => format!("overflow of {operation}").into(),
        ExecutionError::IndexOutOfBounds(_) => "an index beyond the end".into(),
        ExecutionError::NoSuchKey(_) => "no such key".into(),
        ExecutionError::FunctionError { function, .. } => format!("the function {function} failed").into(),
        ExecutionError::NoSuchOverload(_)
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UndeclaredReference(_)
        | ExecutionError::InvalidArgumentCount { .. } => error.to_string().into(),
        _ => "values of unsupported types".into(),
    }
}

fn name(key: &MapKey) -> Key<'_> {
    match key {
        MapKey::Bool(key) => Key::Bool(*key),
        MapKey::I32(key) => Key::Number((*key).into()),
        MapKey::I64(key) => Key::Number((*key).into()),
        MapKey::U32(key) => Key::Number((*key).into()),
        MapKey::U64(key) => Key::Number((*key).into()),
        MapKey::String(key) => Key::Text(key),
    }
}
