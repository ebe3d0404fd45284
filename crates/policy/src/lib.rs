//! Method policies: access, idempotency, rate class, deadline, caching and preconditions of each method.
//!
//! A policy is read from the options of `mainstay.policy.v1`: grant sets and scopes of a module, defaults of a service,
//! and options of a method. The HTTP verb and the message types imply the remaining values, except for access, which has
//! no default. A contract does not compile, and a server does not start, if a method has no policy, an invalid policy, or
//! no HTTP rule unless it is internal. gRPC's health and reflection services are exempt by name.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::TimeDelta;
use http::StatusCode;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ReflectMessage as _, ServiceDescriptor, Value};

pub use pb::{Cache, ErrorFormat, Holder, Idempotency, RateClass, Reach, Role};

mod built_in;
mod defaults;
mod deprecation;
mod field;
mod grants;
mod module;
mod privacy;
mod public_cache;
mod read;
mod scope;
mod subject;
mod success;
/// The generated messages of the options.
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/mainstay.policy.v1.rs"));
}

pub use built_in::BuiltInRole;
pub use deprecation::Deprecation;
pub use field::{FieldPath, FieldValue};
pub use grants::Grant;
pub use module::DeclaredEvent;
pub use privacy::{Class, Privacy, Shape};
pub use public_cache::{PublicCache, STALE_IF_ERROR};
pub use scope::{DeclaredScope, Scope, Title};
pub use subject::{Subject, kind_of};
pub use success::{LocationPart, Success, When};

use built_in::BuiltInScopes;
use module::Modules;
use proto as pb;

/// One method and its policy.
#[derive(Debug)]
pub struct Method {
    /// The gRPC path: `/mainstay.support.v1.TicketService/GetTicket`.
    pub path: String,
    /// The short name for metrics and logs: `TicketService.GetTicket`, `TicketServiceV2.GetTicket`.
    pub name: String,
    /// The descriptor.
    pub descriptor: MethodDescriptor,
    /// The title in the OpenAPI document; `None` derives it from the method's name.
    pub title: Option<String>,
    /// Whether credentials are required.
    pub access: Access,
    /// The roles that may call, with the reach of each and the scope that it needs.
    pub grants: Vec<Grant>,
    /// Whether an idempotency key is ignored, allowed or required.
    pub idempotency: Idempotency,
    /// The rate limit that a call counts against.
    pub rate_class: RateClass,
    /// The server's time limit for a call.
    pub deadline: Duration,
    /// The HTTP statuses and headers of a successful response.
    pub success: Vec<Success>,
    /// The field that the ETag is derived from.
    pub version: Option<FieldPath>,
    /// The id of the resource, which is part of the ETag where the URL of a read does not contain it: another resource
    /// may have the same version, such as the next owner of a slug.
    pub identity: Option<FieldPath>,
    /// The timestamp for Last-Modified.
    pub last_modified: Option<FieldPath>,
    /// The kinds of caches that may store the response.
    pub cache: Cache,
    /// The freshness lifetimes for shared caches; set if and only if `cache` is public.
    pub public_cache: Option<PublicCache>,
    /// The largest request message in bytes; `None` for the server's default.
    pub max_request_bytes: Option<usize>,
    /// The media types of a raw body, of the request if it has one, else of the response; empty for JSON.
    pub media_types: Vec<String>,
    /// Whether If-Match is evaluated.
    pub conditional: bool,
    /// The number of the request field that is the read mask.
    pub read_mask: Option<u32>,
    /// The number of the request field that lists included resources.
    pub include: Option<u32>,
    /// Whether the response is a live stream of changes.
    pub watch: bool,
    /// The effect of a call in Postgres.
    pub effect: Effect,
    /// What a call is about.
    pub subject: Subject,
    /// The longest time since a user last proved who they are.
    pub max_auth_age: Option<TimeDelta>,
    /// Whether a user who must add a second factor first may call.
    pub before_second_factor: bool,
    /// Whether only a session of the user may call; see [`Method::needs_session`].
    pub in_person: bool,
    /// The announced end of a deprecated method.
    pub deprecation: Option<Deprecation>,
    /// How REST callers get errors.
    pub error_format: ErrorFormat,
}

/// The effect of a call in Postgres, as far as it decides where this call and later ones of the caller may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The method reads from the primary only.
    CurrentRead,
    /// The method may read from a replica.
    ReplicaRead,
    /// The method may write. A watch counts as a write: a list that its caller requests after the stream has opened
    /// must not be older than the start of the stream. Otherwise both would lack the changes in between.
    Write,
}

/// Whether a method requires credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Any caller may call the method. Grants, if any, extend the reach of their roles.
    Public,
    /// Only the granted roles may call the method.
    Granted,
}

/// The policies of all methods, by gRPC path, with the declared scopes and events of all modules.
#[derive(Debug)]
pub struct Policies {
    methods: HashMap<String, Method>,
    modules: Modules,
    built_in: BuiltInScopes,
    /// Which fields are personal or secret.
    pub privacy: Privacy,
}

/// Services outside the contract, by name.
pub const EXEMPT: [&str; 3] =
    ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

impl Policies {
    /// Reads the policies of a descriptor set.
    ///
    /// # Errors
    /// All methods whose policy or HTTP rule is missing or invalid, and all faults of module options, one line each with
    /// the file.
    pub fn read(pool: &DescriptorPool) -> Result<Self, Vec<String>> {
        let (modules, mut faults) = Modules::read(pool);
        let mut methods = HashMap::new();
        for descriptor in services(pool).flat_map(|service| service.methods().collect::<Vec<_>>()) {
            match Method::read(&descriptor, &modules) {
                Ok(method) => drop(methods.insert(method.path.clone(), method)),
                Err(method_faults) => {
                    let (file, name) = (descriptor.parent_file(), descriptor.full_name());
                    faults.extend(method_faults.iter().map(|fault| format!("{}: {name}: {fault}", file.name())));
                }
            }
        }
        let (built_in, privacy) = (BuiltInScopes::of(modules.scopes()), Privacy::read(pool));
        if faults.is_empty() { Ok(Self { methods, modules, built_in, privacy }) } else { Err(faults) }
    }

    /// Returns the method with a gRPC path.
    pub fn get(&self, path: &str) -> Option<&Method> {
        self.methods.get(path)
    }

    /// Returns every method, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        self.methods.values()
    }

    /// Returns every scope that a module declares, by name.
    pub fn scopes(&self) -> impl Iterator<Item = &DeclaredScope> {
        self.modules.scopes()
    }

    /// Returns the scopes of a built-in role, by name.
    pub fn scopes_of(&self, role: BuiltInRole) -> Arc<[Scope]> {
        self.built_in.get(role)
    }

    /// Returns the scopes of these names, as their modules declare them. An undeclared scope is omitted: it grants
    /// nothing, because no method requires it.
    pub fn declared<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Arc<[Scope]> {
        names.into_iter().filter_map(|name| self.scope(name)).collect()
    }

    /// Returns the names of all scopes, as text for a message.
    pub fn scope_names(&self) -> String {
        self.modules.scope_names()
    }

    /// Returns the scope with a name, if a module declares it.
    pub fn scope(&self, name: &str) -> Option<Scope> {
        self.modules.scope(name)
    }

    /// Returns every kind of event that a module declares, by name.
    pub fn events(&self) -> impl Iterator<Item = &DeclaredEvent> {
        self.modules.events.values()
    }

    /// Returns the names of the modules, as their contracts have them.
    pub fn module_names(&self) -> impl Iterator<Item = &str> {
        self.modules.names()
    }

    /// Returns the names of all kinds of events, as text for a message.
    pub fn event_names(&self) -> String {
        module::list(self.modules.events.keys())
    }

    /// Returns the kind of event with a name, if a module declares it.
    pub fn event(&self, name: &str) -> Option<&DeclaredEvent> {
        self.modules.events.get(name)
    }
}

impl Method {
    /// Returns the grant of a role, if it has one.
    pub fn grant(&self, role: Role) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.role == role)
    }

    /// Returns whether a user must call by a session of the user: a program with a personal access token may not. A method
    /// that asks for a recent sign-in needs one, too.
    pub fn needs_session(&self) -> bool {
        self.in_person || self.max_auth_age.is_some()
    }

    /// Returns the success variant that applies to an encoded response.
    pub fn success(&self, response: &[u8]) -> Option<&Success> {
        self.success.iter().find(|success| success.applies(response))
    }

    /// Returns whether `Accept` selects a representation of the response. A redirection and a 204 have none, and a body in
    /// place of a 204 has one.
    pub fn negotiates(&self) -> bool {
        let has = |status| move |success: &Success| success.status == status;
        !self.success.iter().any(has(StatusCode::NO_CONTENT)) && !self.success.iter().all(has(StatusCode::FOUND))
    }

    /// Returns the id of the operation to poll, if the encoded response is a 202.
    pub fn pending<'r>(&self, response: &'r [u8]) -> Option<&'r str> {
        let success = self.success(response).filter(|success| success.status == StatusCode::ACCEPTED)?;
        success.location.iter().find_map(|part| match part {
            LocationPart::Field(path) => path.text(response),
            LocationPart::Literal(_) => None,
        })
    }
}

/// Returns the name of a service, which later versions of its package do not share: `VehicleService` of `fleet.v1`,
/// `VehicleServiceV2` of `fleet.v2`.
pub fn service_name(service: &ServiceDescriptor) -> String {
    let package = service.package_name();
    match package.strip_prefix(module::unversioned(package)).and_then(|version| version.strip_prefix(".v")) {
        None | Some("1") => service.name().to_owned(),
        Some(version) => format!("{}V{version}", service.name()),
    }
}

/// Returns the services of the modules, without the exempt ones.
pub fn services(descriptors: &DescriptorPool) -> impl Iterator<Item = ServiceDescriptor> {
    descriptors.services().filter(|service| !EXEMPT.contains(&service.full_name()))
}

/// Returns an option of a file, service, method or field; `None` if it is not set, or not part of the contract.
pub fn option<M: prost::Message + Default>(options: &DynamicMessage, extension: &str) -> Option<M> {
    message(options, extension)?.transcode_to().ok()
}

/// As [`option`], for an option whose messages another crate generates.
fn message(options: &DynamicMessage, extension: &str) -> Option<DynamicMessage> {
    let extension = options.descriptor().parent_pool().get_extension_by_name(extension)?;
    if !options.has_extension(&extension) {
        return None;
    }
    match options.get_extension(&extension).into_owned() {
        Value::Message(message) => Some(message),
        _ => None,
    }
}

/// Returns whether an option that is a bool is set.
pub fn is_marked(options: &DynamicMessage, extension: &str) -> bool {
    let extension = options.descriptor().parent_pool().get_extension_by_name(extension);
    extension.is_some_and(|extension| matches!(*options.get_extension(&extension), Value::Bool(true)))
}
