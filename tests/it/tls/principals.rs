//! The principals that client certificates map to, and their permissions.

use http::Method;
use rustls::HandshakeKind;
use serde_json::json;

use super::{Authority, Client, Files, client};
use crate::support::{TestApp, grpc, method};

const BILLING: &str = "spiffe://example.org/billing";
const REPORTS: &str = "spiffe://example.org/reports";

#[tokio::test]
async fn a_listed_name_has_the_permissions_of_its_scopes() {
    let authority = Authority::new();
    let files = Files::new(&authority.server());
    files.put("clients.crt", &authority.certificate);
    let principals = format!("{BILLING}=support.tickets.read+support.tickets.write,{REPORTS}=support.tickets.read");
    let plain = TestApp::start().await;
    let secure = files.configure(TestApp::builder().on(&plain.database));
    let secure = secure.set("TLS_CLIENT_CA", files.path("clients.crt")).set("TLS_PRINCIPALS", principals);
    let secure = secure.start().await;
    let address = secure.endpoint.address;
    let called = |names: &[&str]| Client::trusting(&authority).with_certificate(authority.client(names));
    let status = async |client: &Client, verb: Method, path: &str, token: Option<&str>| {
        let answer = client.call(address, verb, path, token).await.expect("an answer");
        (answer.status, answer.reason)
    };
    let ok = (200, String::new());
    let refusal = |status: u16, reason: &str| (status, reason.to_owned());

    let (billing, reports) = (called(&[BILLING]), called(&[REPORTS]));
    for client in [&billing, &reports] {
        assert_eq!(status(client, Method::GET, "/api/v1/tickets", None).await, ok);
        // One method that no service may call, and one that neither has the scope for.
        assert_eq!(status(client, Method::GET, "/api/v1/me", None).await, refusal(403, "PERMISSION_DENIED"));
        assert_eq!(status(client, Method::GET, "/api/v1/users", None).await, refusal(403, "PERMISSION_DENIED"));
    }
    assert_eq!(status(&reports, Method::POST, "/api/v1/tickets", None).await, refusal(403, "PERMISSION_DENIED"));
    // The scope allows the call, but the request must name the account.
    assert_eq!(status(&billing, Method::POST, "/api/v1/tickets", None).await, refusal(422, "VALIDATION_FAILED"));

    // Over gRPC too.
    let list = method("TicketService.ListTickets");
    let answer = grpc::call(reports.channel(address), list, &json!({}), &[]).await;
    assert_eq!((answer.status, &*answer.reason), (200, ""), "{answer:#?}");
    let answer = grpc::call(reports.channel(address), method("UserService.ListUsers"), &json!({}), &[]).await;
    assert_eq!((answer.status, &*answer.reason), (403, "PERMISSION_DENIED"), "{answer:#?}");

    // A name that is not listed, two names, or none identify no principal.
    for names in [&["spiffe://example.org/other"][..], &[BILLING, REPORTS], &[]] {
        let client = called(names);
        assert_eq!(status(&client, Method::GET, "/api/v1/tickets", None).await, refusal(401, "UNAUTHENTICATED"));
    }

    // A credential takes precedence over the certificate, whether it is valid or not.
    let token = plain.cast().await.customer.token().await.expect("a token");
    assert_eq!(status(&billing, Method::GET, "/api/v1/me", Some(&token)).await, ok);
    assert_eq!(status(&billing, Method::GET, "/api/v1/tickets", Some("nonsense")).await, refusal(401, "INVALID_TOKEN"));
}

/// A resumed session skips the check of the client's certificate, which may have expired since.
#[tokio::test]
async fn no_session_is_resumed_where_clients_have_certificates() {
    let authority = Authority::new();
    let files = Files::new(&authority.server());
    files.put("clients.crt", &authority.certificate);
    let plain = files.configure(TestApp::builder()).start().await;
    let secure = files.configure(TestApp::builder().on(&plain.database));
    let secure = secure.set("TLS_CLIENT_CA", files.path("clients.crt"));
    let secure = secure.set("TLS_PRINCIPALS", format!("{BILLING}=support.tickets.read")).start().await;
    let kinds = async |app: &TestApp| {
        let config = Client::trusting(&authority).with_certificate(authority.client(&[BILLING])).config();
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let stream = client::connect(config.clone(), app.endpoint.address).await.expect("a handshake");
            kinds.push(stream.get_ref().1.handshake_kind().expect("done"));
            // The tickets for a resumption arrive with the first response.
            let answer = client::exchange(stream, Method::GET, "/livez", None).await.expect("an answer");
            assert_eq!(answer.status, 200);
        }
        kinds
    };
    assert_eq!(kinds(&plain).await, [HandshakeKind::Full, HandshakeKind::Resumed], "the client does resume sessions");
    assert_eq!(kinds(&secure).await, [HandshakeKind::Full, HandshakeKind::Full]);
}

#[tokio::test]
async fn a_name_keeps_its_idempotency_keys_across_certificates() {
    let authority = Authority::new();
    let files = Files::new(&authority.server());
    files.put("clients.crt", &authority.certificate);
    let plain = TestApp::start().await;
    let account = plain.cast().await.customer.as_user().account;
    let secure = files.configure(TestApp::builder().on(&plain.database));
    let secure = secure.set("TLS_CLIENT_CA", files.path("clients.crt"));
    let secure = secure.set("TLS_PRINCIPALS", format!("{BILLING}=support.tickets.write")).start().await;
    let request = json!({ "subject": "a", "body": "b", "accountId": account });
    let key = [("idempotency-key".to_owned(), "once".to_owned())];
    let mut ids = Vec::new();
    for _ in 0..2 {
        let client = Client::trusting(&authority).with_certificate(authority.client(&[BILLING]));
        let channel = client.channel(secure.endpoint.address);
        let answer = grpc::call(channel, method("TicketService.CreateTicket"), &request, &key).await;
        assert_eq!(answer.status, 201, "{answer:#?}");
        ids.push(answer.text("/data/id"));
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(plain.database.number("SELECT count(*) FROM tickets").await, 1);
}
