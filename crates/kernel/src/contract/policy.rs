//! What each method requires of its caller and guarantees about its response.
//!
//! Read once from the options of `mainstay.policy.v1`: the grant sets and scopes that a module declares, what a service
//! says for all its methods, and what a method says itself. What nobody says follows from the HTTP verb and the
//! messages, except who may call: that has no default. The server does not start if a method has no policy, a
//! faulty one, or no HTTP rule; gRPC's own health and reflection services are exempt by name.

use std::{collections::HashMap, time::Duration};

use http::StatusCode;
use prost_reflect::{DescriptorPool, MethodDescriptor, ServiceDescriptor};
use uuid::Uuid;

use super::{
    proto::policy::v1 as pb,
    reason::{is_marked, option},
};

pub use pb::{Cache, Idempotency, RateClass, Reach, Role};

mod defaults;
mod event;
mod field;
mod module;
mod public_cache;
mod read;
mod scope;
mod success;

pub use event::DeclaredEvent;
pub use field::{FieldPath, FieldValue};
pub use public_cache::PublicCache;
pub use scope::{DeclaredScope, Scope};
pub use success::{LocationPart, Success, When};

use module::Modules;

/// One method and its policy.
#[derive(Debug)]
pub struct Method {
    /// The gRPC path: `/mainstay.support.v1.TicketService/GetTicket`.
    pub path: String,
    /// The short name for metrics and logs: `TicketService.GetTicket`.
    pub name: String,
    /// The descriptor.
    pub descriptor: MethodDescriptor,
    /// The title in the OpenAPI document, unless the words of the method's name are the title.
    pub title: Option<String>,
    /// Whether anyone may call.
    pub access: Access,
    /// The roles that may call, how far they reach, and the scope a service key needs.
    pub grants: Vec<Grant>,
    /// Whether an idempotency key is ignored, allowed or required.
    pub idempotency: Idempotency,
    /// The rate limit a call counts against.
    pub rate_class: RateClass,
    /// The longest a call may take.
    pub deadline: Duration,
    /// The HTTP statuses and headers of a successful response.
    pub success: Vec<Success>,
    /// The field the ETag is derived from.
    pub version: Option<FieldPath>,
    /// The timestamp for Last-Modified.
    pub last_modified: Option<FieldPath>,
    /// Who may cache the response.
    pub cache: Cache,
    /// What shared caches may keep; set if and only if `cache` is public.
    pub public_cache: Option<PublicCache>,
    /// The largest request message in bytes, if not the server's default.
    pub max_request_bytes: Option<usize>,
    /// The media types of a raw body, that of the request or else of the response; empty means JSON.
    pub media_types: Vec<String>,
    /// Whether If-Match is evaluated.
    pub conditional: bool,
    /// The number of the field of the request that names the fields to return.
    pub read_mask: Option<u32>,
    /// The number of the field of the request that names what to include.
    pub include: Option<u32>,
    /// Whether the response is a stream of changes as they happen.
    pub watch: bool,
    /// What a call does in Postgres.
    pub effect: Effect,
}

/// What a call does in Postgres, as far as its reads and those after it depend on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It reads, and always from the primary.
    CurrentRead,
    /// It reads, and may do so from a replica.
    ReplicaRead,
    /// It may write. A watch counts as a write: what its caller lists once it is open must not be older than its start, or
    /// changes in between would be in neither.
    Write,
}

/// Whether credentials are required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Any caller may call the method. Its grants, if any, say who reaches more than the rest.
    Public,
    /// Only the granted roles may call the method.
    Granted,
}

/// A role and how far it reaches.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// The resources it reaches.
    pub reach: Reach,
    /// The scope that a service needs; `None` for users.
    pub scope: Option<Scope>,
}

/// The policies of every method, by gRPC path, and the scopes they are written in, with the events of all modules.
#[derive(Debug)]
pub struct Policies {
    methods: HashMap<String, Method>,
    modules: Modules,
}

/// Services outside the contract, by name.
pub const EXEMPT: [&str; 3] =
    ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

impl Policies {
    /// Reads the policies of a descriptor set.
    ///
    /// # Errors
    /// Every method whose policy or HTTP rule is missing or invalid, and every fault of a module's option, one line
    /// each.
    pub fn read(pool: &DescriptorPool) -> Result<Self, Vec<String>> {
        let (modules, mut faults) = Modules::read(pool);
        let mut methods = HashMap::new();
        for descriptor in services(pool).flat_map(|service| service.methods().collect::<Vec<_>>()) {
            match Method::read(&descriptor, &modules) {
                Ok(method) => drop(methods.insert(method.path.clone(), method)),
                Err(method_faults) => {
                    faults.extend(method_faults.into_iter().map(|fault| format!("{}: {fault}", descriptor.full_name())))
                }
            }
        }
        if faults.is_empty() { Ok(Self { methods, modules }) } else { Err(faults) }
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
        self.modules.events()
    }

    /// Returns the names of the modules, as their contracts have them.
    pub fn module_names(&self) -> impl Iterator<Item = &str> {
        self.modules.names()
    }

    /// Returns the names of all kinds of events, as text for a message.
    pub fn event_names(&self) -> String {
        self.modules.event_names()
    }

    /// Returns the kind of event with a name, if a module declares it.
    pub fn event(&self, name: &str) -> Option<&DeclaredEvent> {
        self.modules.event(name)
    }
}

impl Method {
    /// Returns the grant of a role, if it has one.
    pub fn grant(&self, role: Role) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.role == role)
    }

    /// Returns the success variant that applies to an encoded response.
    pub fn success(&self, response: &[u8]) -> Option<&Success> {
        self.success.iter().find(|success| success.applies(response))
    }

    /// Returns the id of the operation to poll, if the encoded response is a 202.
    pub fn pending(&self, response: &[u8]) -> Option<Uuid> {
        let success = self.success(response).filter(|success| success.status == StatusCode::ACCEPTED)?;
        success.location.iter().find_map(|part| match part {
            LocationPart::Field(path) => match path.read(response)? {
                FieldValue::Bytes(text) => std::str::from_utf8(text).ok()?.parse().ok(),
                FieldValue::Number(_) => None,
            },
            LocationPart::Literal(_) => None,
        })
    }
}

/// Returns the services of the modules, without those of gRPC itself.
pub(super) fn services(descriptors: &DescriptorPool) -> impl Iterator<Item = ServiceDescriptor> {
    descriptors.services().filter(|service| !EXEMPT.contains(&service.full_name()))
}

#[cfg(test)]
pub(crate) mod tests;
