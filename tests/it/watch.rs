//! Watches: changes as they happen, over every protocol and on every instance, and the end of a watch.

mod changes;
mod dashboard;
mod ending;
mod operations;
mod order;
mod resume;
mod visibility;

use std::{collections::VecDeque, time::Duration};

use futures_util::{StreamExt as _, stream};
use mainstay_kernel::contract::Method;
use serde_json::{Value, json};

use crate::{
    cases::{draft, ticket},
    support::{Actor, PROTOCOLS, Protocol, TestApp, grpc, method, rest},
};

/// The maximum wait for a message.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A stream of messages that is being read.
pub(crate) enum Reader {
    Grpc(Box<grpc::Messages>),
    Events { response: reqwest::Response, text: String, ready: VecDeque<String> },
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum WatchEvent {
    Message(Value),
    /// The code of the reason of the failure that ends it.
    Failed(String),
    End,
}

impl Reader {
    /// Begins to watch; the caller must be admitted.
    pub(crate) async fn open(who: &Actor, protocol: Protocol, method: &str, token: &str) -> Self {
        Self::try_open(who, protocol, method, token).await.unwrap_or_else(|reason| panic!("refused: {reason}"))
    }

    pub(crate) async fn try_open(who: &Actor, protocol: Protocol, name: &str, token: &str) -> Result<Self, String> {
        let method: &'static Method = method(name);
        let bearer = format!("Bearer {}", who.token().await.expect("a token"));
        if protocol == Protocol::Grpc {
            let headers = [("authorization".to_owned(), bearer)];
            let request = if token.is_empty() { json!({}) } else { json!({ "resumeToken": token }) };
            let messages = grpc::open(who.endpoint.channel.clone(), method, &request, &headers).await?;
            return Ok(Self::Grpc(Box::new(messages)));
        }
        let url = format!("{}{}", who.endpoint.base_of(protocol).await, rest::route(method).template);
        let request = who.endpoint.http.get(url).header("authorization", bearer).header("accept", "text/event-stream");
        let request = if token.is_empty() { request } else { request.header("last-event-id", token) };
        let response = request.send().await.expect("an answer");
        if response.status() != 200 {
            let body: Value = response.json().await.expect("JSON");
            return Err(body["error"]["code"].as_str().unwrap_or_default().to_owned());
        }
        Ok(Self::events(response))
    }

    /// Reads a response of server-sent events.
    pub(crate) fn events(response: reqwest::Response) -> Self {
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self::Events { response, text: String::new(), ready: VecDeque::new() }
    }

    /// Waits for the next message, or the end.
    pub(crate) async fn next(&mut self) -> WatchEvent {
        tokio::time::timeout(TIMEOUT, self.read()).await.expect("a message in time")
    }

    async fn read(&mut self) -> WatchEvent {
        match self {
            Self::Grpc(messages) => match messages.next().await {
                Ok(Some(message)) => WatchEvent::Message(message),
                Ok(None) => WatchEvent::End,
                Err(reason) => WatchEvent::Failed(reason),
            },
            Self::Events { response, text, ready } => loop {
                if let Some(event) = ready.pop_front() {
                    return read_event(&event);
                }
                let Some(piece) = response.chunk().await.expect("a piece") else { return WatchEvent::End };
                text.push_str(std::str::from_utf8(&piece).expect("whole characters"));
                while let Some((event, rest)) = text.split_once("\n\n") {
                    // A line that begins with a colon is a comment.
                    ready.extend(Some(event.to_owned()).filter(|event| !event.starts_with(':')));
                    *text = rest.to_owned();
                }
            },
        }
    }

    /// Waits for the next message.
    pub(crate) async fn message(&mut self) -> Value {
        match self.next().await {
            WatchEvent::Message(message) => message,
            other => panic!("no message but {other:?}"),
        }
    }

    /// Waits for the next message with an item besides its token.
    pub(crate) async fn item(&mut self) -> Value {
        loop {
            let message = self.message().await;
            if message.as_object().is_some_and(|message| message.len() > 1) {
                return message;
            }
        }
    }

    /// Waits for the code of the failure that ends the stream.
    pub(crate) async fn failure(&mut self) -> String {
        loop {
            match self.next().await {
                WatchEvent::Failed(reason) => return reason,
                WatchEvent::Message(_) => {}
                WatchEvent::End => panic!("it ends without a failure"),
            }
        }
    }
}

/// Reads an event. The id of an event is the token of its message.
fn read_event(event: &str) -> WatchEvent {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
    let data: Value = serde_json::from_str(field("data: ").expect("data")).expect("JSON");
    if field("event: ") == Some("error") {
        return WatchEvent::Failed(data["error"]["code"].as_str().unwrap_or_default().to_owned());
    }
    // An overview has no id.
    assert_eq!(field("id: "), data["resumeToken"].as_str(), "{event}");
    WatchEvent::Message(data)
}

pub(crate) fn token(message: &Value) -> String {
    message["resumeToken"].as_str().expect("a token").to_owned()
}

/// Returns the content of a message: the id and the version of the changed resource, or the fact that it was deleted.
pub(crate) fn change_of(message: &Value) -> (String, Option<String>) {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match text(&message["deletedId"]) {
        Some(id) => (id, None),
        None => (text(&message["data"]["id"]).expect("an id"), text(&message["data"]["version"])),
    }
}

pub(crate) const TICKETS: &str = "TicketService.WatchTickets";

/// The channel of a client is one connection. Nothing about a stream that stays open holds up the calls beside it.
#[tokio::test(flavor = "multi_thread")]
async fn calls_complete_beside_an_open_watch_on_their_connection() {
    const CALLS: usize = 400;
    let (_app, cast) = TestApp::start_with_cast().await;
    let id = ticket(&cast.customer).await;
    let mut watches = Vec::new();
    for _ in 0..2 {
        let mut reader = Reader::open(&cast.customer, Protocol::Grpc, TICKETS, "").await;
        reader.message().await;
        watches.push(reader);
    }
    let get = async || cast.customer.call(Protocol::Grpc, "TicketService.GetTicket", json!({ "ticketId": id })).await;
    let calls = stream::iter(0..CALLS).map(|_| get()).buffer_unordered(16);
    let calls = calls.filter(|answer| std::future::ready(answer.reason.is_empty())).count();
    assert_eq!(tokio::time::timeout(TIMEOUT, calls).await.expect("in time"), CALLS);
    // The watches go on, and calls between their messages complete, too.
    for number in 0..5 {
        let created = ticket(&cast.customer).await;
        for watch in &mut watches {
            assert_eq!(change_of(&watch.item().await).0, created, "{number}");
        }
        get().await.success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_on_one_instance_is_seen_on_another() {
    let here = TestApp::start().await;
    let there = TestApp::builder().on(&here.database).start().await;
    let cast = here.cast().await;
    for protocol in PROTOCOLS {
        let customer = cast.customer.at(&there.endpoint);
        let mut reader = Reader::open(&customer, protocol, TICKETS, "").await;
        let first = reader.message().await;
        assert_eq!(first, json!({ "resumeToken": token(&first) }), "{protocol:?}");

        let id = ticket(&cast.customer).await;
        let message = reader.item().await;
        let listed = cast.customer.rest("TicketService.GetTicket", json!({ "ticketId": id })).await;
        assert_eq!(&message["data"], listed.success().data(), "{protocol:?}: as GetTicket has it");

        let patch = json!({ "ticketId": id, "ticket": { "subject": "Two printers" } });
        cast.agent.call(Protocol::Grpc, "TicketService.UpdateTicket", patch).await.success();
        let message = reader.item().await;
        assert_eq!(change_of(&message), (id.clone(), Some("2".to_owned())), "{protocol:?}");
        assert_eq!(message["data"]["subject"], "Two printers");

        let resolve = json!({ "ticketId": id });
        cast.agent.rest("TicketService.ResolveTicket", resolve).await.success();
        assert_eq!(change_of(&reader.item().await), (id.clone(), Some("3".to_owned())), "{protocol:?}");

        let comment = json!({ "ticketId": id, "body": "It prints again." });
        let comment = cast.agent.rest("CommentService.CreateComment", comment).await.success().id();
        assert_eq!(change_of(&reader.item().await), (id.clone(), Some("3".to_owned())), "{protocol:?}: commented on");
        let delete = json!({ "ticketId": id, "commentId": comment });
        cast.agent.rest("CommentService.DeleteComment", delete).await.success();
        assert_eq!(
            change_of(&reader.item().await),
            (id.clone(), Some("3".to_owned())),
            "{protocol:?}: the comment is gone"
        );

        let delete = json!({ "ticketId": id });
        cast.admin.rest("TicketService.DeleteTicket", delete).await.success();
        assert_eq!(change_of(&reader.item().await), (id, None), "{protocol:?}");
    }
}

/// Batches and imports too, each with its own statements.
#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_make_a_ticket_is_seen() {
    let (_app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let mut reader = Reader::open(&cast.customer, Protocol::Rest, TICKETS, "").await;
    let account = cast.customer.as_user().account.to_string();
    let mut one = draft();
    one["accountId"] = account.clone().into();
    let batch = json!({ "tickets": [one.clone(), one] });
    cast.agent.rest("TicketService.BatchCreateTickets", batch).await.success();
    let (first, second) = (change_of(&reader.item().await), change_of(&reader.item().await));
    assert!(first.0 != second.0 && first.1 == second.1, "{first:?} {second:?}");
    let file = crate::cases::file("subject,body\nOne,Text\nTwo,Text\nThree,Text\n");
    let import = json!({ "accountId": account, "file": file });
    cast.agent.rest("TicketService.ImportTickets", import).await.success();
    let mut subjects = Vec::new();
    for _ in 0..3 {
        subjects.push(reader.item().await["data"]["subject"].as_str().expect("a subject").to_owned());
    }
    subjects.sort_unstable();
    assert_eq!(subjects, ["One", "Three", "Two"]);
}

/// Through Envoy, a stream of lines works like a stream of events.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_is_lines_unless_events_are_asked_for() {
    let app = TestApp::start().await;
    let customer = app.cast().await.customer;
    for protocol in [Protocol::Rest, Protocol::Envoy] {
        let url = format!("{}/api/v1/tickets/watch", customer.endpoint.base_of(protocol).await);
        let request = customer.endpoint.http.get(url).bearer_auth(customer.token().await.expect("a token"));
        let mut response = request.send().await.expect("an answer");
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"application/x-ndjson".parse().expect("a type"))
        );
        let line = response.chunk().await.expect("a piece").expect("a line");
        let line: Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!(line, json!({ "resumeToken": token(&line) }), "{protocol:?}");
    }
}
