//! Turns enums of error reasons into their facts: for every enum whose values carry `mainstay.error.v1.facts`, one
//! static per value and an implementation of `Catalogued`, so that creating an error needs no lookup.

use std::{collections::BTreeSet, fmt::Write as _};

use prost_reflect::{DescriptorPool, DynamicMessage, EnumDescriptor, ExtensionDescriptor, Value};

use crate::{Error, packages::Packages};

const OPTION: &str = "mainstay.error.v1.facts";

/// Generates `reasons.rs`; `runtime` is the Rust path of the module with `Catalogued` and `Facts`.
///
/// # Errors
/// A value with missing or invalid facts; the text names the value.
pub(crate) fn generate(
    pool: &DescriptorPool,
    packages: &Packages,
    generated: &BTreeSet<String>,
    runtime: &str,
) -> Result<String, Error> {
    let Some(option) = pool.get_extension_by_name(OPTION) else { return Ok(String::new()) };
    let mut source = String::new();
    let own = pool.all_enums().filter(|reasons| generated.contains(reasons.package_name()));
    for reasons in own.filter(|reasons| is_catalogued(reasons, &option)) {
        let path = format!("{}::{}", packages.rust_path(reasons.package_name()), reasons.name());
        source += &implementation(&reasons, &option, &path, runtime).map_err(Error::new)?;
    }
    Ok(source)
}

fn is_catalogued(reasons: &EnumDescriptor, option: &ExtensionDescriptor) -> bool {
    reasons.values().any(|value| value.options().has_extension(option))
}

fn implementation(
    reasons: &EnumDescriptor,
    option: &ExtensionDescriptor,
    path: &str,
    runtime: &str,
) -> Result<String, String> {
    if reasons.parent_message().is_some() {
        return Err(format!("{}: an enum of reasons stands at the top level of its file", reasons.full_name()));
    }
    let package = reasons.package_name();
    let mut arms = String::new();
    for value in reasons.values().filter(|value| value.number() != 0) {
        let facts = facts(package, value.name(), value.options().get_extension(option).as_message(), runtime)
            .map_err(|fault| format!("{}.{}: {fault}", reasons.full_name(), value.name()))?;
        writeln!(arms, "            {} => {{ static FACTS: Facts = {facts}; &FACTS }}", value.number())
            .expect("a string takes it");
    }
    Ok(format!(
        "impl {runtime}::Catalogued for {path} {{
    fn facts(self) -> &'static {runtime}::Facts {{
        use {runtime}::Facts;
        match i32::from(self) {{
{arms}            _ => {{ static FACTS: Facts = Facts::unspecified({package:?}); &FACTS }}
        }}
    }}
}}
"
    ))
}

/// Generates the expression for the facts of one value.
fn facts(package: &str, name: &str, option: Option<&DynamicMessage>, runtime: &str) -> Result<String, String> {
    let field = |name: &str| option.and_then(|option| option.get_field_by_name(name)).map(|value| value.into_owned());
    let grpc = field("grpc_code").and_then(|value| value.as_enum_number()).unwrap_or_default();
    let http = field("http_status").and_then(|value| value.as_i32()).unwrap_or_default();
    let retryable = matches!(field("retryable"), Some(Value::Bool(true)));
    let storable = matches!(field("storable"), Some(Value::Bool(true)));
    let Some(Value::String(summary)) = field("summary") else { return Err(format!("it has no ({OPTION})")) };
    let Some((_, code)) = name.split_once("REASON_") else { return Err("its name has no REASON_".to_owned()) };
    if !(400..=599).contains(&http) || grpc == 0 || summary.is_empty() {
        return Err(format!("({OPTION}) needs a grpc_code, an http_status of an error, and a summary"));
    }
    Ok(format!(
        "Facts {{ code: {code:?}, domain: {runtime}::domain({package:?}), grpc: {runtime}::grpc({grpc}), \
         http: {runtime}::http({http}), retryable: {retryable}, storable: {storable}, summary: {summary:?} }}"
    ))
}
