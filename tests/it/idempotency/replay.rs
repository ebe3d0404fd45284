//! The effect of an idempotency key on later requests.

use serde_json::json;

use super::Effects;
use crate::{
    cases::{draft, join},
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, actor::sign_in},
};

const CREATE: &str = "TicketService.CreateTicket";

#[tokio::test]
async fn a_retry_gets_the_first_answer_through_any_protocol() {
    let (app, cast) = TestApp::start_with_cast().await;
    let first = cast.customer.keyed(Protocol::Rest, CREATE, draft(), "one").await.success();
    assert!(!first.is_replayed());
    for protocol in PROTOCOLS {
        let again = cast.customer.keyed(protocol, CREATE, draft(), "one").await.success();
        assert!(again.is_replayed(), "{again:#?}");
        assert_eq!(again.body, first.body);
        for header in ["location", "etag"] {
            assert_eq!(again.header(header), first.header(header), "{header} over {protocol:?}");
        }
        assert_eq!(again.status, 201);
        assert_ne!(again.header("x-request-id"), first.header("x-request-id"), "the request id is new");
    }
    assert_eq!(Effects::in_database(&app.database).await, Effects::of(1));
}

/// Returns the remaining requests of the limit, according to a response.
fn remaining(answer: &Response) -> u32 {
    let header = answer.header("ratelimit").unwrap_or_else(|| panic!("no limit: {answer:#?}"));
    let pair = header.strip_prefix("\"write\";r=").and_then(|rest| rest.split_once(";t="));
    pair.and_then(|(count, _)| count.parse().ok()).unwrap_or_else(|| panic!("{header}"))
}

/// The limit applies to each request, including repetitions.
#[tokio::test]
async fn a_replay_has_the_rate_limit_of_its_own_request() {
    let app = TestApp::builder().set("RATE_LIMIT_WRITE", "80/1h").set("OPEN_TICKET_LIMIT", "1").start().await;
    let customer = app.cast().await.customer;
    for (key, status) in [("made", 201), ("refused", 422)] {
        let first = customer.keyed(Protocol::Rest, CREATE, draft(), key).await;
        assert_eq!((first.status, first.is_replayed()), (status, false), "{first:#?}");
        let mut before = remaining(&first);
        for protocol in PROTOCOLS {
            let again = customer.keyed(protocol, CREATE, draft(), key).await;
            assert_eq!((again.status, again.is_replayed()), (status, true), "{again:#?}");
            assert_eq!(again.header("ratelimit-policy"), first.header("ratelimit-policy"), "{protocol:?}");
            assert!(remaining(&again) < before, "{before} before: {again:#?}");
            before = remaining(&again);
        }
    }
}

#[tokio::test]
async fn a_refreshed_token_finds_the_same_key() {
    let (app, cast) = TestApp::start_with_cast().await;
    let pair = sign_in(&app.endpoint, cast.customer.as_user()).await.success();
    let before = Actor::bearer(&app.endpoint, pair.text("/data/accessToken"));
    let first = before.keyed(Protocol::Rest, CREATE, draft(), "one").await.success();
    // Tokens issued within the same second are identical.
    app.app.clock.advance(chrono::TimeDelta::seconds(2));
    let request = json!({ "refreshToken": pair.text("/data/refreshToken") });
    let fresh = cast.anonymous.call(Protocol::Grpc, "AuthService.Refresh", request).await.success();
    let after = Actor::bearer(&app.endpoint, fresh.text("/data/accessToken"));
    assert_ne!(before.token().await, after.token().await);
    let again = after.keyed(Protocol::Grpc, CREATE, draft(), "one").await.success();
    assert!(again.is_replayed());
    assert_eq!(again.id(), first.id());
}

#[tokio::test]
async fn a_key_belongs_to_its_principal_and_method() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let mine = cast.customer.keyed(Protocol::Rest, CREATE, draft(), "one").await.success();
    let theirs = cast.colleague.keyed(Protocol::Rest, CREATE, draft(), "one").await.success();
    assert!(!theirs.is_replayed());
    assert_ne!(mine.id(), theirs.id());
    let other = json!({ "ticketId": mine.id() });
    let resolved = cast.customer.keyed(Protocol::Rest, "TicketService.ResolveTicket", other, "one").await.success();
    assert!(!resolved.is_replayed());
}

/// The account of the session is part of the request.
#[tokio::test]
async fn a_key_belongs_to_the_account_of_the_session() {
    let (app, cast) = TestApp::start_with_cast().await;
    join(&app.database, &cast.stranger, &cast.customer, 3).await;
    let user = cast.stranger.as_user();
    let in_account_of = async |who: &Actor| {
        let login =
            json!({ "email": user.email, "password": user.password, "accountId": who.as_user().account.to_string() });
        let pair = cast.anonymous.rest("AuthService.Login", login).await.success();
        Actor::bearer(&app.endpoint, pair.text("/data/accessToken"))
    };
    let (own, other) = (in_account_of(&cast.stranger).await, in_account_of(&cast.customer).await);
    let first = own.keyed(Protocol::Rest, CREATE, draft(), "one").await.success();
    for protocol in PROTOCOLS {
        other.keyed(protocol, CREATE, draft(), "one").await.failure("IDEMPOTENCY_KEY_REUSED");
        let again = own.keyed(protocol, CREATE, draft(), "one").await.success();
        assert_eq!((again.is_replayed(), again.id()), (true, first.id()));
    }
    let another = other.keyed(Protocol::Rest, CREATE, draft(), "two").await.success();
    assert_eq!(another.text("/data/accountId"), cast.customer.as_user().account.to_string());
}

/// An agent's stored response is not returned to the customer whom the agent has become, and the request does not run
/// again.
#[tokio::test]
async fn a_caller_with_less_reach_gets_no_earlier_response() {
    let (app, cast) = TestApp::start_with_cast().await;
    let ticket = cast.customer.rest(CREATE, draft()).await.success().id();
    let change = json!({ "ticketId": ticket, "ticket": { "subject": "By an agent" } });
    let agent = cast.agent.as_user();
    cast.agent.keyed(Protocol::Rest, "TicketService.UpdateTicket", change.clone(), "one").await.success();
    let become_role = async |role: &str| {
        let request = json!({ "userId": agent.id.to_string(), "role": role });
        cast.admin.call(Protocol::Grpc, "UserService.SetUserRole", request).await.success();
        Actor::bearer(&app.endpoint, sign_in(&app.endpoint, agent).await.success().text("/data/accessToken"))
    };
    let demoted = become_role("ROLE_CUSTOMER").await;
    for protocol in PROTOCOLS {
        let response = demoted.keyed(protocol, "TicketService.UpdateTicket", change.clone(), "one").await;
        let response = response.failure("NOT_FOUND");
        assert!(!response.body.to_string().contains("By an agent"), "{response:#?}");
    }
    let admin = become_role("ROLE_ADMIN").await;
    let again = admin.keyed(Protocol::Rest, "TicketService.UpdateTicket", change, "one").await.success();
    assert!(again.is_replayed(), "{again:#?}");
}

#[tokio::test]
async fn the_order_of_json_and_the_quotes_of_the_key_do_not_matter() {
    let (app, cast) = TestApp::start_with_cast().await;
    let post = async |body: &'static str, name: &'static str, key: &'static str| {
        let token = cast.customer.token().await.expect("a token");
        let request = app.endpoint.http.post(format!("{}/api/v1/tickets", app.endpoint.base()));
        let request =
            request.header("content-type", "application/json").header(name, key).bearer_auth(token).body(body);
        crate::support::rest::read(request.send().await.expect("an answer")).await.success()
    };
    let first = post(r#"{"subject":"A","body":"B"}"#, "idempotency-key", "k-1").await;
    let again = post(r#"{ "body": "B", "subject": "A" }"#, "x-idempotency-key", r#""k-1""#).await;
    assert!(again.is_replayed());
    assert_eq!(again.id(), first.id());
}

#[tokio::test]
async fn a_request_has_one_key() {
    let app = TestApp::start().await;
    let customer = app.cast().await.customer;
    for protocol in PROTOCOLS {
        for (first, second) in [("idempotency-key", "idempotency-key"), ("idempotency-key", "x-idempotency-key")] {
            let keys = [(first, "one"), (second, "two")];
            customer.call_with(protocol, CREATE, draft(), &keys).await.failure("MALFORMED_REQUEST");
        }
    }
    assert_eq!(Effects::in_database(&app.database).await, Effects::of(0));
}

#[tokio::test]
async fn a_refusal_by_the_operation_is_stored_too() {
    let (_app, cast) = TestApp::builder().set("OPEN_TICKET_LIMIT", "1").start_with_cast().await;
    let open = cast.customer.rest(CREATE, draft()).await.success().id();
    let first = cast.customer.keyed(Protocol::Rest, CREATE, draft(), "one").await.failure("OPEN_TICKET_LIMIT_REACHED");
    assert!(!first.is_replayed());
    // The limit has room again, and the key still returns the stored error.
    cast.customer.rest("TicketService.ResolveTicket", json!({ "ticketId": open })).await.success();
    for protocol in PROTOCOLS {
        let again = cast.customer.keyed(protocol, CREATE, draft(), "one").await.failure("OPEN_TICKET_LIMIT_REACHED");
        assert!(again.is_replayed(), "{again:#?}");
        assert_eq!(again.text("/error/message"), first.text("/error/message"));
    }
    cast.customer.keyed(Protocol::Rest, CREATE, draft(), "two").await.success();
}

#[tokio::test]
async fn an_answer_that_the_operation_did_not_decide_is_not_stored() {
    let (app, cast) = TestApp::start_with_cast().await;
    let wrong = json!({ "subject": "", "body": "" });
    cast.customer.keyed(Protocol::Rest, CREATE, wrong, "one").await.failure("VALIDATION_FAILED");
    cast.anonymous.keyed(Protocol::Rest, CREATE, draft(), "one").await.failure("UNAUTHENTICATED");
    assert_eq!(Effects::in_database(&app.database).await, Effects::of(0));
    let response = cast.customer.keyed(Protocol::Rest, CREATE, draft(), "one").await.success();
    assert!(!response.is_replayed());
}

#[tokio::test]
async fn an_old_key_is_refused_and_does_not_run_again() {
    let (app, cast) = TestApp::start_with_cast().await;
    cast.customer.keyed(Protocol::Rest, CREATE, draft(), "one").await.success();
    app.database.sql("UPDATE idempotency_keys SET created_at = created_at - interval '25 hours'").await;
    for protocol in PROTOCOLS {
        cast.customer.keyed(protocol, CREATE, draft(), "one").await.failure("IDEMPOTENCY_KEY_EXPIRED");
    }
    // The same holds after the stored answer was removed.
    app.database.sql("UPDATE idempotency_keys SET answer = NULL").await;
    cast.customer.keyed(Protocol::Rest, CREATE, draft(), "one").await.failure("IDEMPOTENCY_KEY_EXPIRED");
    assert_eq!(Effects::in_database(&app.database).await, Effects::of(1));
}

/// A failure does not determine the next attempt, which runs.
#[tokio::test]
async fn a_failure_is_not_stored() {
    let (app, cast) = TestApp::start_with_cast().await;
    app.database.sql("ALTER TABLE tickets ADD CONSTRAINT tickets_broken CHECK (false) NOT VALID").await;
    for protocol in PROTOCOLS {
        cast.customer.keyed(protocol, CREATE, draft(), "one").await.failure("INTERNAL_ERROR");
    }
    app.database.sql("ALTER TABLE tickets DROP CONSTRAINT tickets_broken").await;
    let response = cast.customer.keyed(Protocol::Rest, CREATE, draft(), "one").await.success();
    assert!(!response.is_replayed(), "{response:#?}");
    assert_eq!(Effects::in_database(&app.database).await, Effects::of(1));
}

/// A method that ignores keys, such as one whose response has a secret, runs each time, and stores nothing.
#[tokio::test]
async fn a_method_that_takes_no_key_stores_nothing() {
    let (app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        let request = json!({ "name": "A robot", "scopes": ["support.tickets.read"] });
        let mut secrets = Vec::new();
        for _ in 0..2 {
            let response =
                cast.admin.keyed(protocol, "ServiceKeyService.CreateServiceKey", request.clone(), "one").await;
            let response = response.success();
            assert!(!response.is_replayed(), "{response:#?}");
            secrets.push(response.text("/secret"));
        }
        assert_ne!(secrets[0], secrets[1], "over {protocol:?}");
        let (email, password) = (&cast.customer.as_user().email, &cast.customer.as_user().password);
        let login = json!({ "email": email, "password": password });
        cast.anonymous.keyed(protocol, "AuthService.Login", login, "one").await.success();
    }
    assert_eq!(app.database.number("SELECT count(*) FROM idempotency_keys").await, 0);
}
