//! The types of expressions. Expressions have no declared types, so that a wrong name or operand would otherwise be found by
//! the first request.

use std::{collections::HashMap, fmt};

use ::cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators},
};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value};

/// The type of a value; `Any` if the contract does not determine it.
#[derive(Clone, PartialEq)]
pub(super) enum Type {
    Any,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Time,
    Duration,
    List(Box<Type>),
    Map(Box<Type>, Box<Type>),
    Message(MessageDescriptor),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Time => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::List(item) => write!(f, "list({item})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Message(message) => f.write_str(message.full_name()),
        }
    }
}

impl Type {
    pub(super) fn of_field(field: &FieldDescriptor) -> Self {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
                Self::Map(Self::of_kind(&key).into(), Self::of_kind(&value).into())
            }
            kind if field.is_list() => Self::List(Self::of_kind(&kind).into()),
            kind => Self::of_kind(&kind),
        }
    }

    fn of_kind(kind: &Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool,
            Kind::Int32
            | Kind::Int64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Sfixed32
            | Kind::Sfixed64
            | Kind::Enum(_) => Self::Int,
            Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => Self::Uint,
            Kind::Float | Kind::Double => Self::Double,
            Kind::String => Self::String,
            Kind::Bytes => Self::Bytes,
            Kind::Message(message) => match message.full_name() {
                "google.protobuf.Timestamp" => Self::Time,
                "google.protobuf.Duration" => Self::Duration,
                "google.protobuf.Struct" => Self::Map(Self::String.into(), Self::Any.into()),
                "google.protobuf.ListValue" => Self::List(Self::Any.into()),
                "google.protobuf.Value" => Self::Any,
                _ => match super::super::kinds::scalar_kind(kind) {
                    Kind::Message(message) => Self::Message(message),
                    wrapped => Self::of_kind(&wrapped),
                },
            },
        }
    }

    /// Returns the type of the value of a predefined rule.
    pub(super) fn of_value(value: &Value) -> Self {
        match value {
            Value::Bool(_) => Self::Bool,
            Value::I32(_) | Value::I64(_) | Value::EnumNumber(_) => Self::Int,
            Value::U32(_) | Value::U64(_) => Self::Uint,
            Value::F32(_) | Value::F64(_) => Self::Double,
            Value::String(_) => Self::String,
            Value::Bytes(_) => Self::Bytes,
            Value::List(items) => Self::List(items.first().map_or(Self::Any, Self::of_value).into()),
            Value::Message(message) => Self::of_kind(&Kind::Message(message.descriptor())),
            Value::Map(_) => Self::Any,
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Returns whether values of two types may be equal.
    fn is_comparable(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any | Self::Null, _) | (_, Self::Any | Self::Null) => true,
            (Self::List(one), Self::List(other)) => one.is_comparable(other),
            (Self::Map(key, value), Self::Map(other_key, other_value)) => {
                key.is_comparable(other_key) && value.is_comparable(other_value)
            }
            (one, other) => one == other || one.is_number() && other.is_number(),
        }
    }

    /// Returns the type of a value that is of one of two types.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::List(one), Self::List(other)) => match (*one, *other) {
                (Self::Any, item) | (item, Self::Any) => Self::List(item.into()),
                (one, other) => Self::List(one.or(other).into()),
            },
            _ => Self::Any,
        }
    }
}

/// The variables of an expression.
pub(super) struct Scope {
    variables: HashMap<String, Type>,
    /// The variable `rule`, if it is a text.
    rule: Option<String>,
    first_field: Option<FieldDescriptor>,
}

type Typed = Result<Type, String>;

impl Scope {
    pub(super) fn new(this: Type, rule: Option<&Value>) -> Self {
        let mut variables = HashMap::from([("this".to_owned(), this), ("now".to_owned(), Type::Time)]);
        variables.extend(rule.map(|rule| ("rule".to_owned(), Type::of_value(rule))));
        Self { variables, rule: rule.and_then(Value::as_str).map(str::to_owned), first_field: None }
    }

    /// Returns the first field of `this` that the expression reads.
    pub(super) fn first_field(&self) -> Option<&FieldDescriptor> {
        self.first_field.as_ref()
    }

    /// Returns the type of an expression.
    ///
    /// # Errors
    /// An unknown name, and an operand of a type that the operator does not have.
    pub(super) fn type_of(&mut self, node: &IdedExpr) -> Typed {
        match &node.expr {
            Expr::Literal(literal) => Ok(match literal {
                LiteralValue::Boolean(_) => Type::Bool,
                LiteralValue::Bytes(_) => Type::Bytes,
                LiteralValue::Double(_) => Type::Double,
                LiteralValue::Int(_) => Type::Int,
                LiteralValue::Null => Type::Null,
                LiteralValue::String(_) => Type::String,
                LiteralValue::UInt(_) => Type::Uint,
            }),
            Expr::Ident(name) => match self.variables.get(name) {
                Some(kind) => Ok(kind.clone()),
                None if TYPES.contains(&name.as_str()) => Ok(Type::Any),
                None => Err(format!("the name {name} is unknown")),
            },
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let mut item = None;
                for element in &list.elements {
                    let kind = self.type_of(element)?;
                    item = Some(item.map_or_else(|| kind.clone(), |item: Type| item.or(kind.clone())));
                }
                Ok(Type::List(item.unwrap_or(Type::Any).into()))
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.type_of(&entry.key)?;
                        self.type_of(&entry.value)?;
                    }
                }
                Ok(Type::Map(Type::Any.into(), Type::Any.into()))
            }
            Expr::Comprehension(all) => self.comprehension(all),
            Expr::Struct(message) => Err(format!("a {} cannot be constructed", message.type_name)),
            Expr::Unspecified => Err("a part of the expression is missing".to_owned()),
        }
    }

    fn select(&mut self, select: &SelectExpr) -> Typed {
        let kind = match self.type_of(&select.operand)? {
            Type::Message(message) => {
                let field = message.get_field_by_name(&select.field);
                let field = field.ok_or_else(|| format!("{} has no field {}", message.full_name(), select.field))?;
                if matches!(&select.operand.expr, Expr::Ident(name) if name == "this") {
                    self.first_field.get_or_insert_with(|| field.clone());
                }
                Type::of_field(&field)
            }
            Type::Map(_, value) => *value,
            Type::Any => Type::Any,
            other => return Err(format!("{other} has no field {}", select.field)),
        };
        Ok(if select.test { Type::Bool } else { kind })
    }

    fn comprehension(&mut self, all: &ComprehensionExpr) -> Typed {
        let item = match self.type_of(&all.iter_range)? {
            Type::List(item) | Type::Map(item, _) => *item,
            Type::Any => Type::Any,
            other => return Err(format!("{other} is neither a list nor a map")),
        };
        if ["this", "now", "rule"].contains(&all.iter_var.as_str()) {
            return Err(format!("{} is a variable of all rules: choose another name", all.iter_var));
        }
        let result = self.type_of(&all.accu_init)?;
        let outer = self.variables.clone();
        self.variables.extend([(all.iter_var.clone(), item), (all.accu_var.clone(), result)]);
        self.type_of(&all.loop_cond)?;
        let step = self.type_of(&all.loop_step)?;
        self.variables.insert(all.accu_var.clone(), step);
        let result = self.type_of(&all.result);
        self.variables = outer;
        result
    }

    fn call(&mut self, call: &CallExpr) -> Typed {
        let target = call.target.as_ref().map(|target| self.type_of(target)).transpose()?;
        let args = call.args.iter().map(|arg| self.type_of(arg)).collect::<Result<Vec<_>, _>>()?;
        match (&target, args.as_slice()) {
            (None, [condition, yes, no]) if call.func_name == operators::CONDITIONAL => match condition {
                Type::Bool | Type::Any => Ok(yes.clone().or(no.clone())),
                other => Err(format!("the condition is {other}, and not a bool")),
            },
            (None, [left, right]) if is_operator(&call.func_name) => binary(&call.func_name, left, right),
            (None, [operand]) if is_operator(&call.func_name) => unary(&call.func_name, operand),
            _ => {
                if call.func_name == "matches" {
                    pattern(call.args.last(), self.rule.as_deref())?;
                }
                let operands: Vec<_> = target.iter().chain(&args).collect();
                function(&call.func_name, target.is_some(), &operands)
            }
        }
    }
}

/// The names of types.
const TYPES: [&str; 11] =
    ["bool", "bytes", "double", "duration", "int", "list", "map", "null_type", "string", "timestamp", "uint"];

fn is_operator(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_alphabetic())
}

fn unary(operator: &str, operand: &Type) -> Typed {
    match (operator, operand) {
        (operators::NOT_STRICTLY_FALSE, _) | (operators::LOGICAL_NOT, Type::Bool | Type::Any) => Ok(Type::Bool),
        (operators::NEGATE, Type::Int | Type::Double | Type::Any) => Ok(operand.clone()),
        _ => Err(format!("the operator {operator} does not apply to {operand}")),
    }
}

fn binary(operator: &str, left: &Type, right: &Type) -> Typed {
    use Type::{Any, Bool, Bytes, Double, Duration, Int, List, Map, String, Time, Uint};
    let is_any = matches!(left, Any) || matches!(right, Any);
    let result = match operator {
        operators::EQUALS | operators::NOT_EQUALS if left.is_comparable(right) => Some(Bool),
        operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => {
            let is_ordered =
                |kind: &Type| kind.is_number() || matches!(kind, Any | Bool | Bytes | Duration | String | Time);
            (is_ordered(left) && left.is_comparable(right)).then_some(Bool)
        }
        operators::LOGICAL_AND | operators::LOGICAL_OR => {
            (matches!(left, Bool | Any) && matches!(right, Bool | Any)).then_some(Bool)
        }
        operators::IN => match right {
            List(item) | Map(item, _) => item.is_comparable(left).then_some(Bool),
            Any => Some(Bool),
            _ => None,
        },
        operators::INDEX => match (left, right) {
            (List(item), Int | Uint | Any) => Some((**item).clone()),
            (Map(key, value), key_type) if key.is_comparable(key_type) => Some((**value).clone()),
            (Any, _) => Some(Any),
            _ => None,
        },
        operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO
            if is_any =>
        {
            Some(Any)
        }
        operators::ADD => match (left, right) {
            (Time, Duration) | (Duration, Time) => Some(Time),
            (List(_), List(_)) => Some(left.clone().or(right.clone())),
            (Int | Uint | Double | String | Bytes | Duration, _) if left == right => Some(left.clone()),
            _ => None,
        },
        operators::SUBSTRACT => match (left, right) {
            (Time, Time) => Some(Duration),
            (Time, Duration) => Some(Time),
            (Int | Uint | Double | Duration, _) if left == right => Some(left.clone()),
            _ => None,
        },
        operators::MULTIPLY | operators::DIVIDE => (left.is_number() && left == right).then(|| left.clone()),
        operators::MODULO => (matches!(left, Int | Uint) && left == right).then(|| left.clone()),
        _ => None,
    };
    result.ok_or_else(|| format!("the operator {operator} does not apply to {left} and {right}"))
}

/// The functions of CEL, of its extension for strings, and of protovalidate: the name, with a dot if it is a method; the types
/// of the arguments, of which the first one is the target of a method; and the type of the result.
const FUNCTIONS: [(&str, &str, &str); 59] = [
    ("size", "string|bytes|list|map", "int"),
    (".size", "string|bytes|list|map", "int"),
    ("matches", "string string", "bool"),
    (".matches", "string string", "bool"),
    ("getField", "dyn string", "dyn"),
    (".getField", "dyn string", "dyn"),
    (".contains", "string string", "bool"),
    (".contains", "bytes bytes", "bool"),
    (".startsWith", "string string", "bool"),
    (".startsWith", "bytes bytes", "bool"),
    (".endsWith", "string string", "bool"),
    (".endsWith", "bytes bytes", "bool"),
    (".isEmail", "string", "bool"),
    (".isHostname", "string", "bool"),
    (".isHostAndPort", "string bool", "bool"),
    (".isIp", "string [int]", "bool"),
    (".isIpPrefix", "string [int] [bool]", "bool"),
    (".isIpPrefix", "string bool", "bool"),
    (".isUri", "string", "bool"),
    (".isUriRef", "string", "bool"),
    (".isNan", "double", "bool"),
    (".isInf", "double [int]", "bool"),
    (".unique", "list", "bool"),
    (".charAt", "string int", "string"),
    (".format", "string list", "string"),
    (".lowerAscii", "string", "string"),
    (".upperAscii", "string", "string"),
    (".trim", "string", "string"),
    (".reverse", "string", "string"),
    (".replace", "string string string [int]", "string"),
    (".substring", "string int [int]", "string"),
    (".indexOf", "string string [int]", "int"),
    (".lastIndexOf", "string string [int]", "int"),
    (".split", "string string [int]", "list(string)"),
    (".join", "list [string]", "string"),
    (".getFullYear", "timestamp [string]", "int"),
    (".getMonth", "timestamp [string]", "int"),
    (".getDayOfYear", "timestamp [string]", "int"),
    (".getDayOfMonth", "timestamp [string]", "int"),
    (".getDate", "timestamp [string]", "int"),
    (".getDayOfWeek", "timestamp [string]", "int"),
    (".getHours", "timestamp [string]", "int"),
    (".getMinutes", "timestamp [string]", "int"),
    (".getSeconds", "timestamp [string]", "int"),
    (".getMilliseconds", "timestamp [string]", "int"),
    (".getHours", "duration", "int"),
    (".getMinutes", "duration", "int"),
    (".getSeconds", "duration", "int"),
    (".getMilliseconds", "duration", "int"),
    ("int", "int|uint|double|string|timestamp", "int"),
    ("uint", "int|uint|double|string", "uint"),
    ("double", "int|uint|double|string", "double"),
    ("string", "bool|int|uint|double|string|bytes|timestamp|duration", "string"),
    ("bytes", "string|bytes", "bytes"),
    ("bool", "bool|string", "bool"),
    ("timestamp", "timestamp|string|int", "timestamp"),
    ("duration", "duration|string", "duration"),
    ("type", "dyn", "dyn"),
    ("dyn", "dyn", "dyn"),
];

/// Returns the type of the result of a function or method, whose operands are its target and its arguments.
fn function(name: &str, is_method: bool, operands: &[&Type]) -> Typed {
    let mut overloads = FUNCTIONS.iter().filter(|(other, ..)| other.trim_start_matches('.') == name).peekable();
    if overloads.peek().is_none() {
        return Err(format!("the function {name} is unknown"));
    }
    let overload =
        overloads.find(|(other, parameters, _)| other.starts_with('.') == is_method && accepts(parameters, operands));
    match overload {
        Some((.., "list(string)")) => Ok(Type::List(Type::String.into())),
        Some((.., result)) => {
            use Type::{Bool, Bytes, Double, Duration, Int, String, Time, Uint};
            let mut scalars = [Bool, Int, Uint, Double, String, Bytes, Time, Duration].into_iter();
            Ok(scalars.find(|scalar| scalar.to_string() == *result).unwrap_or(Type::Any))
        }
        None => {
            let given: Vec<_> = operands.iter().map(ToString::to_string).collect();
            let kind = if is_method { "method" } else { "function" };
            Err(format!("the {kind} {name} does not apply to {}", given.join(", ")))
        }
    }
}

/// Returns whether the parameters of a function accept operands of these types. A parameter in brackets may be absent.
fn accepts(parameters: &str, operands: &[&Type]) -> bool {
    let parameters: Vec<_> = parameters.split(' ').collect();
    let least = parameters.iter().filter(|parameter| !parameter.starts_with('[')).count();
    let fits = |(parameter, operand): (&&str, &&Type)| {
        parameter.trim_matches(['[', ']']).split('|').any(|kind| match operand {
            Type::Any => true,
            _ if kind == "dyn" => true,
            Type::List(_) => kind == "list",
            Type::Map(..) => kind == "map",
            other => other.to_string() == kind,
        })
    };
    (least..=parameters.len()).contains(&operands.len()) && parameters.iter().zip(operands).all(fits)
}

/// Checks the pattern of `matches`: a literal, or the text of the variable `rule`. The compilation of a pattern of a request could
/// take long.
fn pattern(pattern: Option<&IdedExpr>, rule: Option<&str>) -> Result<(), String> {
    let text = match pattern.map(|pattern| &pattern.expr) {
        Some(Expr::Literal(LiteralValue::String(text))) => text.inner(),
        Some(Expr::Ident(name)) if name == "rule" => rule.unwrap_or_default(),
        _ => return Err("the pattern of matches is neither a text in quotes nor the variable rule".to_owned()),
    };
    regex::Regex::new(text).map(drop).map_err(|error| format!("the pattern is no regular expression: {error}"))
}
