//! What stops the start, and the cure that each message names.

use super::*;

/// The faults of the module option of `fleet.v1`, and of a method that is good.
fn module(option: &str) -> Vec<String> {
    let service = service_file("", GET, &policy("access: \"self\""), DATA);
    let sources = vec![("fleet/v1/module.proto", module_file("fleet.v1", option)), ("fleet/v1/fleet.proto", service)];
    read(sources).err().unwrap_or_default()
}

/// The faults of a method with these options.
fn method(http: &str, policy: &str) -> Vec<String> {
    let sources = vec![
        ("fleet/v1/module.proto", module_file("fleet.v1", FLEET)),
        ("fleet/v1/fleet.proto", service_file("", http, policy, DATA)),
    ];
    read(sources).err().unwrap_or_default()
}

/// Asserts that there is one fault, which says all of this.
#[track_caller]
fn says(faults: &[String], parts: &[&str]) {
    assert!(faults.len() == 1 && parts.iter().all(|part| faults[0].contains(part)), "{faults:#?} instead of {parts:?}");
}

#[test]
fn a_good_contract_has_no_fault() {
    assert_eq!(module(FLEET), [""; 0]);
    assert_eq!(method(GET, &policy("access: \"account\" scope: \"fleet.vehicles.read\"")), [""; 0]);
}

#[test]
fn a_method_declares_its_callers() {
    let name = "fleet.v1.Vehicles.Do: ";
    says(&method(GET, ""), &[name, "no policy: give the method the option mainstay.policy.v1.method"]);
    says(&method("", &policy("access: \"self\"")), &[name, "no HTTP rule", "google.api.http", "internal: true"]);
    assert_eq!(method("", &policy("access: \"self\" internal: true")), [""; 0]);
    says(&method(GET, &policy("access: \"self\" internal: true")), &[name, "remove google.api.http, or internal"]);
    says(
        &method(GET, &policy("conditional: true")),
        &[name, "no access: name one of the grant sets", "account, account_users, authenticated"],
    );
    says(
        &method(GET, &policy("access: \"acount\"")),
        &[
            name,
            "no grant set \"acount\", only",
            "account, account_users, authenticated",
            "or declare it in fleet/v1/module.proto",
        ],
    );
}

#[test]
fn a_method_that_reaches_more_than_the_callers_own_has_a_scope() {
    let more = |access: &str| format!("{access:?} lets callers reach more than their own: set `scope`");
    says(&method(GET, &policy("access: \"account\"")), &[&more("account")]);
    says(&method(GET, &policy("access: \"staff_users\"")), &[&more("staff_users")]);
    assert_eq!(method(GET, &policy("access: \"self\"")), [""; 0]);
    assert_eq!(method(GET, &policy("access: \"self\" scope: \"fleet.vehicles.read\"")), [""; 0]);
    says(
        &method(GET, &policy("access: \"public\" scope: \"fleet.vehicles.read\"")),
        &["\"public\" grants nothing to any role: remove scope \"fleet.vehicles.read\""],
    );
    says(
        &method(GET, &policy("access: \"account\" scope: \"fleet.vehicles.drive\"")),
        &["no scope \"fleet.vehicles.drive\", only fleet.vehicles.read", "declare it in its module.proto"],
    );
    for without in ["access: \"self\"", "access: \"self\" scope: \"fleet.vehicles.read\""] {
        let faults = method(GET, &policy(&format!("{without} scope_for_any: \"fleet.vehicles.read\"")));
        says(&faults, &["a scope_for_any goes with a `scope`, and with a role that reaches everything"]);
    }
}

#[test]
fn a_deprecated_method_has_its_dates() {
    let dates = |since: &str, sunset: &str, link: &str| {
        format!("access: \"self\" deprecation: {{since: \"{since}\" sunset: \"{sunset}\" link: \"{link}\"}}")
    };
    let faults = |fields: &str| method(&format!("{GET} option deprecated = true;"), &policy(fields));
    let good = dates("2026-11-01", "2027-05-01", "/docs");
    assert_eq!(faults(&good), [""; 0]);
    says(&faults("access: \"self\""), &["Do: a deprecated method has dates: set `deprecation`"]);
    says(&method(GET, &policy(&good)), &["`deprecation` goes with `option deprecated = true`"]);
    says(&faults(&dates("2026-11", "2027-05-01", "/docs")), &["since \"2026-11\" is no date such as 2026-11-01"]);
    says(&faults(&dates("2026-11-01", "2026-11-01", "/docs")), &["the sunset 2026-11-01 must be after 2026-11-01"]);
    for link in ["", "docs", "http://example.com", "https://example.com/a>b", "/a b"] {
        says(&faults(&dates("2026-11-01", "2027-05-01", link)), &["is no link: give an https URL or a path"]);
    }
}

#[test]
fn the_policy_of_a_response_must_match_its_message() {
    let own = |fields: &str| method(GET, &policy(&format!("access: \"self\" {fields}")));
    says(&own("version_field: \"data.revision\""), &["data.revision: no field revision"]);
    says(&own("location: \"/api/v1/do/{data.key}\""), &["data.key: no field key"]);
    says(&own("location: \"/api/v1/do/{data.id\""), &["a { without }"]);
    says(
        &own("status: 200 location: \"/api/v1/do/{data.id}\""),
        &["goes with 201 or 302, not with 200", "poll_location"],
    );
    says(&own("status: 202"), &["a 202 needs `pending_field`", "set both"]);
    says(&own("status: 202 location: \"/api/v1/do/{data.id}\""), &["a 202 needs `pending_field`", "set both"]);
    says(&own("status: 404"), &["404 is no status of success"]);
    let unmarked = "must be an enum with values that are marked mainstay.policy.v1.is_pending";
    says(&own("pending_field: \"data.id\""), &["pending_field: fleet.v1.Vehicle.id", unmarked]);
    says(&own("pending_field: \"data.color\""), &["pending_field: fleet.v1.Vehicle.color", unmarked]);
    says(&own("pending_field: \"data.state\""), &["name the location to poll"]);
    says(&own("poll_location: \"/api/v1/do/{data.id}\""), &["a `poll_location` goes with `pending_field`"]);
    says(&own("moved_field: \"data.id\""), &["`moved_field` and `moved_location` go together"]);
    says(&own("moved_location: \"/api/v1/do/{data.id}\""), &["`moved_field` and `moved_location` go together"]);
    let moved = own("moved_field: \"data.id\" moved_location: \"/api/v1/do/{data.id}\"");
    says(&moved, &["moved_field: data.id must be a bool"]);
    says(&own("deadline_ms: 0"), &["a deadline must be positive"]);
    says(&own("public_max_age_seconds: 60 replica: true"), &["reads the primary: remove `replica`"]);
    says(&own("public_max_age_seconds: 0"), &["0 s are no time to cache a response for"]);
    says(&own("cache: CACHE_PUBLIC"), &["CACHE_PUBLIC needs a lifetime"]);
    says(&own("cache: CACHE_NO_STORE public_max_age_seconds: 60"), &["go with CACHE_PUBLIC"]);
    says(&own("public_field: \"data.state\""), &["go with CACHE_PUBLIC"]);
    says(
        &own("public_max_age_seconds: 60 public_field: \"data.color\""),
        &["public_field: fleet.v1.Vehicle.color must be an enum", "marked mainstay.policy.v1.is_public"],
    );
    says(&own("public_max_age_seconds: 60 cache_tags: \"two words\""), &["must be one word without a comma"]);
    says(&own("public_max_age_seconds: 60 cache_tags: \"{data.key}\""), &["data.key: no field key"]);
    says(&own("cache_tags: \"a\""), &["go with CACHE_PUBLIC"]);
    for list in ["csv", "text/csv; header=present", "text/csv,", "text/", "a/b/c"] {
        says(&own(&format!("media_types: \"{list}\"")), &["is no media type"]);
    }
    let post = "option (google.api.http) = {post: \"/api/v1/do\"};";
    let cached = policy("access: \"self\" cache: CACHE_PRIVATE_REVALIDATE");
    says(&method(post, &cached), &["only responses of GET are cached: remove `cache`"]);
    // All at once.
    assert_eq!(method("", &policy("status: 404 deadline_ms: -1")).len(), 4);
}

#[test]
fn a_scope_is_declared_once_by_the_module_it_is_named_after() {
    let scopes = |scopes: &str| module(&format!("name: \"fleet\" scopes: [{scopes}]"));
    let foreign = "fleet/v1/module.proto: scope \"vehicles.read\" must begin with \"fleet.\"";
    says(&scopes("{name: \"vehicles.read\" summary: \"Read.\"}"), &[foreign]);
    says(&scopes("{name: \"fleets.read\" summary: \"Read.\"}"), &["must begin with \"fleet.\""]);
    says(&scopes("{name: \"fleet.Read+\" summary: \"Read.\"}"), &["words in lower_snake_case"]);
    says(&scopes("{name: \"fleet.read\"}"), &["\"fleet.read\" has no summary"]);
    let held = |holders: &str| scopes(&format!("{{name: \"fleet.read\" summary: \"Read.\" holders: [{holders}]}}"));
    assert_eq!(held("HOLDER_OWNER, HOLDER_AGENT"), [""; 0]);
    says(&held("HOLDER_UNSPECIFIED"), &["\"fleet.read\" has an unknown holder"]);
    says(&held("HOLDER_OWNER, HOLDER_OWNER"), &["\"fleet.read\" has a holder twice"]);
    let twice = "{name: \"fleet.read\" summary: \"Read.\"}, {name: \"fleet.read\" summary: \"Read.\"}";
    says(&scopes(twice), &["\"fleet.read\" is declared twice: remove one"]);
}

#[test]
fn an_event_is_declared_once_by_the_module_it_is_named_after() {
    let events = |events: &str| module(&format!("{FLEET} events: [{events}]"));
    let good = "{name: \"fleet.vehicle.sold\" summary: \"A vehicle was sold.\" scope: \"fleet.vehicles.read\"}";
    assert_eq!(events(good), [""; 0]);
    let foreign = "fleet/v1/module.proto: event \"vehicle.sold\" must begin with \"fleet.\"";
    says(&events("{name: \"vehicle.sold\" summary: \"Sold.\" scope: \"fleet.vehicles.read\"}"), &[foreign]);
    says(
        &events("{name: \"fleets.vehicle.sold\" summary: \"Sold.\" scope: \"fleet.vehicles.read\"}"),
        &["must begin with \"fleet.\""],
    );
    says(
        &events("{name: \"fleet.Vehicle.sold\" summary: \"Sold.\" scope: \"fleet.vehicles.read\"}"),
        &["words in lower_snake_case"],
    );
    says(
        &events("{name: \"fleet.vehicle.sold\" scope: \"fleet.vehicles.read\"}"),
        &["\"fleet.vehicle.sold\" has no summary", "when it is published"],
    );
    says(&events(&format!("{good}, {good}")), &["\"fleet.vehicle.sold\" is declared twice: remove one"]);
    let unknown = "event \"fleet.vehicle.sold\" needs the scope \"fleet.read\", which no module declares";
    says(&events(&good.replace("fleet.vehicles.read", "fleet.read")), &[unknown]);
    says(
        &events("{name: \"fleet.vehicle.sold\" summary: \"Sold.\"}"),
        &["needs the scope \"\", which no module declares"],
    );
}

#[test]
fn a_grant_set_is_complete_and_its_own() {
    let set = |set: &str| module(&format!("name: \"fleet\" grant_sets: [{set}]"));
    says(&set("{name: \"drivers\"}"), &["\"drivers\" must have grants, or be public"]);
    let grant = "grants: [{role: ROLE_AGENT reach: REACH_ANY}]";
    assert_eq!(set(&format!("{{name: \"all\" public: true {grant}}}")), [""; 0]);
    says(&set("{name: \"drivers\" grants: [{role: ROLE_AGENT}]}"), &["\"drivers\" has a grant without role or reach"]);
    let service = |without| {
        set(&format!(
            "{{name: \"drivers\" grants: [{{role: ROLE_SERVICE reach: REACH_ANY reach_without_scope: {without}}}]}}"
        ))
    };
    says(&service("REACH_ANY"), &["\"drivers\" lets services reach more than their own without a scope"]);
    assert_eq!(service("REACH_OWN_USER"), [""; 0]);
    let twice = "grants: [{role: ROLE_AGENT reach: REACH_ANY}, {role: ROLE_AGENT reach: REACH_OWN_USER}]";
    says(&set(&format!("{{name: \"drivers\" {twice}}}")), &["\"drivers\" grants ROLE_AGENT twice"]);
    says(&set(&format!("{{name: \"account\" {grant}}}")), &["\"account\" is shared", "another name"]);
    let drivers = format!("{{name: \"drivers\" {grant}}}");
    says(&set(&format!("{drivers}, {drivers}")), &["\"drivers\" is declared twice"]);
}

#[test]
fn a_package_belongs_to_one_module_and_a_module_has_one_name() {
    let service = || ("fleet/v1/fleet.proto", service_file("", GET, &policy("access: \"self\""), DATA));
    let both = |package: &str, option: &str| {
        let first = ("fleet/v1/module.proto", module_file("fleet.v1", FLEET));
        read(vec![first, ("other.proto", module_file(package, option)), service()]).err().unwrap_or_default()
    };
    says(&both("garage.v1", "name: \"fleet\""), &["other.proto: there is already a module \"fleet\""]);
    says(&both("fleet.v1", "name: \"cars\""), &["package fleet.v1 already belongs to the module of"]);
    says(&module("name: \"The Fleet\""), &["\"The Fleet\" must be in lower_snake_case"]);
    let none = read(vec![service()]).err().unwrap_or_default();
    says(&none, &["package fleet.v1 belongs to no module: give it a module.proto"]);
}

#[test]
fn a_watch_is_a_stream() {
    says(
        &method(GET, &policy("access: \"self\" watch: true")),
        &["a watch is a stream of responses", "or remove `watch`"],
    );
}

#[test]
fn an_age_of_the_authentication_is_positive_and_of_a_known_caller() {
    let fault = "a max_auth_age_seconds is positive";
    says(&method(GET, &policy("access: \"public\" max_auth_age_seconds: 600")), &[fault]);
    says(&method(GET, &policy("access: \"self\" max_auth_age_seconds: 0")), &[fault]);
    assert_eq!(method(GET, &policy("access: \"self\" max_auth_age_seconds: 600")), [""; 0]);
}
