//! The defaults of policies.

use super::*;

const EMPTY: &str = "message Response {}";

/// The policy of a method with these options, and access to what is the caller's own.
fn read_one(service: &str, verb: &str, fields: &str, response: &str) -> &'static Method {
    method_of(source(service, verb, fields, response))
}

fn source(service: &str, verb: &str, fields: &str, response: &str) -> String {
    let http = format!("option (google.api.http) = {{{verb}: \"/api/v1/do\"}};");
    service_file(service, &http, &policy(&format!("access: \"self\" {fields}")), response)
}

/// The policy of the only method of this file.
fn method_of(source: String) -> &'static Method {
    let garage = "syntax = \"proto3\"; package garage.v1; message Car { int64 version = 1; }".to_owned();
    let module = module_file("fleet.v1", FLEET);
    let files =
        vec![("fleet/v1/module.proto", module), ("garage/v1/car.proto", garage), ("fleet/v1/fleet.proto", source)];
    let policies = Box::leak(Box::new(read(files).expect("a good contract")));
    policies.get("/fleet.v1.Vehicles/Do").expect("the method")
}

fn statuses(method: &Method) -> Vec<u16> {
    method.success.iter().map(|success| success.status.as_u16()).collect()
}

#[test]
fn a_read_takes_no_key_and_is_cached_if_it_has_a_version() {
    let read = read_one("", "get", "", DATA);
    assert_eq!((read.idempotency, read.rate_class), (Idempotency::None, RateClass::Read));
    assert_eq!((read.deadline, read.conditional, statuses(read)), (Duration::from_secs(2), false, vec![200]));
    assert!(read.version.is_some() && read.last_modified.is_some());
    assert_eq!(read.cache, Cache::PrivateRevalidate);
    for response in ["message Response { repeated Vehicle data = 1; }", "message Response { int64 version = 1; }"] {
        let page = read_one("", "get", "", response);
        assert!(page.version.is_none() && page.last_modified.is_none() && page.cache == Cache::NoStore, "{response}");
    }
}

#[test]
fn reads_may_be_those_of_a_replica_unless_the_policy_says_otherwise() {
    let effect = |verb, fields| read_one("", verb, fields, DATA).effect;
    assert_eq!(effect("get", ""), Effect::ReplicaRead);
    assert_eq!(effect("get", "replica: false"), Effect::CurrentRead);
    for verb in ["post", "put", "patch", "delete"] {
        assert_eq!(effect(verb, ""), Effect::Write, "{verb}");
        assert_eq!(effect(verb, "replica: false"), Effect::Write, "{verb}");
    }
    assert_eq!(effect("post", "replica: true"), Effect::ReplicaRead, "a search with a body");
}

#[test]
fn the_end_of_a_service_is_that_of_its_methods() {
    let service = "option deprecated = true; option (mainstay.policy.v1.service) = {deprecation: {
        since: \"2026-11-01\" sunset: \"2027-05-01\" link: \"https://example.com/v2\"
    }};";
    let mut headers = http::HeaderMap::new();
    read_one(service, "get", "", DATA).deprecation.as_ref().expect("that of the service").describe(&mut headers);
    assert_eq!(headers["deprecation"], "@1793491200", "RFC 9745");
    assert_eq!(headers["sunset"], "Sat, 01 May 2027 00:00:00 GMT", "RFC 8594");
    assert_eq!(headers["link"], "<https://example.com/v2>; rel=\"deprecation\"; type=\"text/html\"");
    let own = "deprecation: {since: \"2026-12-01\" sunset: \"2027-06-01\" link: \"/docs\"}";
    assert_eq!(read_one(service, "get", own, DATA).deprecation.as_ref().expect("its own").link, "/docs");
    assert!(read_one("", "get", "", DATA).deprecation.is_none());
}

#[test]
fn an_internal_method_is_a_write_unless_it_has_no_side_effects() {
    let internal = |option: &str| {
        let policy = policy("access: \"self\" internal: true");
        method_of(service_file("", option, &policy, DATA))
    };
    let write = internal("");
    assert_eq!(
        (write.idempotency, write.rate_class, write.effect),
        (Idempotency::Optional, RateClass::Write, Effect::Write)
    );
    let read = internal("option idempotency_level = NO_SIDE_EFFECTS;");
    assert_eq!((read.idempotency, read.rate_class), (Idempotency::None, RateClass::Read));
    assert_eq!((read.effect, read.cache), (Effect::ReplicaRead, Cache::NoStore));
}

#[test]
fn a_write_honors_a_key_and_a_replacement_is_conditional() {
    for (verb, conditional) in [("post", false), ("delete", false), ("put", true), ("patch", true)] {
        let write = read_one("", verb, "", DATA);
        assert_eq!((write.idempotency, write.rate_class), (Idempotency::Optional, RateClass::Write), "{verb}");
        assert_eq!((write.conditional, write.cache), (conditional, Cache::NoStore), "{verb}");
        assert!(!read_one("", verb, "", EMPTY).conditional, "{verb}");
    }
}

#[test]
fn the_status_follows_from_location_and_response() {
    assert_eq!(statuses(read_one("", "post", "", EMPTY)), [204]);
    assert_eq!(statuses(read_one("", "post", "", DATA)), [200]);
    assert_eq!(statuses(read_one("", "post", "status: 203", DATA)), [203]);
    let method = read_one("", "post", "location: \"/api/v1/do/{data.id}\"", DATA);
    assert_eq!((statuses(method), method.success[0].location.len()), (vec![201], 2));

    let pending = "pending_field: \"data.state\"";
    let open = read_one("", "post", &format!("{pending} location: \"/api/v1/do/{{data.id}}\""), DATA);
    assert_eq!(statuses(open), [202, 201]);
    assert_eq!((open.success[0].retry_after, open.success[1].retry_after), (Some(Duration::from_secs(1)), None));
    let Some(When::IsOneOf(_, values)) = &open.success[0].when else { panic!("{:?}", open.success) };
    assert_eq!(values, &[2, 3], "those that are marked");
    // What creates nothing has a location only while there is something to poll.
    let open = read_one("", "post", &format!("{pending} poll_location: \"/api/v1/do/{{data.id}}\""), DATA);
    assert_eq!(statuses(open), [202, 200]);
    assert!(!open.success[0].location.is_empty() && open.success[1].location.is_empty());
}

#[test]
fn streams_and_bulk_work_have_longer_deadlines() {
    let seconds = |method: &Method| method.deadline.as_secs();
    let bulk = "rate_class: RATE_CLASS_BULK";
    assert_eq!(seconds(read_one("", "post", "", DATA)), 2);
    assert_eq!(seconds(read_one("", "post", bulk, DATA)), 10);
    let upload = source("", "post", bulk, DATA).replace("Do(Request)", "Do(stream Request)");
    assert_eq!(seconds(method_of(upload)), 120);
    let export = source("", "get", bulk, DATA).replace("returns (Response)", "returns (stream Response)");
    assert_eq!(seconds(method_of(export)), 600);
}

#[test]
fn a_resource_of_another_module_has_no_version_here() {
    let response = "import \"garage/v1/car.proto\"; message Response { garage.v1.Car data = 1; }";
    assert!(read_one("", "get", "", response).version.is_none());
    assert!(
        read_one("", "get", "version_field: \"data.version\"", response).version.is_some(),
        "unless the policy names it"
    );
}

#[test]
fn a_public_response_is_that_of_a_marked_value() {
    let public = |fields: &str| {
        let method = read_one("", "get", &format!("public_max_age_seconds: 60 {fields}"), DATA);
        assert_eq!((method.cache, method.effect), (Cache::Public, Effect::CurrentRead));
        method.public_cache.as_ref().expect("it is public")
    };
    let always = public("");
    assert_eq!(always.header(), "public, max-age=60, stale-while-revalidate=60, stale-if-error=600");
    // A Response whose data has this state.
    let in_state = |state: u8| [0x0a, 0x02, 0x20, state];
    assert!(!always.reads_response() && always.applies(&in_state(1)));
    let sometimes = public("public_field: \"data.state\"");
    assert_eq!([1, 2, 3].map(|state| sometimes.applies(&in_state(state))), [false, false, true]);
}

#[test]
fn media_types_are_a_list_as_in_accept() {
    assert_eq!(read_one("", "post", "", DATA).media_types, [""; 0]);
    assert_eq!(read_one("", "post", "media_types: \"*/*\"", DATA).media_types, ["*/*"]);
    let two = read_one("", "post", "media_types: \"text/csv, application/x-ndjson\"", DATA);
    assert_eq!(two.media_types, ["text/csv", "application/x-ndjson"]);
}

#[test]
fn a_method_overrides_its_service_and_a_service_the_verb() {
    let service = "option (mainstay.policy.v1.service) =
        {idempotency: IDEMPOTENCY_NONE rate_class: RATE_CLASS_LOGIN write_deadline_ms: 5000 cache: CACHE_NO_STORE};";
    let method = read_one(service, "post", "", DATA);
    assert_eq!((method.idempotency, method.rate_class), (Idempotency::None, RateClass::Login));
    assert_eq!((method.deadline, method.cache), (Duration::from_secs(5), Cache::NoStore));
    // Of what a service says, its reads take the caching and the rate class, not the key or the deadline.
    let writes = service.replace("IDEMPOTENCY_NONE", "IDEMPOTENCY_REQUIRED");
    let method = read_one(&writes, "get", "", DATA);
    assert_eq!((method.idempotency, method.rate_class), (Idempotency::None, RateClass::Login));
    assert_eq!((method.deadline, method.cache), (Duration::from_secs(2), Cache::NoStore));

    let fields = "idempotency: IDEMPOTENCY_REQUIRED rate_class: RATE_CLASS_BULK deadline_ms: 9000
        cache: CACHE_PRIVATE_REVALIDATE version_field: \"\" conditional: true";
    let method = read_one(service, "get", fields, DATA);
    assert_eq!((method.idempotency, method.rate_class), (Idempotency::Required, RateClass::Bulk));
    assert_eq!((method.deadline, method.cache), (Duration::from_secs(9), Cache::PrivateRevalidate));
    // Without a version there is no time of the last change either, unless the method names one.
    assert!(method.version.is_none() && method.last_modified.is_none() && method.conditional);
    let named = read_one("", "get", "version_field: \"\" last_modified_field: \"data.update_time\"", DATA);
    assert!(named.version.is_none() && named.last_modified.is_some());
}

#[test]
fn a_grant_set_of_the_module_grants_what_it_declares() {
    let option =
        format!("{FLEET} grant_sets: [{{name: \"drivers\" grants: [{{role: ROLE_SERVICE reach: REACH_ANY}}]}}]");
    let service = service_file("", GET, &policy("access: \"drivers\" scope: \"fleet.vehicles.read\""), DATA);
    let sources = vec![("fleet/v1/module.proto", module_file("fleet.v1", &option)), ("fleet/v1/fleet.proto", service)];
    let policies = read(sources).expect("a good contract");
    let method = policies.get("/fleet.v1.Vehicles/Do").expect("the method");
    let [grant] = method.grants.as_slice() else { panic!("{:?}", method.grants) };
    let scope = policies.scope("fleet.vehicles.read");
    assert_eq!((grant.role, grant.reach, &grant.scope), (Role::Service, Reach::Any, &scope));
    assert_eq!(policies.scopes().map(|scope| scope.name.as_str()).collect::<Vec<_>>(), ["fleet.vehicles.read"]);
}

#[test]
fn a_kind_is_the_module_and_the_name() {
    assert_eq!(kind_of("mainstay.support.v1.TicketLink"), "support.ticket_link");
    assert_eq!(kind_of("fleet.v1.Vehicle"), "fleet.vehicle");
    assert_eq!(kind_of("Vehicle"), "vehicle");
}
