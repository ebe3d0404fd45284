//! Reads the policy of one method. Options of the method precede those of its service; the HTTP verb implies the rest.

use std::time::Duration;

use chrono::TimeDelta;
use prost_reflect::MethodDescriptor;

use super::{
    Access, Cache, Deprecation, Effect, FieldPath, Grant, Idempotency, Method, PublicCache, Reach, Scope, Subject,
    Success,
    defaults::{self, Defaults},
    module::Modules,
    option, pb, service_name,
};

const METHOD: &str = "mainstay.policy.v1.method";
const SERVICE: &str = "mainstay.policy.v1.service";

impl Method {
    /// Reads a method's policy.
    /// Errors: all faults of the policy.
    pub(super) fn read(descriptor: &MethodDescriptor, modules: &Modules) -> Result<Self, Vec<String>> {
        let Some(raw) = option::<pb::MethodPolicy>(&descriptor.options(), METHOD) else {
            return Err(vec![format!("no policy: give the method the option {METHOD}")]);
        };
        let mut faults = Vec::new();
        let mut service: pb::ServicePolicy =
            option(&descriptor.parent_service().options(), SERVICE).unwrap_or_default();
        let (version, last_modified) = or_fault((None, None), etag_fields(descriptor, &raw), &mut faults);
        let defaults = or_fault(None, Defaults::read(descriptor, &raw, version.is_some()).map(Some), &mut faults);
        let (access, grants) = or_fault((Access::Granted, Vec::new()), grants(descriptor, &raw, modules), &mut faults);
        if raw.watch && (!descriptor.is_server_streaming() || access == Access::Public) {
            faults.push(
                "a watch is a stream of responses to a known caller: return a stream, or remove `watch`".to_owned(),
            );
        }
        let deprecation = Deprecation::read(descriptor, raw.deprecation.as_ref(), service.deprecation.as_ref());
        let deprecation = or_fault(None, deprecation, &mut faults);
        let success = or_fault(Vec::new(), Success::read(&raw, &descriptor.output()), &mut faults);
        let own_cache = match raw.public_max_age_seconds {
            Some(_) => first([raw.cache()], Cache::Public),
            None => raw.cache(),
        };
        let cache = match &defaults {
            Some(defaults) if defaults.is_read => first([own_cache, service.cache()], defaults.cache),
            _ => Cache::NoStore,
        };
        if cache == Cache::NoStore && !matches!(own_cache, Cache::Unspecified | Cache::NoStore) {
            faults.push("only responses of GET are cached: remove `cache` and `public_max_age_seconds`".to_owned());
        }
        let public_cache = or_fault(None, PublicCache::read(&raw, cache, &descriptor.output()), &mut faults);
        let media_types = or_fault(Vec::new(), media_types(&raw.media_types), &mut faults);
        if raw.deadline_ms.or(service.write_deadline_ms).is_some_and(|deadline| deadline <= 0) {
            faults.push("a deadline must be positive: leave it out for the default".to_owned());
        }
        if raw.max_auth_age_seconds.is_some_and(|seconds| seconds <= 0 || access == Access::Public) {
            faults.push("a max_auth_age_seconds is positive, and of a method that needs credentials".to_owned());
        }
        if raw.in_person && access == Access::Public {
            faults.push("an in_person method needs credentials: remove it from a public method".to_owned());
        }
        let is_replicable = !raw.watch && cache != Cache::Public;
        if raw.replica == Some(true) && !is_replicable {
            faults
                .push("a watch, and a response that anyone may cache, reads the primary: remove `replica`".to_owned());
        }
        let Some(defaults) = defaults.filter(|_| faults.is_empty()) else { return Err(faults) };
        // The service's idempotency and deadline apply to its writes only.
        if defaults.is_read {
            service.set_idempotency(Idempotency::Unspecified);
            service.write_deadline_ms = None;
        }
        let rate_class = first([raw.rate_class(), service.rate_class()], defaults.rate_class);
        let deadline_ms = raw.deadline_ms.or(service.write_deadline_ms);
        let deadline_ms = deadline_ms.unwrap_or_else(|| defaults::deadline_ms(descriptor, rate_class));
        let effect = match (raw.replica, defaults.is_read) {
            _ if raw.watch => Effect::Write,
            (Some(true), _) => Effect::ReplicaRead,
            (None, true) if is_replicable => Effect::ReplicaRead,
            (_, true) => Effect::CurrentRead,
            (_, false) => Effect::Write,
        };
        Ok(Self {
            path: format!("/{}/{}", descriptor.parent_service().full_name(), descriptor.name()),
            name: format!("{}.{}", service_name(descriptor.parent_service()), descriptor.name()),
            descriptor: descriptor.clone(),
            title: Some(raw.title.clone()).filter(|title| !title.is_empty()),
            access,
            grants,
            idempotency: first([raw.idempotency(), service.idempotency()], defaults.idempotency),
            rate_class,
            deadline: Duration::from_millis(deadline_ms.unsigned_abs().into()),
            success,
            version,
            identity: identity(descriptor, effect),
            last_modified,
            cache,
            public_cache,
            max_request_bytes: usize::try_from(raw.max_request_bytes).ok().filter(|&bytes| bytes > 0),
            media_types,
            conditional: raw.conditional.unwrap_or(defaults.conditional),
            read_mask: mask(descriptor, "read_mask"),
            include: mask(descriptor, "include"),
            watch: raw.watch,
            effect,
            subject: Subject::read(descriptor),
            max_auth_age: raw.max_auth_age_seconds.map(|seconds| TimeDelta::seconds(seconds.into())),
            before_second_factor: raw.before_second_factor,
            in_person: raw.in_person,
            deprecation,
            error_format: service.error_format(),
        })
    }
}

fn mask(descriptor: &MethodDescriptor, name: &str) -> Option<u32> {
    let field = descriptor.input().get_field_by_name(name)?;
    let kind = field.kind();
    let is_mask = kind.as_message().is_some_and(|message| message.full_name() == "google.protobuf.FieldMask");
    is_mask.then(|| field.number())
}

/// Returns the value, or records the fault and returns the stand-in, so that all faults are reported together.
fn or_fault<T>(stand_in: T, read: Result<T, String>, faults: &mut Vec<String>) -> T {
    read.unwrap_or_else(|fault| {
        faults.push(fault);
        stand_in
    })
}

fn first<T: Default + PartialEq, const N: usize>(values: [T; N], implied: T) -> T {
    values.into_iter().find(|value| *value != T::default()).unwrap_or(implied)
}

fn etag_fields(
    descriptor: &MethodDescriptor,
    raw: &pb::MethodPolicy,
) -> Result<(Option<FieldPath>, Option<FieldPath>), String> {
    let output = descriptor.output();
    let resolve = |path: Option<&str>| {
        path.filter(|path| !path.is_empty()).map(|path| FieldPath::resolve(&output, path)).transpose()
    };
    let version = resolve(raw.version_field.as_deref().or_else(|| defaults::version_field(descriptor)))?;
    let usual = version.as_ref().and_then(|_| defaults::last_modified_field(descriptor));
    let last_modified = resolve(raw.last_modified_field.as_deref().or(usual))?;
    Ok((version, last_modified))
}

/// Returns the id of the resource of a read whose request does not contain it.
fn identity(descriptor: &MethodDescriptor, effect: Effect) -> Option<FieldPath> {
    let has_id = descriptor.input().fields().any(|field| field.name().ends_with("_id"));
    if has_id || effect == Effect::Write {
        return None;
    }
    FieldPath::resolve(&descriptor.output(), "data.id").ok()
}

/// Returns the grants of a method: those of its grant set, with its scopes.
/// Errors: the fault of the names of the grant set and the scopes.
fn grants(
    descriptor: &MethodDescriptor,
    raw: &pb::MethodPolicy,
    modules: &Modules,
) -> Result<(Access, Vec<Grant>), String> {
    let access = &raw.access;
    let set = modules.grant_set(descriptor.parent_file().package_name(), access)?;
    let (scope, for_any) = (declared(modules, &raw.scope)?, declared(modules, &raw.scope_for_any)?);
    if scope.is_none() && !set.grants.iter().all(Grant::needs_no_scope) {
        return Err(format!("access {access:?} lets callers reach more than their own: set `scope`"));
    }
    if scope.is_some() && set.grants.is_empty() {
        return Err(format!(
            "access {access:?} grants nothing to any role: remove scope {:?}, or name another set",
            raw.scope
        ));
    }
    let reaches_any = set.grants.iter().any(|grant| grant.reach == Reach::Any);
    if for_any.is_some() && (scope.is_none() || !reaches_any) {
        return Err(
            "a scope_for_any goes with a `scope`, and with a role that reaches everything: remove it".to_owned()
        );
    }
    let grant = |grant: &Grant| {
        let own = for_any.as_ref().filter(|_| grant.reach == Reach::Any);
        Grant { scope: own.or(scope.as_ref()).cloned(), ..grant.clone() }
    };
    let access = if set.public { Access::Public } else { Access::Granted };
    Ok((access, set.grants.iter().map(grant).collect()))
}

fn declared(modules: &Modules, name: &str) -> Result<Option<Scope>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    modules.scope(name).map(Some).ok_or_else(|| {
        let names = modules.scope_names();
        format!("there is no scope {name:?}, only {names}: name one of them, or declare it in its module.proto")
    })
}

/// Parses a list of media types in the syntax of `Accept`, without parameters.
fn media_types(list: &str) -> Result<Vec<String>, String> {
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let is_token = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"/;,".contains(&b));
    let read = |name: &str| match name.split_once('/') {
        Some((kind, subtype)) if is_token(kind) && is_token(subtype) => Ok(name.to_owned()),
        _ => Err(format!(
            "media_types: {name:?} is no media type: give one such as text/csv, or several, separated by commas"
        )),
    };
    list.split(',').map(str::trim).map(read).collect()
}
