//! The catalogue: an index of all reasons of a contract by code, for decoding statuses and stored responses.

use std::collections::HashMap;

use http::StatusCode;
use prost_reflect::{DescriptorPool, EnumDescriptor, EnumValueDescriptor, ExtensionDescriptor, Value};

use super::{Facts, ReasonRef, domain, pb};

const OPTION: &str = "mainstay.error.v1.facts";

/// The reasons of every enum whose values carry facts.
#[derive(Debug)]
pub struct Catalogue {
    reasons: Vec<ReasonRef>,
    by_code: HashMap<&'static str, ReasonRef>,
}

impl Catalogue {
    /// Reads the catalogue from a descriptor set. It leaks its texts, which errors refer to.
    ///
    /// # Errors
    /// All duplicate codes and all values with invalid facts, one line each.
    pub fn read(pool: &DescriptorPool) -> Result<Self, Vec<String>> {
        let Some(option) = pool.get_extension_by_name(OPTION) else {
            return Err(vec![format!("the descriptor set has no {OPTION}; include mainstay/error/v1/reason.proto")]);
        };
        let mut faults = Vec::new();
        let mut entries = Vec::new();
        for (reasons, value) in values(pool) {
            match facts(&reasons, &value, &option) {
                Ok(None) => {}
                Ok(Some(facts)) => entries.push((format!("{}.{}", reasons.full_name(), value.name()), facts)),
                Err(fault) => faults.push(format!("{}.{}: {fault}", reasons.full_name(), value.name())),
            }
        }
        let mut names = HashMap::<&'static str, &str>::new();
        for (name, facts) in &entries {
            if let Some(other) = names.insert(facts.code, name) {
                let code = facts.code;
                faults.push(format!(
                    "{other} and {name} have the same code, {code}; a code must be unique, so rename one of them"
                ));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let reasons: Vec<_> = entries.into_iter().map(|(_, facts)| ReasonRef(Box::leak(Box::new(facts)))).collect();
        let by_code = reasons.iter().map(|reason| (reason.facts().code, *reason)).collect();
        Ok(Self { reasons, by_code })
    }

    /// Returns the reason with this `error.code`.
    pub fn find(&self, code: &str) -> Option<ReasonRef> {
        self.by_code.get(code).copied()
    }

    /// Returns the reason of an `ErrorInfo`, unless it comes from another system.
    pub fn find_in(&self, domain: &str, code: &str) -> Option<ReasonRef> {
        self.find(code).filter(|reason| reason.facts().domain == domain)
    }

    /// Returns every reason, by domain and number.
    pub fn iter(&self) -> impl Iterator<Item = ReasonRef> {
        self.reasons.iter().copied()
    }
}

/// Returns the values of every enum, by package and number.
fn values(pool: &DescriptorPool) -> Vec<(EnumDescriptor, EnumValueDescriptor)> {
    let mut values: Vec<_> = pool
        .all_enums()
        .flat_map(|reasons| reasons.values().map(|value| (reasons.clone(), value)).collect::<Vec<_>>())
        .collect();
    values.sort_by_key(|(reasons, value)| (reasons.full_name().to_owned(), value.number()));
    values
}

fn facts(
    reasons: &EnumDescriptor,
    value: &EnumValueDescriptor,
    option: &ExtensionDescriptor,
) -> Result<Option<Facts>, String> {
    let options = value.options();
    if !options.has_extension(option) {
        return Ok(None);
    }
    let raw: pb::ReasonFacts = match options.get_extension(option).into_owned() {
        Value::Message(message) => message.transcode_to().map_err(|error| error.to_string())?,
        other => return Err(format!("({OPTION}) is {other:?}")),
    };
    let http = u16::try_from(raw.http_status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let code = value.name().split_once("REASON_").map_or(value.name(), |(_, code)| code);
    Ok(Some(Facts {
        code: code.to_owned().leak(),
        domain: domain(reasons.package_name().to_owned().leak()),
        grpc: tonic::Code::from_i32(raw.grpc_code),
        http: http.ok_or_else(|| format!("{} is no HTTP status", raw.http_status))?,
        retryable: raw.retryable,
        storable: raw.storable,
        summary: raw.summary.leak(),
    }))
}
