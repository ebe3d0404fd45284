//! Rules of a message about several fields: of its oneofs, and of fields of which only one may be set.

use prost_reflect::{FieldDescriptor, MessageDescriptor, Value};

use super::{Check, cel, record};
use crate::names;

const MESSAGE: &str = "buf.validate.message";
const ONEOF: &str = "buf.validate.oneof";

/// Fields of which at most one may be set.
pub(super) struct Choice {
    pub(super) fields: Vec<FieldDescriptor>,
    is_required: bool,
}

/// Reads the rules of a message: the choices among its fields, and the rules in CEL.
///
/// # Errors
/// Names that are not fields, and unknown rules.
pub(super) fn of_message(message: &MessageDescriptor) -> Result<(Vec<Choice>, Vec<cel::Rule>), String> {
    let (mut choices, mut expressions) = (Vec::new(), Vec::new());
    let Some(extension) = message.parent_pool().get_extension_by_name(MESSAGE) else {
        return Ok((choices, expressions));
    };
    let options = message.options();
    let option = options.get_extension(&extension);
    for (rule, value) in option.as_message().into_iter().flat_map(|option| option.fields()) {
        match (rule.name(), value) {
            ("oneof", Value::List(rules)) => {
                for rule in rules {
                    choices.push(Choice::read(message, rule)?);
                }
            }
            ("cel" | "cel_expression", rules) => expressions.extend(cel::read(rules)?),
            (rule, _) => return Err(format!("the rule {rule} has no check yet")),
        }
    }
    Ok((choices, expressions))
}

/// Generates the checks of the oneofs of which a member must be set.
pub(super) fn of_oneofs(message: &MessageDescriptor) -> Result<String, String> {
    let Some(extension) = message.parent_pool().get_extension_by_name(ONEOF) else { return Ok(String::new()) };
    let mut source = String::new();
    for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let options = oneof.options();
        let option = options.get_extension(&extension);
        let required = option.as_message().and_then(|option| option.get_field_by_name("required"));
        if required.is_some_and(|required| *required == Value::Bool(true)) {
            let names: Vec<_> = oneof.fields().map(|field| field.json_name().to_owned()).collect();
            let check = Check::new(format!("self.{}.is_none()", names::snake(oneof.name())), required_one(&names));
            source += &record(&format!("path.field({:?})", names::json(oneof.name())), &[check]);
        }
    }
    Ok(source)
}

fn required_one(names: &[String]) -> String {
    format!("one of {} is required", names.join(", "))
}

impl Choice {
    fn read(message: &MessageDescriptor, rule: &Value) -> Result<Self, String> {
        let rule = rule.as_message().ok_or("a oneof rule is a message")?;
        let names = rule.get_field_by_name("fields").map(|names| names.into_owned());
        let names = names.as_ref().and_then(Value::as_list).unwrap_or_default();
        let mut fields: Vec<FieldDescriptor> = Vec::new();
        for name in names.iter().filter_map(Value::as_str) {
            let field = message.get_field_by_name(name);
            let field = field.ok_or_else(|| format!("a oneof rule names the field {name}, which does not exist"))?;
            if fields.contains(&field) {
                return Err(format!("a oneof rule names the field {name} twice"));
            }
            fields.push(field);
        }
        if fields.is_empty() {
            return Err("a oneof rule names no field".to_owned());
        }
        let is_required = rule.get_field_by_name("required").is_some_and(|required| *required == Value::Bool(true));
        Ok(Self { fields, is_required })
    }

    /// Generates the checks. A violation is reported for the first of the fields, because the request itself
    /// has no name.
    pub(super) fn statements(&self, is_set: impl Fn(&FieldDescriptor) -> String) -> String {
        let names: Vec<_> = self.fields.iter().map(|field| field.json_name().to_owned()).collect();
        let each: Vec<_> = self.fields.iter().map(is_set).collect();
        let set = format!("[{}].into_iter().filter(|is_set| *is_set).count()", each.join(", "));
        let mut checks = vec![Check::new("set > 1", format!("only one of {} may be set", names.join(", ")))];
        if self.is_required {
            checks.push(Check::new("set == 0", required_one(&names)));
        }
        let checks = record(&format!("path.field({:?})", names[0]), &checks);
        format!("        {{\n            let set = {set};\n{checks}        }}\n")
    }
}
