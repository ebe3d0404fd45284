//! Default policy values that the HTTP verb and the message types imply. `MethodPolicy` in `method.proto` documents the
//! tables and conventions.

use prost_reflect::{FieldDescriptor, Kind, MethodDescriptor};
use prost_types::{MethodOptions, method_options::IdempotencyLevel};

use super::{Cache, Idempotency, RateClass, message, module::unversioned, pb};

const HTTP: &str = "google.api.http";

#[derive(Debug)]
pub(super) struct Defaults {
    pub(super) is_read: bool,
    pub(super) idempotency: Idempotency,
    pub(super) rate_class: RateClass,
    pub(super) cache: Cache,
    pub(super) conditional: bool,
}

impl Defaults {
    /// Reads the defaults of a method.
    /// Errors: A method that neither has an HTTP rule nor is internal, and one that has a rule and is internal.
    pub(super) fn read(method: &MethodDescriptor, raw: &pb::MethodPolicy, has_version: bool) -> Result<Self, String> {
        match (message(&method.options(), HTTP), raw.internal) {
            (Some(rule), false) => {
                let is_one_of = |verbs: &[&str]| verbs.iter().any(|verb| rule.has_field_by_name(verb));
                Ok(Self::of(is_one_of(&["get"]), is_one_of(&["put", "patch"]), has_version))
            }
            (None, true) => {
                let method = method.method_descriptor_proto();
                let level = method.options.as_ref().map(MethodOptions::idempotency_level);
                // No HTTP cache sees the response.
                Ok(Self::of(level == Some(IdempotencyLevel::NoSideEffects), false, false))
            }
            (None, false) => {
                Err("no HTTP rule: give the method the option google.api.http, or set `internal: true` for gRPC alone"
                    .to_owned())
            }
            (Some(_), true) => {
                Err("an internal method is reached over gRPC alone: remove google.api.http, or internal".to_owned())
            }
        }
    }

    fn of(is_read: bool, replaces: bool, has_version: bool) -> Self {
        Self {
            is_read,
            idempotency: if is_read { Idempotency::None } else { Idempotency::Optional },
            rate_class: if is_read { RateClass::Read } else { RateClass::Write },
            cache: if is_read && has_version { Cache::PrivateRevalidate } else { Cache::NoStore },
            conditional: replaces && has_version,
        }
    }
}

pub(super) fn deadline_ms(method: &MethodDescriptor, rate_class: RateClass) -> i32 {
    if method.is_server_streaming() {
        600_000
    } else if method.is_client_streaming() {
        120_000
    } else if rate_class == RateClass::Bulk {
        10_000
    } else {
        2000
    }
}

/// Returns the path of the version, if the response has one in its conventional field.
pub(super) fn version_field(method: &MethodDescriptor) -> Option<&'static str> {
    let field = field_of_data(method, "version")?;
    matches!(field.kind(), Kind::Int32 | Kind::Int64).then_some("data.version")
}

/// Returns the path of the time of the last change, if the response has one in its conventional field.
pub(super) fn last_modified_field(method: &MethodDescriptor) -> Option<&'static str> {
    let field = field_of_data(method, "update_time")?;
    let kind = field.kind();
    let message = kind.as_message()?;
    (message.full_name() == "google.protobuf.Timestamp").then_some("data.update_time")
}

/// Returns a singular field of `data`. A stream and a page have no single version, and a resource of another module has
/// its ETag on that module's methods only.
fn field_of_data(method: &MethodDescriptor, name: &str) -> Option<FieldDescriptor> {
    let single = |field: &FieldDescriptor| !field.is_list() && !field.is_map();
    let data = method.output().get_field_by_name("data").filter(single)?.kind().as_message()?.clone();
    let field = data.get_field_by_name(name).filter(single)?;
    let file = method.parent_file();
    let is_own = unversioned(data.package_name()) == unversioned(file.package_name());
    (is_own && !method.is_server_streaming()).then_some(field)
}
