//! Patches, derived from the contract: each field of the patch of an `Update…` method, alone in the mask, changes the
//! resource. The methods and their fields are not listed here, so a new one is covered automatically.

use mainstay_kernel::contract::Method;
use mainstay_transcoder::BodyRule;
use prost_reflect::{FieldDescriptor, Kind};
use serde_json::{Value, json};

use crate::{
    cases::{self, Scene, file::upload, role::role},
    support::{Actor, Protocol, TestApp, euro, methods, rest, unique},
};

/// Fields that are rejected by name, regardless of their value. The list may only shrink.
const REFUSED: [&str; 0] = [];

/// Each method that patches a resource, with the field that holds the patch.
fn updates() -> Vec<(&'static Method, FieldDescriptor)> {
    let updates = methods().into_iter().filter(|method| method.descriptor.name().starts_with("Update"));
    let with_patch = |method: &'static Method| {
        let has_mask = method.descriptor.input().get_field_by_name("update_mask").is_some();
        assert!(has_mask, "{} has no mask", method.name);
        match &rest::route(method).body {
            BodyRule::Field(patch) => (method, patch.clone()),
            other => panic!("{} has no patch for a body: {other:?}", method.name),
        }
    };
    let updates: Vec<_> = updates.map(with_patch).collect();
    assert!(updates.len() > 4, "the test finds too few methods");
    updates
}

/// Returns a valid value of a field that differs from the current one.
async fn another_value(field: &FieldDescriptor, before: &Value, who: &Actor) -> Value {
    let value: Value = match (field.kind(), field.name()) {
        (Kind::String, "language") => "fr".into(),
        (Kind::String, "url" | "redirect_uris" | "post_logout_redirect_uris") => "https://example.com/another".into(),
        (Kind::String, "event_types") => "support.ticket.created".into(),
        (Kind::String, "attachment_ids") => upload(who).await.into(),
        (Kind::String, "custom_role_id") => role(who, &["orders.read"]).await.into(),
        (Kind::String, "scopes") => "orders.read".into(),
        (Kind::String, _) => unique().into(),
        (Kind::Int32, "session_idle_seconds" | "session_max_age_seconds") => 7200.into(),
        (Kind::Bool, _) => (!before.as_bool().unwrap_or(true)).into(),
        // Not that of an owner.
        (Kind::Enum(_), "default_role") => "MEMBER_ROLE_MEMBER".into(),
        (Kind::Enum(values), _) => {
            let current = before.as_str().unwrap_or_default();
            let other = values.values().find(|value| value.number() != 0 && value.name() != current);
            other.expect("another value").name().to_owned().into()
        }
        (Kind::Message(message), _) if message.full_name() == "mainstay.common.v1.Money" => euro("7"),
        (Kind::Message(_), "groups") => json!({ "group": unique(), "role": "MEMBER_ROLE_MEMBER" }),
        (kind, _) => panic!("say here what another value of {} is: {kind:?}", field.full_name()),
    };
    if field.is_list() { json!([value]) } else { value }
}

/// Returns a resource without its version and the time of its last change.
fn without_version(mut resource: Value) -> Value {
    if let Some(fields) = resource.as_object_mut() {
        fields.remove("version");
        fields.remove("updateTime");
    }
    resource
}

/// Patches a field of a resource; returns the fault, if any.
async fn check_field(
    app: &TestApp,
    method: &Method,
    patch: &FieldDescriptor,
    field: &FieldDescriptor,
    protocol: Protocol,
) -> Option<String> {
    let scene = Scene::new(app).await;
    let call = (cases::good_case(&method.name).call)(scene).await;
    let mut target = call.request.clone();
    let fields = target.as_object_mut().expect("a message");
    fields.remove(patch.json_name());
    fields.remove("updateMask");
    let get = method.name.replace(".Update", ".Get");
    let read = async || call.who.call(protocol, &get, target.clone()).await.success().data().clone();

    let (before, name) = (read().await, field.json_name());
    let value = another_value(field, &before[name], &call.who).await;
    let mut request = target.clone();
    request[patch.json_name()] = json!({ name: value });
    request["updateMask"] = name.into();
    let answer = call.who.call(protocol, &method.name, request).await;

    let path = format!("{}.{name}", patch.json_name());
    let is_refused = answer.body["error"]["fields"]
        .as_object()
        .is_some_and(|fields| fields.keys().any(|name| name.starts_with(&path)));
    if is_refused && REFUSED.contains(&field.full_name()) {
        return None;
    }
    if !answer.reason.is_empty() {
        return Some(format!("is refused with {value}: {}", answer.body));
    }
    let after = read().await;
    // Some fields have no counterpart of the same name in the resource; then another field must have changed.
    let is_set = after.get(name).is_none_or(|current| *current == value);
    (!is_set || without_version(after.clone()) == without_version(before))
        .then(|| format!("is accepted with {value}, and then the resource is {after}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_of_a_patch_changes_the_resource() {
    let app = TestApp::start().await;
    let (mut faults, mut count) = (Vec::new(), 0);
    for (method, patch) in updates() {
        let kind = patch.kind();
        let message = kind.as_message().expect("a patch is a message");
        for field in message.fields() {
            count += 1;
            for protocol in [Protocol::Grpc, Protocol::Rest] {
                let fault = check_field(&app, method, &patch, &field, protocol).await;
                faults
                    .extend(fault.map(|fault| format!("{} over {protocol:?}: {} {fault}", method.name, field.name())));
            }
        }
    }
    assert!(count > 20, "there are only {count} fields");
    assert!(faults.is_empty(), "{} of {count}:\n{}", faults.len(), faults.join("\n"));
}
