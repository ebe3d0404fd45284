//! Every method declares its policy, its route and its documentation.

use std::{collections::BTreeMap, fs, path::Path};

use mainstay_kernel::contract::{Method, policy};
use prost_reflect::{FieldDescriptor, MessageDescriptor, MethodDescriptor, Value};

use crate::{
    cases,
    support::{methods, modules, rest},
};

/// Services in the descriptor set that this project does not document. The list may only shrink.
const FOREIGN: [&str; 0] = [];

/// Paths that third parties register and keep, so they carry no API version. The list may only shrink.
const ELSEWHERE: [&str; 1] = ["/webhooks/{provider}"];

/// The prefixes of protocols, whose version is that of their standard.
const PROTOCOLS: [&str; 1] = ["/scim/v2/"];

/// Policies that need more than five lines, with their lengths. A post by its slug is partly public, cached with tags, and
/// may have moved: each is a line. The list may only shrink.
const LONG: [(usize, &str); 2] = [(7, "PostService.GetPostBySlug"), (7, "TicketService.ImportTickets")];

fn comment(method: &MethodDescriptor) -> String {
    let file = method.parent_file();
    let info = file.file_descriptor_proto().source_code_info.clone().unwrap_or_default();
    let location = info.location.iter().find(|location| location.path == method.path());
    location.map(|location| location.leading_comments().trim().to_owned()).unwrap_or_default()
}

#[test]
fn every_method_has_a_policy_and_a_rule() {
    let ours: Vec<_> =
        methods().iter().map(|method| method.descriptor.parent_service().full_name().to_owned()).collect();
    let strangers: Vec<_> = modules()
        .contract
        .descriptors
        .services()
        .map(|service| service.full_name().to_owned())
        .filter(|name| !ours.contains(name) && !policy::EXEMPT.contains(&name.as_str()))
        .collect();
    assert_eq!(strangers, FOREIGN);
    for method in methods() {
        let route = rest::route(method);
        let path = route.template.to_string();
        let is_of_protocol = PROTOCOLS.iter().any(|prefix| path.starts_with(prefix));
        let is_known = path.starts_with("/api/v1/") || is_of_protocol || ELSEWHERE.contains(&path.as_str());
        assert!(is_known, "{}: {path}", method.name);
    }
}

#[test]
fn every_method_is_documented_and_names_only_existing_reasons() {
    for method in methods() {
        let comment = comment(&method.descriptor);
        assert!(comment.len() >= 10 && comment.ends_with('.'), "{} has no doc comment: {comment:?}", method.name);
        let shouted = comment
            .split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
            .filter(|word| word.contains('_') && word.len() > 3);
        for word in shouted {
            assert!(modules().contract.catalogue.find(word).is_some(), "{}: there is no reason {word}", method.name);
        }
    }
}

/// Settings of most methods belong in the defaults, and settings of an enum or a service in its own option.
#[test]
fn a_policy_is_five_lines_at_most() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let lines = |method: &Method| {
        let source = fs::read_to_string(root.join(method.descriptor.parent_file().name())).expect("the method's file");
        let rpc = format!("rpc {}(", method.descriptor.name());
        let (_, rest) = source.split_once(&rpc).expect("the method");
        let (_, rest) = rest.split_once("option (mainstay.policy.v1.method) = {").expect("its policy");
        let (policy, _) = rest.split_once("};").expect("the end of it");
        policy.lines().filter(|line| !line.trim().is_empty()).count()
    };
    let counts: Vec<_> = methods().into_iter().map(|method| (lines(method), &*method.name)).collect();
    assert!(counts.iter().all(|(lines, _)| *lines > 0), "{counts:?}");
    let long: Vec<_> = counts.into_iter().filter(|(lines, _)| *lines > 5).collect();
    assert_eq!(long, LONG);
}

#[test]
fn writes_take_keys_and_reads_do_not() {
    use mainstay_kernel::contract::policy::Idempotency;
    for method in methods() {
        let is_read = rest::route(method).http_method == Some(http::Method::GET);
        assert!(!is_read || method.idempotency == Idempotency::None, "{} is a read but takes a key", method.name);
    }
}

/// The secrets of a message, by their full names.
fn secrets(message: &MessageDescriptor, names: &mut Vec<String>) -> Vec<String> {
    if names.iter().any(|name| name == message.full_name()) {
        return Vec::new();
    }
    names.push(message.full_name().to_owned());
    let mut list = Vec::new();
    for field in message.fields() {
        if field.options().get_field_by_name("debug_redact").is_some_and(|value| *value == Value::Bool(true)) {
            list.push(field.full_name().to_owned());
        }
        if let Some(inner) = field.kind().as_message() {
            list.extend(secrets(inner, names));
        }
    }
    list
}

/// Under an idempotency key, Postgres would keep a secret for a day that is shown once.
#[test]
fn a_response_with_a_secret_is_never_stored() {
    use mainstay_kernel::contract::policy::Idempotency;
    let mut count = 0;
    for method in methods() {
        let secrets = secrets(&method.descriptor.output(), &mut Vec::new());
        count += secrets.len();
        let is_stored = method.idempotency != Idempotency::None;
        assert!(secrets.is_empty() || !is_stored, "{} takes a key, and shows {secrets:?}", method.name);
        // A field that is named a secret or a credential must be marked as one.
        for field in method.descriptor.output().fields() {
            let name = field.full_name();
            assert!(field.name() != "secret" || secrets.iter().any(|secret| secret == name), "{name} is not marked");
        }
    }
    assert!(count > 4, "the test looks for the wrong option");
}

fn has_max_items(field: &FieldDescriptor) -> bool {
    let extension = field.parent_pool().get_extension_by_name("buf.validate.field").expect("the option");
    let options = field.options();
    let rules = options.get_extension(&extension);
    let list = rules.as_message().and_then(|rules| rules.get_field_by_name("repeated"));
    list.is_some_and(|list| list.as_message().is_some_and(|list| list.has_field_by_name("max_items")))
}

/// Collects the lists of a message, recursively, with whether a rule bounds them.
fn lists(message: &MessageDescriptor, bounds: &mut BTreeMap<String, bool>, names: &mut Vec<String>) {
    if !message.full_name().starts_with("mainstay.") || names.iter().any(|name| name == message.full_name()) {
        return;
    }
    names.push(message.full_name().to_owned());
    for field in message.fields() {
        if field.is_list() {
            bounds.insert(field.full_name().to_owned(), has_max_items(&field));
        }
        if let Some(inner) = field.kind().as_message() {
            lists(inner, bounds, names);
        }
    }
}

/// The kernel limits lists without a rule to a thousand items. That bounds memory, but is not visible to callers.
#[test]
fn every_list_of_a_request_says_how_many_items_it_may_have() {
    let (mut bounds, mut names) = (BTreeMap::new(), Vec::new());
    for method in methods() {
        lists(&method.descriptor.input(), &mut bounds, &mut names);
    }
    assert!(bounds.len() > 20, "the test looks for the wrong messages: {bounds:?}");
    let unbounded: Vec<_> = bounds.iter().filter(|(_, has_rule)| !**has_rule).map(|(name, _)| name).collect();
    assert_eq!(unbounded, Vec::<&String>::new());
}

#[test]
fn every_read_of_a_resource_takes_a_mask() {
    let is_read =
        |method: &&Method| ["Get", "List", "BatchGet"].iter().any(|verb| method.descriptor.name().starts_with(verb));
    let reads: Vec<_> = methods().into_iter().filter(is_read).collect();
    assert!(reads.len() > 30, "the test looks for the wrong words");
    let maskless: Vec<_> =
        reads.iter().filter(|method| method.read_mask.is_none()).map(|method| &method.name).collect();
    assert_eq!(maskless, Vec::<&String>::new());
}

#[test]
fn every_method_has_a_case_that_succeeds() {
    for method in methods() {
        cases::good_case(&method.name);
    }
    for case in cases::all() {
        assert!(methods().iter().any(|method| method.name == case.method), "{} is no method", case.method);
    }
}
