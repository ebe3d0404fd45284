//! The networks of a key: the allowed networks, and the networks from which the key was used.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{LIST, again, draft, key_of};
use crate::support::{Actor, Protocol, Response, TestApp};

/// Calls from an address, which the trusted proxy adds.
async fn call_from(key: &Actor, protocol: Protocol, address: &str) -> Response {
    key.call_with(protocol, LIST, json!({}), &[("x-forwarded-for", address)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_accepted_only_from_its_networks() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let mut request = draft(&["support.tickets.read"]);
    request["allowedNetworks"] = json!(["203.0.113.0/24", "2001:db8::/32"]);
    let (_, key) = key_of(&cast.customer, request).await;
    for protocol in [Protocol::Grpc, Protocol::Rest] {
        // Before and after an allowed use, which is cached.
        for _ in 0..2 {
            call_from(&key, protocol, "198.51.100.7").await.failure("PERMISSION_DENIED");
            for allowed in ["203.0.113.7", "2001:db8:1::1", "::ffff:203.0.113.9"] {
                call_from(&key, protocol, allowed).await.success();
            }
        }
    }
}

/// Returns the entries about the use of a key, newest first.
async fn uses(admin: &Actor, id: &str) -> Vec<Value> {
    let request = json!({ "resourceId": id, "method": "key use" });
    let list = admin.rest("AuditService.ListAuditEntries", request).await.success();
    list.data().as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_use_from_a_new_network_is_an_entry() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let (id, key) = key_of(&cast.customer, draft(&["support.tickets.read"])).await;
    // Two addresses of a network, then another network, although the key is cached by then.
    for address in ["203.0.113.7", "203.0.113.8", "203.0.113.7", "198.51.100.1", "203.0.113.9", "198.51.100.2"] {
        call_from(&key, Protocol::Rest, address).await.success();
    }
    let entries = uses(&cast.admin, &id).await;
    let addresses: Vec<_> = entries.iter().map(|entry| entry["clientAddress"].clone()).collect();
    assert_eq!(addresses, [json!("198.51.100.1"), json!("203.0.113.7")], "{entries:#?}");
    // The account sees what its key did, from where.
    let own = uses(&cast.customer, &id).await;
    assert_eq!(own.iter().map(|entry| entry["clientAddress"].clone()).collect::<Vec<_>>(), addresses, "{own:#?}");
    for entry in &entries {
        assert_eq!(entry["actorKind"], "ACTOR_KIND_SERVICE");
        assert_eq!((&entry["actorId"], &entry["resourceId"]), (&json!(id), &json!(id)));
        assert_eq!(entry["accountId"], cast.customer.as_user().account.to_string());
        assert!(entry["requestId"].is_string(), "{entry:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_use_is_stored_once_per_hour() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (id, key) = key_of(&cast.customer, draft(&["support.tickets.read"])).await;
    let last_use = async || {
        let get = json!({ "serviceKeyId": id });
        let key = again(&cast.customer).rest("ServiceKeyService.GetServiceKey", get).await.success();
        key.data()["lastUseTime"].clone()
    };
    assert_eq!(last_use().await, Value::Null);
    let mut times = Vec::new();
    for minutes in [0, 30, 29, 2] {
        app.app.clock.advance(TimeDelta::minutes(minutes));
        call_from(&key, Protocol::Rest, "203.0.113.7").await.success();
        times.push(last_use().await);
    }
    assert!(times[0].is_string() && times[0] == times[1] && times[1] == times[2], "{times:?}");
    assert_ne!(times[2], times[3], "an hour later");
}
