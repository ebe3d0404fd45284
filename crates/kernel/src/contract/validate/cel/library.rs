//! The functions of expressions: those of CEL, its extension for strings, and those of protovalidate, which are the
//! predicates of the typed rules.

use std::{
    borrow::Cow,
    collections::HashSet,
    sync::{Arc, LazyLock},
};

use ::cel::{
    Env, ExecutionError, IdedExpr, ParseErrors,
    common::{
        ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators},
        traits::Iterable,
        types::{
            BOOL_TYPE, BYTES_TYPE, CelBool, CelBytes, CelDouble, CelInt, CelString, CelUInt, DOUBLE_TYPE, DYN_TYPE,
            INT_TYPE, LIST_TYPE, STRING_TYPE, Type,
        },
        value::{CowVal, FromVal, Val},
    },
    extensions,
};
use moka::sync::Cache;
use regex::Regex;

use super::{
    super::check,
    value::{Counter, Message},
};

/// The variable of the count of evaluated items, which no expression can name.
pub(super) const STEPS: &str = "@steps";
const COUNTED: &str = "@counted";
const HAS: &str = "@has";
const MATCHES: &str = "@matches";

type Args<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

pub(super) fn environment() -> Arc<Env> {
    static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(declared()));
    Arc::clone(&ENVIRONMENT)
}

/// Parses an expression. Presence, which the crate's `has` does not tell from a value, becomes a function of this module, and
/// so does `matches`, for which the crate compiles the pattern at each call. Each list that the expression iterates over or
/// searches is counted.
pub(super) fn parse(text: &str) -> Result<IdedExpr, ParseErrors> {
    let mut expression = environment().parser().parse(text)?;
    rewrite(&mut expression);
    Ok(expression)
}

fn rewrite(node: &mut IdedExpr) {
    match &mut node.expr {
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| rewrite(target));
            call.args.iter_mut().for_each(rewrite);
            if call.func_name == operators::IN
                && let Some(container) = call.args.get_mut(1)
            {
                count(container);
            }
            // These take time or memory for each character, or for the product of their operands.
            if ["indexOf", "lastIndexOf", "replace", "split"].contains(&call.func_name.as_str()) {
                call.target.iter_mut().for_each(|target| count(target));
                call.args.iter_mut().for_each(count);
            }
            if call.func_name == "matches" {
                let steps = IdedExpr { id: node.id, expr: Expr::Ident(STEPS.to_owned()) };
                let target = call.target.take().map(|target| *target);
                let args = target.into_iter().chain(call.args.drain(..)).chain([steps]).collect();
                node.expr = self::call(MATCHES, args);
            }
        }
        Expr::Comprehension(all) => {
            let parts =
                [&mut all.iter_range, &mut all.accu_init, &mut all.loop_cond, &mut all.loop_step, &mut all.result];
            parts.into_iter().for_each(rewrite);
            count(&mut all.iter_range);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(rewrite),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    rewrite(&mut entry.key);
                    rewrite(&mut entry.value);
                }
            }
        }
        Expr::Select(select) => {
            rewrite(&mut select.operand);
            if select.test {
                let field = LiteralValue::String(CelString::from(select.field.clone()));
                let field = IdedExpr { id: node.id, expr: Expr::Literal(field) };
                let operand = std::mem::take(&mut *select.operand);
                node.expr = call(HAS, vec![operand, field]);
            }
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}

/// Counts the items of the list or map, or the characters of the text, that an expression returns.
fn count(node: &mut IdedExpr) {
    let id = node.id;
    let container = std::mem::take(node);
    let steps = IdedExpr { id, expr: Expr::Ident(STEPS.to_owned()) };
    *node = IdedExpr { id, expr: call(COUNTED, vec![container, steps]) };
}

fn call(name: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args })
}

fn declared() -> Env {
    type Function = for<'b, 'v> fn(Args<'b, 'v>) -> Outcome<'b, 'v>;
    let mut environment = Env::stdlib();
    environment.add_extension(extensions::strings).expect("other functions");
    let functions: [(&str, &[Type], Function); 3] = [
        (COUNTED, &[DYN_TYPE, DYN_TYPE], counted),
        (HAS, &[DYN_TYPE, STRING_TYPE], has),
        (MATCHES, &[STRING_TYPE, STRING_TYPE, DYN_TYPE], matches),
    ];
    for (name, types, function) in functions {
        environment
            .add_overload(name, name, types.iter().map(ToOwned::to_owned).collect(), function)
            .expect("another function");
    }
    environment.add_overload("getField", "getField", vec![DYN_TYPE, STRING_TYPE], field).expect("another function");
    let methods: [(&str, Type, &[Type], Function); 19] = [
        ("isNan", DOUBLE_TYPE, &[], |args| truth(number(&args)?.is_nan())),
        ("isInf", DOUBLE_TYPE, &[], |args| truth(number(&args)?.is_infinite())),
        ("isInf", DOUBLE_TYPE, &[INT_TYPE], |args| {
            let (value, sign) = (number(&args)?, integer(&args, 1)?);
            truth(value.is_infinite() && (sign == 0 || (sign > 0) == (value > 0.0)))
        }),
        ("isEmail", STRING_TYPE, &[], |args| truth(check::is_email(text(&args)?))),
        ("isHostname", STRING_TYPE, &[], |args| truth(check::is_hostname(text(&args)?))),
        ("isHostAndPort", STRING_TYPE, &[BOOL_TYPE], |args| {
            let value = text(&args)?;
            let is_host = || {
                let address = value.strip_prefix('[').and_then(|value| value.strip_suffix(']'));
                let is_address = address.is_some_and(|address| check::is_ip(address, Some(6)));
                is_address || check::is_hostname(value) || check::is_ip(value, Some(4))
            };
            truth(check::is_host_and_port(value) || !flag(&args, 1)? && is_host())
        }),
        ("isIp", STRING_TYPE, &[], |args| truth(check::is_ip(text(&args)?, None))),
        ("isIp", STRING_TYPE, &[INT_TYPE], |args| {
            let value = text(&args)?;
            truth(version(&args)?.is_some_and(|version| check::is_ip(value, version)))
        }),
        ("isIpPrefix", STRING_TYPE, &[], |args| truth(check::is_ip_prefix(text(&args)?, None, false))),
        ("isIpPrefix", STRING_TYPE, &[BOOL_TYPE], |args| {
            truth(check::is_ip_prefix(text(&args)?, None, flag(&args, 1)?))
        }),
        ("isIpPrefix", STRING_TYPE, &[INT_TYPE], |args| {
            let value = text(&args)?;
            truth(version(&args)?.is_some_and(|version| check::is_ip_prefix(value, version, false)))
        }),
        ("isIpPrefix", STRING_TYPE, &[INT_TYPE, BOOL_TYPE], |args| {
            let (value, strict) = (text(&args)?, flag(&args, 2)?);
            truth(version(&args)?.is_some_and(|version| check::is_ip_prefix(value, version, strict)))
        }),
        ("isUri", STRING_TYPE, &[], |args| truth(check::is_uri(text(&args)?))),
        ("isUriRef", STRING_TYPE, &[], |args| truth(check::is_uri_reference(text(&args)?))),
        ("contains", BYTES_TYPE, &[BYTES_TYPE], |args| truth(check::contains(bytes(&args, 0)?, bytes(&args, 1)?))),
        ("startsWith", BYTES_TYPE, &[BYTES_TYPE], |args| truth(bytes(&args, 0)?.starts_with(bytes(&args, 1)?))),
        ("endsWith", BYTES_TYPE, &[BYTES_TYPE], |args| truth(bytes(&args, 0)?.ends_with(bytes(&args, 1)?))),
        ("unique", LIST_TYPE, &[], |args| {
            let list = args[0].as_iterable().ok_or_else(ExecutionError::missing_argument_or_target)?;
            truth(is_unique(list)?)
        }),
        ("getField", DYN_TYPE, &[STRING_TYPE], field),
    ];
    for (index, (name, target, types, function)) in methods.into_iter().enumerate() {
        let id = format!("{name}_{index}");
        environment
            .add_member_overload(name, &id, target, types.iter().map(ToOwned::to_owned).collect(), function)
            .expect("another function");
    }
    environment
}

/// Returns the first argument, after its items were counted.
fn counted<'b, 'v>(mut args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let Counter(steps) = argument(&args, 1)?;
    let size = args[0].as_sizer().map_or(1, |sizer| usize::try_from(*sizer.size().inner()).unwrap_or_default());
    steps.take(size)?;
    Ok(args.swap_remove(0))
}

/// Returns whether a text matches a pattern. The build accepts no patterns of requests.
fn matches<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    static PATTERNS: LazyLock<Cache<String, Arc<Regex>>> = LazyLock::new(|| Cache::new(1_000));
    let text = text(&args)?;
    let pattern = argument::<CelString<'_>>(&args, 1)?.inner();
    let Counter(steps) = argument(&args, 2)?;
    steps.read(text.len())?;
    let compiled = match PATTERNS.get(pattern) {
        Some(compiled) => compiled,
        None => {
            let compiled = Regex::new(pattern).map_err(|error| ExecutionError::function_error("matches", error))?;
            let compiled = Arc::new(compiled);
            PATTERNS.insert(pattern.to_owned(), Arc::clone(&compiled));
            compiled
        }
    };
    truth(compiled.is_match(text))
}

/// Returns whether a field of a message is set, or a map has a key.
fn has<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    if let Some(message) = args[0].downcast_ref::<Message>() {
        return truth(message.has(argument::<CelString<'_>>(&args, 1)?.inner()));
    }
    let container = args[0].as_container().ok_or_else(ExecutionError::missing_argument_or_target)?;
    truth(container.contains(args[1].as_ref())?)
}

fn field<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let indexer = args[0].as_indexer().ok_or_else(ExecutionError::missing_argument_or_target)?;
    Ok(CowVal::Owned(indexer.get(args[1].as_ref())?.into_owned()))
}

/// Returns whether all scalars of a list are distinct; NaN equals nothing.
fn is_unique(list: &(dyn Iterable + '_)) -> Result<bool, ExecutionError> {
    let mut distinct = HashSet::new();
    let mut items = list.iter();
    while let Some(item) = items.next() {
        let (kind, bytes): (u8, Cow<'_, [u8]>) = if let Some(text) = item.downcast_ref::<CelString<'_>>() {
            (0, text.inner().as_bytes().into())
        } else if let Some(bytes) = item.downcast_ref::<CelBytes<'_>>() {
            (1, bytes.inner().into())
        } else if let Some(number) = item.downcast_ref::<CelInt>() {
            (2, number.inner().to_le_bytes().to_vec().into())
        } else if let Some(number) = item.downcast_ref::<CelUInt>() {
            (3, number.inner().to_le_bytes().to_vec().into())
        } else if let Some(number) = item.downcast_ref::<CelDouble>() {
            if number.inner().is_nan() {
                continue;
            }
            // The sum has one form of zero.
            (4, (number.inner() + 0.0).to_le_bytes().to_vec().into())
        } else if let Some(flag) = item.downcast_ref::<CelBool>() {
            (5, vec![u8::from(*flag.inner())].into())
        } else {
            return Err(ExecutionError::function_error("unique", "only scalars can be unique"));
        };
        if !distinct.insert((kind, bytes.into_owned())) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn truth<'b, 'v>(value: bool) -> Outcome<'b, 'v> {
    Ok(CowVal::owned(CelBool::from(value)))
}

fn argument<'a, 'v, T: FromVal<'a, 'v>>(args: &'a [CowVal<'_, 'v>], index: usize) -> Result<&'a T, ExecutionError> {
    let argument: Option<&'a (dyn Val + 'v)> = args.get(index).map(AsRef::as_ref);
    argument.and_then(|argument| argument.downcast_ref()).ok_or_else(ExecutionError::missing_argument_or_target)
}

fn text<'a>(args: &'a [CowVal<'_, '_>]) -> Result<&'a str, ExecutionError> {
    Ok(argument::<CelString<'_>>(args, 0)?.inner())
}

fn bytes<'a>(args: &'a [CowVal<'_, '_>], index: usize) -> Result<&'a [u8], ExecutionError> {
    Ok(argument::<CelBytes<'_>>(args, index)?.inner())
}

fn number(args: &[CowVal<'_, '_>]) -> Result<f64, ExecutionError> {
    Ok(*argument::<CelDouble>(args, 0)?.inner())
}

fn integer(args: &[CowVal<'_, '_>], index: usize) -> Result<i64, ExecutionError> {
    Ok(*argument::<CelInt>(args, index)?.inner())
}

fn flag(args: &[CowVal<'_, '_>], index: usize) -> Result<bool, ExecutionError> {
    Ok(*argument::<CelBool>(args, index)?.inner())
}

/// Returns the version of IP that the second argument selects: 4, 6, or 0 for either; `None` for another number.
fn version(args: &[CowVal<'_, '_>]) -> Result<Option<Option<u8>>, ExecutionError> {
    Ok(match integer(args, 1)? {
        0 => Some(None),
        4 => Some(Some(4)),
        6 => Some(Some(6)),
        _ => None,
    })
}
