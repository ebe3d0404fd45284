//! Rules in CEL: reads them, checks their names and types against the contract, and generates the table that the kernel
//! evaluates.

mod descriptors;
mod literal;
mod types;

use prost_reflect::{DynamicMessage, ExtensionDescriptor, FieldDescriptor, MessageDescriptor, Value};

pub(super) use descriptors::descriptors;
use literal::literal;
use types::{Scope, Type};

/// The name of the table of a message in generated code.
pub(super) const RULES: &str = "static RULES: ";
const PREDEFINED: &str = "buf.validate.predefined";

/// A rule as the contract declares it.
#[derive(Clone)]
pub(crate) struct Rule {
    id: String,
    expression: String,
    message: String,
    /// The value of a predefined rule, and its expression.
    value: Option<(String, Value)>,
}

/// What a rule applies to.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    Message(&'a MessageDescriptor),
    Field(&'a FieldDescriptor),
    Items(&'a FieldDescriptor),
    Keys(&'a FieldDescriptor),
}

/// Reads the values of `cel` and `cel_expression`.
pub(crate) fn read(rules: &Value) -> Result<Vec<Rule>, String> {
    rules.as_list().unwrap_or_default().iter().map(Rule::read).collect()
}

/// Reads the expressions of the predefined rules that are set in the rules of a type.
pub(crate) fn predefined(rules: &DynamicMessage) -> Result<Vec<Rule>, String> {
    let mut read = Vec::new();
    for (rule, value) in rules.extensions() {
        let expressions = of_extension(&rule);
        if expressions.is_empty() {
            return Err(format!("the rule ({}) has no expression", rule.full_name()));
        }
        let text = literal(value).ok_or_else(|| format!("the value of the rule ({}) has no type", rule.full_name()))?;
        for expression in expressions {
            let value = Some((text.clone(), value.clone()));
            read.push(Rule { value, ..Rule::read(&expression)? });
        }
    }
    Ok(read)
}

/// Returns the expressions that the declaration of a predefined rule has.
fn of_extension(rule: &ExtensionDescriptor) -> Vec<Value> {
    let options = rule.options();
    let Some(extension) = rule.parent_pool().get_extension_by_name(PREDEFINED) else { return Vec::new() };
    let option = options.get_extension(&extension);
    let rules = option.as_message().and_then(|option| option.get_field_by_name("cel").map(|rules| rules.into_owned()));
    rules.as_ref().and_then(Value::as_list).unwrap_or_default().to_vec()
}

impl Rule {
    fn read(rule: &Value) -> Result<Self, String> {
        let part = |name: &str| {
            let value = rule.as_message().and_then(|rule| rule.get_field_by_name(name));
            value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let expression = rule.as_str().map_or_else(|| part("expression"), str::to_owned);
        if expression.is_empty() {
            return Err("a rule in CEL has no expression".to_owned());
        }
        let id = Some(part("id")).filter(|id| !id.is_empty()).unwrap_or_else(|| expression.clone());
        Ok(Self { id, expression, message: part("message"), value: None })
    }

    /// Checks the expression, and returns the entry of the table.
    ///
    /// # Errors
    /// An expression that does not parse, an unknown name, and operands of types without such an operator.
    pub(super) fn entry(&self, part: Part<'_>, ignores_zero: bool) -> Result<String, String> {
        let fault = |fault: String| format!("the rule `{}`: {}", self.id, fault.replace('\n', " "));
        let parsed = ::cel::Env::stdlib().compile(&self.expression).map_err(|error| fault(error.to_string()))?;
        let mut scope = Scope::new(part.this(), self.value.as_ref().map(|(_, value)| value));
        let result = scope.type_of(parsed.expression()).map_err(fault)?;
        if ![Type::Bool, Type::String, Type::Any].contains(&result) {
            return Err(fault(format!("the result is {result}, and neither a bool nor a string")));
        }
        let field = match part {
            Part::Message(_) => {
                let first = scope.first_field().ok_or_else(|| {
                    fault("a rule of a message names a field of `this`, where the violation is reported".to_owned())
                })?;
                first.json_name().to_owned()
            }
            Part::Field(field) | Part::Items(field) | Part::Keys(field) => field.json_name().to_owned(),
        };
        let Self { id, expression, message, value } = self;
        let rule = value.as_ref().map_or("", |(text, _)| text);
        Ok(format!(
            "                cel::Rule {{ id: {id:?}, expression: {expression:?}, message: {message:?}, rule: {rule:?}, \
             field: {field:?}, part: cel::Part::{}, ignores_zero: {ignores_zero} }},\n",
            part.name()
        ))
    }
}

impl Part<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::Message(_) => "Message",
            Self::Field(_) => "Field",
            Self::Items(_) => "Items",
            Self::Keys(_) => "Keys",
        }
    }

    /// Returns the type of `this`.
    fn this(self) -> Type {
        match self {
            Self::Message(message) => Type::Message(message.clone()),
            Self::Field(field) => Type::of_field(field),
            Self::Items(field) => match Type::of_field(field) {
                Type::List(item) | Type::Map(_, item) => *item,
                other => other,
            },
            Self::Keys(field) => match Type::of_field(field) {
                Type::Map(key, _) => *key,
                other => other,
            },
        }
    }
}

/// Generates the statement that evaluates the rules of a message; empty if it has none.
pub(super) fn statement(message: &MessageDescriptor, entries: &[String]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let (name, entries) = (message.full_name(), entries.concat());
    format!(
        "        {{\n            {RULES}::std::sync::LazyLock<cel::Rules> = ::std::sync::LazyLock::new(|| {{\n            \
         cel::Rules::new(&POOL, {name:?}, &[\n{entries}            ])\n            }});\n            \
         RULES.check(self, path, violations);\n        }}\n"
    )
}

/// Generates the descriptors of the messages that have rules.
pub(super) fn pool(file: &str) -> String {
    format!(
        "static POOL: ::std::sync::LazyLock<cel::Pool> = ::std::sync::LazyLock::new(|| {{\n    \
         cel::pool(include_bytes!({file:?}))\n}});\n\n"
    )
}
