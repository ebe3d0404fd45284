//! Error responses of operations in the OpenAPI document.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::{
    contract::{
        Catalogue, Method, Reason, ReasonRef,
        policy::{Access, ErrorFormat, Idempotency},
        reason::Catalogued,
    },
    http::{
        middleware::{envelope::scim_status, trace::grpc_code},
        openapi::{
            examples::REQUEST_ID,
            responses::{add_header, common_headers},
            schema::{Schemas, reference},
        },
    },
};

pub(crate) struct Traits<'a> {
    pub(crate) policy: &'a Method,
    pub(crate) comment: &'a str,
    /// Whether `Accept` selects the form of the response.
    pub(crate) negotiates: bool,
    pub(crate) reads: bool,
    pub(crate) names_resource: bool,
    pub(crate) takes_body: bool,
    /// Whether the request has fields that can be invalid.
    pub(crate) takes_fields: bool,
    pub(crate) violation: Option<(String, String)>,
}

const EVERYWHERE: [(&str, &[Reason]); 5] = [
    ("BadRequest", &[Reason::MalformedRequest]),
    ("TooManyRequests", &[Reason::RateLimitExceeded]),
    ("InternalServerError", &[Reason::InternalError]),
    ("ServiceUnavailable", &[Reason::Unavailable, Reason::Overloaded]),
    ("GatewayTimeout", &[Reason::DeadlineExceeded]),
];

const SHARED: [(&str, &[Reason]); 7] = [
    ("Unauthorized", &[Reason::Unauthenticated, Reason::InvalidToken, Reason::TokenExpired, Reason::SessionRevoked]),
    ("Forbidden", &[Reason::PermissionDenied, Reason::SecondFactorRequired]),
    ("NotFound", &[Reason::NotFound]),
    ("NotAcceptable", &[Reason::NotAcceptable]),
    ("PreconditionFailed", &[Reason::EtagMismatch]),
    ("ContentTooLarge", &[Reason::PayloadTooLarge]),
    ("UnsupportedMediaType", &[Reason::UnsupportedMediaType]),
];

pub(crate) fn of(catalogue: &Catalogue, traits: &Traits<'_>) -> BTreeMap<u16, Vec<ReasonRef>> {
    let policy = traits.policy;
    let is_granted = policy.access == Access::Granted;
    let keyed = policy.idempotency != Idempotency::None;
    let mut reasons: Vec<ReasonRef> = EVERYWHERE.iter().flat_map(|(_, reasons)| refs(reasons)).collect();
    let mut add = |applies: bool, more: &[Reason]| reasons.extend(refs(more).into_iter().filter(|_| applies));
    add(traits.negotiates, &[Reason::NotAcceptable]);
    add(is_granted, &[Reason::Unauthenticated]);
    // This includes public methods that accept credentials.
    add(!policy.grants.is_empty(), &[Reason::InvalidToken, Reason::TokenExpired, Reason::SessionRevoked]);
    add(policy.max_auth_age.is_some(), &[Reason::ReauthenticationRequired]);
    add(is_granted, &[Reason::PermissionDenied]);
    add(is_granted && !policy.before_second_factor, &[Reason::SecondFactorRequired]);
    add(is_granted && !traits.reads, &[Reason::Conflict]);
    add(traits.names_resource, &[Reason::NotFound]);
    add(traits.takes_fields, &[Reason::ValidationFailed]);
    add(traits.takes_body, &[Reason::PayloadTooLarge, Reason::UnsupportedMediaType]);
    add(policy.conditional, &[Reason::EtagMismatch]);
    add(policy.idempotency == Idempotency::Required, &[Reason::IdempotencyKeyMissing]);
    add(keyed, &[Reason::IdempotencyInProgress, Reason::IdempotencyKeyReused, Reason::IdempotencyKeyExpired]);
    reasons.extend(reasons_in(catalogue, traits.comment));
    let status = |reason: ReasonRef| match policy.error_format {
        ErrorFormat::Scim => scim_status(reason),
        ErrorFormat::Unspecified => reason.facts().http,
    };
    let mut by_status = BTreeMap::<u16, Vec<ReasonRef>>::new();
    // The order is that of the catalogue, without duplicates.
    for reason in catalogue.iter().filter(|reason| reasons.contains(reason)) {
        by_status.entry(status(reason).as_u16()).or_default().push(reason);
    }
    by_status
}

/// Returns the reasons in a comment, such as ``Errors: `NOT_FOUND`, `ETAG_MISMATCH`.``
fn reasons_in(catalogue: &Catalogue, comment: &str) -> impl Iterator<Item = ReasonRef> {
    comment.split(|c: char| !c.is_ascii_uppercase() && c != '_').filter_map(|code| catalogue.find(code))
}

/// Returns the response for a status with these reasons: a reference to a shared response, or else an inline one.
pub(crate) fn response(policy: &Method, reasons: &[ReasonRef], violation: Option<&(String, String)>) -> Value {
    if policy.error_format == ErrorFormat::Scim {
        return scim_response(reasons, violation);
    }
    let shared = EVERYWHERE.iter().chain(&SHARED).find(|(_, shared)| reasons == *shared);
    match shared {
        Some((name, _)) => json!({ "$ref": format!("#/components/responses/{name}") }),
        None => inline_response(reasons, violation),
    }
}

/// Returns the response of a method of SCIM. A request that is refused before it is routed has the envelope.
fn scim_response(reasons: &[ReasonRef], violation: Option<&(String, String)>) -> Value {
    let (facts, text) = (reasons[0].facts(), json!({ "type": "string" }));
    let schema = json!({
        "type": "object",
        "required": ["schemas", "status", "detail"],
        "properties": {
            "schemas": { "type": "array", "items": text },
            "status": text,
            "scimType": text,
            "detail": text,
        },
    });
    let example = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": scim_status(reasons[0]).as_str(),
        "detail": format!("{} ({})", facts.summary, facts.code),
    });
    let mut response = inline_response(reasons, violation);
    response["content"]["application/scim+json"] = json!({ "schema": schema, "example": example });
    response
}

pub(crate) fn components() -> Map<String, Value> {
    let shared = EVERYWHERE.iter().chain(&SHARED);
    shared.map(|(name, reasons)| ((*name).to_owned(), inline_response(&refs(reasons), None))).collect()
}

fn refs(reasons: &[Reason]) -> Vec<ReasonRef> {
    reasons.iter().copied().map(ReasonRef::new).collect()
}

fn inline_response(reasons: &[ReasonRef], violation: Option<&(String, String)>) -> Value {
    let lines: Vec<_> =
        reasons.iter().map(|reason| format!("- `{}`: {}", reason.facts().code, reason.facts().summary)).collect();
    let mut headers = common_headers();
    let has = |any_of: &[Reason]| any_of.iter().any(|one| reasons.iter().any(|reason| reason == one));
    if has(&[Reason::RateLimitExceeded, Reason::Unavailable, Reason::Overloaded, Reason::IdempotencyInProgress]) {
        add_header(&mut headers, "Retry-After");
    }
    if has(&[Reason::RateLimitExceeded]) {
        add_header(&mut headers, "RateLimit");
        add_header(&mut headers, "RateLimit-Policy");
    }
    if reasons.iter().any(|reason| reason.facts().storable) {
        add_header(&mut headers, "Idempotent-Replayed");
    }
    if reasons.iter().any(|reason| reason.facts().http == StatusCode::UNAUTHORIZED) {
        add_header(&mut headers, "WWW-Authenticate");
    }
    json!({
        "description": lines.join("\n"),
        "headers": headers,
        "content": { "application/json": { "schema": reference("ErrorEnvelope"), "example": example(reasons[0], violation) } },
    })
}

pub(crate) fn example(reason: impl Catalogued, violation: Option<&(String, String)>) -> Value {
    let reason = ReasonRef::new(reason);
    let facts = reason.facts();
    let fields = match violation {
        Some((field, message)) if reason == Reason::ValidationFailed => {
            Value::Object([(field.clone(), message.as_str().into())].into_iter().collect())
        }
        _ if reason == Reason::MalformedRequest => json!({ "colour": "unknown query parameter" }),
        _ => json!({}),
    };
    json!({ "error": {
        "code": facts.code,
        "message": facts.summary,
        "fields": fields,
        "requestId": REQUEST_ID,
        "retryable": facts.retryable,
        "metadata": {},
    } })
}

pub(crate) fn describe(schemas: &mut Schemas, envelope: Value) {
    let facts: Vec<_> = schemas.contract.catalogue.iter().map(ReasonRef::facts).collect();
    let codes: Vec<_> = facts.iter().map(|facts| facts.code).collect();
    let lines: Vec<_> = facts.iter().map(|facts| format!("\n- `{}`: {}", facts.code, facts.summary)).collect();
    schemas.add(
        "ErrorCode",
        json!({
            "type": "string",
            "description": format!("Why a request failed. New codes may be added; none is removed.{}", lines.concat()),
            "enum": codes,
        }),
    );
    schemas.add("ErrorEnvelope", envelope);
}

pub(crate) fn list(catalogue: &Catalogue) -> Value {
    let entry = |reason: ReasonRef| {
        let facts = reason.facts();
        json!({
            "code": facts.code,
            "domain": facts.domain,
            "http": facts.http.as_u16(),
            "grpc": grpc_code(facts.grpc),
            "retryable": facts.retryable,
            "summary": facts.summary,
        })
    };
    let mut reasons: Vec<_> = catalogue.iter().collect();
    reasons.sort_by_key(|reason| reason.facts().http.as_u16());
    reasons.into_iter().map(entry).collect()
}
