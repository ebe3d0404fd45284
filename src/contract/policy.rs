//! What each method requires of its caller and guarantees about its response.
//!
//! Read once from the `mainstay.policy.v1.method` option. The server does not start if a method has no policy, an
//! incomplete one, or no HTTP rule; gRPC's own health and reflection services are exempt by name.

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use http::StatusCode;
use prost_reflect::{MethodDescriptor, ServiceDescriptor};
use uuid::Uuid;

use super::{DESCRIPTORS, proto::policy::v1 as pb, reason::option};

pub use pb::{Access, Cache, Idempotency, MediaType, RateClass, Reach, Role, Scope};

mod field;
pub use field::{FieldPath, FieldValue};

/// One method and its policy.
#[derive(Debug)]
pub struct Method {
    /// The gRPC path: `/mainstay.support.v1.TicketService/GetTicket`.
    pub path: String,
    /// The short name for metrics and logs: `TicketService.GetTicket`.
    pub name: String,
    /// The descriptor.
    pub descriptor: MethodDescriptor,
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
    /// The largest request message in bytes, if not the server's default.
    pub max_request_bytes: Option<usize>,
    /// The media types of a raw body; empty means JSON.
    pub media_types: Vec<String>,
    /// Whether If-Match is evaluated.
    pub conditional: bool,
}

/// A role and how far it reaches.
#[derive(Debug, Clone, Copy)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// The resources it reaches.
    pub reach: Reach,
    /// The scope a service key needs.
    pub scope: Option<Scope>,
}

/// A variant of a successful HTTP response.
#[derive(Debug)]
pub struct Success {
    /// The status.
    pub status: StatusCode,
    /// The Location, as alternating literal parts and fields of the response.
    pub location: Vec<LocationPart>,
    /// The Retry-After.
    pub retry_after: Option<Duration>,
    /// The field, and the values of it for which this variant applies; `None` means always.
    pub when: Option<(FieldPath, Vec<i32>)>,
}

/// A part of a Location.
#[derive(Debug)]
pub enum LocationPart {
    /// Text.
    Literal(String),
    /// The value of a field of the response.
    Field(FieldPath),
}

/// The policies of every method, by gRPC path.
#[derive(Debug)]
pub struct Policies {
    methods: HashMap<String, Method>,
}

/// Services outside the contract, by name.
pub const EXEMPT: [&str; 3] =
    ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

static POLICIES: LazyLock<Result<Policies, Vec<String>>> = LazyLock::new(Policies::read);

impl Policies {
    /// Returns the policies of the compiled contract.
    ///
    /// # Errors
    /// Every method whose policy or HTTP rule is missing or invalid, one line each.
    pub fn load() -> Result<&'static Self, &'static [String]> {
        POLICIES.as_ref().map_err(Vec::as_slice)
    }

    /// Returns the method with a gRPC path.
    pub fn get(&self, path: &str) -> Option<&Method> {
        self.methods.get(path)
    }

    /// Returns every method, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        self.methods.values()
    }

    fn read() -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let mut methods = HashMap::new();
        for descriptor in services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            match Method::read(&descriptor) {
                Ok(method) => drop(methods.insert(method.path.clone(), method)),
                Err(found) => {
                    faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", descriptor.full_name())))
                }
            }
        }
        if faults.is_empty() { Ok(Self { methods }) } else { Err(faults) }
    }
}

/// Returns the services of the contract.
pub fn services() -> impl Iterator<Item = ServiceDescriptor> {
    DESCRIPTORS.services().filter(|service| !EXEMPT.contains(&service.full_name()))
}

impl Method {
    /// Returns the grant of a role, if it has one.
    pub fn grant(&self, role: Role) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.role == role)
    }

    /// Returns the success variant that applies to an encoded response.
    pub fn success(&self, answer: &[u8]) -> Option<&Success> {
        self.success.iter().find(|success| match &success.when {
            None => true,
            // Enums are written as varints of their two's complement.
            Some((path, values)) => values.contains(&(path.number(answer).unwrap_or(0) as i32)),
        })
    }

    /// Returns the id of the operation to poll, if the encoded response is a 202.
    pub fn pending(&self, answer: &[u8]) -> Option<Uuid> {
        let success = self.success(answer).filter(|success| success.status == StatusCode::ACCEPTED)?;
        success.location.iter().find_map(|part| match part {
            LocationPart::Field(path) => match path.read(answer)? {
                FieldValue::Bytes(text) => std::str::from_utf8(text).ok()?.parse().ok(),
                FieldValue::Number(_) => None,
            },
            LocationPart::Literal(_) => None,
        })
    }

    fn read(descriptor: &MethodDescriptor) -> Result<Self, Vec<String>> {
        let options = descriptor.options();
        let http = DESCRIPTORS.get_extension_by_name("google.api.http").expect("the annotations are compiled in");
        let mut faults = Vec::new();
        if !options.has_extension(&http) {
            faults.push("no google.api.http rule".to_owned());
        }
        let Some(raw) = option::<pb::MethodPolicy>(&options, "mainstay.policy.v1.method") else {
            faults.push("no mainstay.policy.v1.method policy".to_owned());
            return Err(faults);
        };
        let method = Self::parse(descriptor, &raw, &mut faults);
        if faults.is_empty() { Ok(method) } else { Err(faults) }
    }

    fn parse(descriptor: &MethodDescriptor, raw: &pb::MethodPolicy, faults: &mut Vec<String>) -> Self {
        let output = descriptor.output();
        let mut field = |path: &str| match path {
            "" => None,
            path => FieldPath::resolve(&output, path).map_err(|fault| faults.push(fault)).ok(),
        };
        let version = field(&raw.version_field);
        let last_modified = field(&raw.last_modified_field);
        let success: Vec<_> = raw.success.iter().filter_map(|variant| Success::parse(variant, &mut field)).collect();
        let mut require = |holds: bool, fault: &str| {
            if !holds {
                faults.push(fault.to_owned());
            }
        };
        require(success.len() == raw.success.len() && !success.is_empty(), "no success status, or one that is none");
        require(raw.access() != Access::Unspecified, "no access");
        require(
            (raw.access() == Access::Public) == raw.grants.is_empty(),
            "grants go with granted access, and only there",
        );
        require(raw.idempotency() != Idempotency::Unspecified, "no idempotency");
        require(raw.rate_class() != RateClass::Unspecified, "no rate class");
        require(raw.deadline_ms > 0, "no deadline");
        require(raw.cache() != Cache::Unspecified, "no cache rule");
        for grant in &raw.grants {
            let service = grant.role() == Role::Service;
            require(
                grant.role() != Role::Unspecified && grant.reach() != Reach::Unspecified,
                "a grant without role or reach",
            );
            require(
                service == (grant.scope() != Scope::Unspecified),
                "a scope goes with the service role, and only there",
            );
        }
        Self {
            path: format!("/{}/{}", descriptor.parent_service().full_name(), descriptor.name()),
            name: format!("{}.{}", descriptor.parent_service().name(), descriptor.name()),
            descriptor: descriptor.clone(),
            access: raw.access(),
            grants: raw.grants.iter().map(Grant::parse).collect(),
            idempotency: raw.idempotency(),
            rate_class: raw.rate_class(),
            deadline: Duration::from_millis(raw.deadline_ms.unsigned_abs().into()),
            success,
            version,
            last_modified,
            cache: raw.cache(),
            max_request_bytes: usize::try_from(raw.max_request_bytes).ok().filter(|&bytes| bytes > 0),
            media_types: raw.media_types().map(|kind| media_type(kind).to_owned()).collect(),
            conditional: raw.conditional,
        }
    }
}

fn media_type(media_type: MediaType) -> &'static str {
    match media_type {
        MediaType::Unspecified | MediaType::Json => "application/json",
        MediaType::Csv => "text/csv",
        MediaType::Ndjson => "application/x-ndjson",
    }
}

impl Grant {
    fn parse(raw: &pb::Grant) -> Self {
        let scope = Some(raw.scope()).filter(|&scope| scope != Scope::Unspecified);
        Self { role: raw.role(), reach: raw.reach(), scope }
    }
}

impl Success {
    fn parse(raw: &pb::Success, field: &mut impl FnMut(&str) -> Option<FieldPath>) -> Option<Self> {
        let status = u16::try_from(raw.status).ok().and_then(|status| StatusCode::from_u16(status).ok())?;
        let when = match &raw.when {
            None => None,
            Some(condition) => {
                let path = field(&condition.field)?;
                let numbers = path.enum_numbers(&condition.values)?;
                Some((path, numbers))
            }
        };
        let seconds = u64::try_from(raw.retry_after_seconds).ok()?;
        let retry_after = Some(Duration::from_secs(seconds)).filter(|wait| !wait.is_zero());
        Some(Self { status, location: location(&raw.location, field)?, retry_after, when })
    }
}

/// Splits `/a/{b.c}/d` into its literal and field parts.
fn location(template: &str, field: &mut impl FnMut(&str) -> Option<FieldPath>) -> Option<Vec<LocationPart>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((literal, tail)) = rest.split_once('{') {
        let (path, after) = tail.split_once('}')?;
        parts.push(LocationPart::Literal(literal.to_owned()));
        parts.push(LocationPart::Field(field(path)?));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(LocationPart::Literal(rest.to_owned()));
    }
    Some(parts)
}
