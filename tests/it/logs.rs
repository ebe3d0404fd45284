//! The logs of a server's whole run contain no password, token, key or key hash.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    cases::{draft, ticket},
    session::registration,
    support::{Actor, PROTOCOLS, Process, Protocol, TestDatabase, actor::sign_in, people::Cast, servers, unique},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_log_contains_no_secret() {
    let database = TestDatabase::new().await;
    // This project's own crates at the most verbose level. The contents of other crates' logs below info are outside
    // this test.
    let server = Process::with(&database, &[("RUST_LOG", "info,mainstay=trace")]).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    let mut secrets = vec![servers::SECRET_KEY.to_owned()];

    for protocol in PROTOCOLS {
        let password = format!("secret {}", unique());
        let email = format!("{}@example.com", unique());
        cast.anonymous.call(protocol, "AuthService.Register", json!({ "email": email })).await.success();
        let token = registration::create_token(&database, &email).await;
        let confirmation = json!({ "token": token, "password": password, "name": "Zoë" });
        cast.anonymous.call(protocol, "AuthService.ConfirmRegistration", confirmation).await.success();
        let wrong = format!("wrong {}", unique());
        cast.anonymous.call(protocol, "AuthService.Login", json!({ "email": email, "password": wrong })).await;
        let long = "p".repeat(129);
        cast.anonymous.call(protocol, "AuthService.Login", json!({ "email": email, "password": long })).await;
        let pair = cast
            .anonymous
            .call(protocol, "AuthService.Login", json!({ "email": email, "password": password }))
            .await
            .success();
        let tokens = [pair.text("/data/accessToken"), pair.text("/data/refreshToken")];
        let key = format!("key-{}", unique());
        let me = Actor::bearer(&server.endpoint, tokens[0].clone());
        me.keyed(protocol, "TicketService.CreateTicket", draft(), &key).await.success();
        me.keyed(protocol, "TicketService.CreateTicket", json!({ "subject": "Other", "body": "x" }), &key).await;
        let forged = format!("{}x", tokens[0]);
        Actor::bearer(&server.endpoint, forged.clone()).call(protocol, "UserService.GetMe", json!({})).await;
        let refreshed = me.call(protocol, "AuthService.Refresh", json!({ "refreshToken": tokens[1] })).await.success();
        let hash: String = Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
        secrets.extend([token, password, wrong, long, key, forged, hash, refreshed.text("/data/refreshToken")]);
        secrets.extend(tokens);
    }
    ticket(&cast.customer).await;
    let service = cast.service.token().await.expect("a key");
    cast.service.call(Protocol::Grpc, "TicketService.ListTickets", json!({ "query": "not for logs" })).await.success();
    cast.service.rest("TicketService.ListTickets", json!({ "query": "not for logs" })).await.success();
    secrets.extend([service, "not for logs".to_owned()]);
    sign_in(&server.endpoint, cast.agent.as_user()).await.success();

    server.endpoint.get("/api/v1/nowhere?token=not-for-logs").await.failure("ROUTE_NOT_FOUND");
    secrets.push("not-for-logs".to_owned());

    // Hashes and keys as stored in the database.
    for statement in [
        "SELECT encode(scope_hash, 'hex') FROM idempotency_keys UNION SELECT encode(fingerprint, 'hex') FROM idempotency_keys",
        "SELECT encode(secret_hash, 'hex') FROM service_keys",
        "SELECT password_hash FROM users",
        "SELECT encode(private_key, 'hex') FROM signing_keys",
    ] {
        let rows = database.sql(statement).await;
        assert!(!rows.is_empty(), "{statement}");
        secrets.extend(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()));
    }
    // The body of each ticket.
    secrets.push("It burns.".to_owned());

    // The last request: one without a method is found by its path.
    server.wait_for_log("/api/v1/nowhere").await;
    let log = server.log();
    assert!(log.matches("request completed").count() > 20, "the log is too short:\n{log}");
    for secret in &secrets {
        for form in [secret.clone(), BASE64_STANDARD.encode(secret)] {
            if let Some(at) = log.find(&form) {
                panic!("the log has {form:?}: …{}…", &log[at.saturating_sub(200)..(at + form.len()).min(log.len())]);
            }
        }
    }
}
