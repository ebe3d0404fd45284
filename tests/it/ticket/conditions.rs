//! ETags: 304 for a known version, 412 for a changed one.

use http::header::{IF_NONE_MATCH, RANGE};
use serde_json::json;

use crate::{
    cases::ticket,
    support::{PROTOCOLS, Protocol, TestApp, rest},
};

#[tokio::test]
async fn a_known_version_is_not_sent_again_over_rest() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let id = ticket(&cast.customer).await;
    let request = json!({ "ticketId": id });
    let first = cast.customer.rest("TicketService.GetTicket", request.clone()).await.success();
    let tag = first.header("etag").expect("a tag").to_owned();
    let headers = [(IF_NONE_MATCH.as_str(), tag.as_str())];
    let second = cast.customer.call_with(Protocol::Rest, "TicketService.GetTicket", request.clone(), &headers).await;
    assert_eq!((second.status, second.header("etag")), (304, Some(tag.as_str())), "{second:#?}");
    assert!(second.body.is_null());
    // The tag as a compressing proxy returns it.
    let bare = tag.trim_end_matches('"');
    for renamed in [format!("W/{tag}"), format!("{bare}-gzip\""), format!("{bare};gz\"")] {
        let headers = [(IF_NONE_MATCH.as_str(), renamed.as_str())];
        let again = cast.customer.call_with(Protocol::Rest, "TicketService.GetTicket", request.clone(), &headers).await;
        assert_eq!((again.status, again.header("etag")), (304, Some(tag.as_str())), "{renamed}");
    }
    // Native gRPC has no equivalent of 304, so the call returns the message.
    let native =
        cast.customer.call_with(Protocol::Grpc, "TicketService.GetTicket", request.clone(), &headers).await.success();
    assert_eq!(native.body, first.body);

    let masked = json!({ "ticketId": id, "readMask": "subject" });
    let other = cast.customer.call_with(Protocol::Rest, "TicketService.GetTicket", masked, &headers).await;
    assert_eq!(other.status, 200, "another representation has another tag");
    let change = json!({ "ticketId": id, "ticket": { "subject": "Another" } });
    let next = [(IF_NONE_MATCH.as_str(), "\"2\"")];
    let response = cast.customer.call_with(Protocol::Rest, "TicketService.UpdateTicket", change, &next).await.success();
    assert_eq!((response.status, response.header("etag")), (200, Some("\"2\"")), "a write always returns its response");
    let third = cast.customer.call_with(Protocol::Rest, "TicketService.GetTicket", request, &headers).await;
    assert_eq!(third.status, 200);
    assert_ne!(third.header("etag"), Some(tag.as_str()));
}

#[tokio::test]
async fn a_range_of_a_generated_document_is_ignored() {
    let (app, cast) = TestApp::start_with_cast().await;
    let path = ticket_path(&ticket(&cast.customer).await);
    let token = cast.customer.token().await.expect("a token");
    let get = app.endpoint.http.get(format!("{}{path}", app.endpoint.base())).bearer_auth(token);
    let response = get.header(RANGE.as_str(), "bytes=0-1").send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.expect("a document").len() > 2);
}

fn ticket_path(id: &str) -> String {
    let path = rest::route(crate::support::method("TicketService.GetTicket")).template.to_string();
    path.replace("{ticket_id}", id)
}

#[tokio::test]
async fn if_match_lets_one_of_two_writers_through() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let id = ticket(&cast.customer).await;
    let change = |subject: &str| json!({ "ticketId": id, "ticket": { "subject": subject } });
    let tag = [("if-match", "\"1\"")];
    let (one, two) = tokio::join!(
        cast.customer.call_with(Protocol::Rest, "TicketService.UpdateTicket", change("One"), &tag),
        cast.colleague.call_with(Protocol::Grpc, "TicketService.UpdateTicket", change("Two"), &tag),
    );
    let mut reasons = [one.reason, two.reason];
    reasons.sort();
    assert_eq!(reasons, ["", "ETAG_MISMATCH"]);
    let any = [("if-match", "*")];
    cast.customer.call_with(Protocol::Rest, "TicketService.UpdateTicket", change("Three"), &any).await.success();
    let listed = [("if-match", "\"7\", \"3\"")];
    cast.customer.call_with(Protocol::Rest, "TicketService.UpdateTicket", change("Four"), &listed).await.success();
    // The tag as a compressing proxy returns it.
    for (text, protocol) in [
        ("W/\"4\"", Protocol::Rest),
        ("\"5-gzip\"", Protocol::Grpc),
        ("W/\"6.br\"", Protocol::Rest),
        ("\"7;gz\"", Protocol::Rest),
    ] {
        let tag = [("if-match", text)];
        let update = || cast.customer.call_with(protocol, "TicketService.UpdateTicket", change(text), &tag);
        update().await.success();
        update().await.failure("ETAG_MISMATCH");
    }
}

/// A tag that is not ASCII is legal, and never matches: the change must not be made as if it were unconditional.
/// Several lines form one list.
#[tokio::test]
async fn a_tag_that_is_not_ascii_matches_nothing_and_several_lines_are_one_list() {
    let (app, cast) = TestApp::start_with_cast().await;
    let id = ticket(&cast.customer).await;
    let token = cast.customer.token().await.expect("a token");
    let change = async |tags: &[&[u8]]| {
        let url = format!("{}/api/v1/tickets/{id}", app.endpoint.base());
        let mut patch = app.endpoint.http.patch(url).bearer_auth(&token).json(&json!({ "subject": "Another" }));
        for tag in tags {
            patch = patch.header("if-match", http::HeaderValue::from_bytes(tag).expect("a header"));
        }
        patch.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(change(&["\"é\"".as_bytes()]).await, 412);
    assert_eq!(change(&[b"\"7\"", b"\"1\""]).await, 200);
}

/// A tag consists of the version, the mask and the coding, and `If-Match` compares only the version. So a caller who
/// has read a part of a resource, or a compressed form of it, can change it.
#[tokio::test]
async fn the_tag_of_any_form_names_the_version() {
    let (app, cast) = TestApp::start_with_cast().await;
    let id = ticket(&cast.customer).await;
    let change = async |text: String, tag: &str| {
        let change = json!({ "ticketId": id, "ticket": { "body": text } });
        cast.customer.call_with(Protocol::Rest, "TicketService.UpdateTicket", change, &[("if-match", tag)]).await
    };
    // Long enough to be compressed.
    let long = |number: u32| format!("{number} {}", "It burns. ".repeat(500));
    change(long(0), "\"1\"").await.success();

    let masked = json!({ "ticketId": id, "readMask": "subject" });
    let masked = cast.customer.rest("TicketService.GetTicket", masked).await.success();
    let masked = masked.header("etag").expect("a tag").to_owned();
    let token = cast.customer.token().await.expect("a token");
    let path = ticket_path(&id);
    let compressed = app.endpoint.http.get(format!("{}{path}", app.endpoint.base())).bearer_auth(token);
    let compressed = compressed.header("accept-encoding", "gzip").send().await.expect("an answer");
    assert_eq!(compressed.headers()["content-encoding"], "gzip");
    let compressed = compressed.headers()["etag"].to_str().expect("a tag").to_owned();
    assert!(masked != "\"2\"" && compressed != "\"2\"" && masked != compressed, "{masked} {compressed}");

    change(long(1), &masked).await.success();
    change(long(2), &masked).await.failure("ETAG_MISMATCH");
    change(long(2), &compressed).await.failure("ETAG_MISMATCH");
    // The tag of the next version in the same coding.
    let next = compressed.replacen('2', "3", 1);
    change(long(2), &next).await.success();
}

#[tokio::test]
async fn other_preconditions_of_a_change_are_not_ignored() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let change = json!({ "ticketId": ticket(&cast.customer).await, "ticket": { "subject": "Another" } });
    let old = "Thu, 01 Jan 1970 00:00:00 GMT";
    for protocol in PROTOCOLS {
        for (header, value, reason) in [
            ("if-none-match", "*", "ETAG_MISMATCH"),
            ("if-none-match", "\"1\"", "ETAG_MISMATCH"),
            ("if-unmodified-since", old, "MALFORMED_REQUEST"),
        ] {
            let headers = [(header, value)];
            let update = cast.customer.call_with(protocol, "TicketService.UpdateTicket", change.clone(), &headers);
            update.await.failure(reason);
        }
    }
    // If-Match takes precedence (RFC 9110, section 13.1.4).
    let headers = [("if-unmodified-since", old), ("if-match", "\"1\"")];
    cast.customer.call_with(Protocol::Rest, "TicketService.UpdateTicket", change, &headers).await.success();
}
