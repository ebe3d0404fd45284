//! THE table of cases: every method, what goes well and what typically does not. It is asked over each door, and the
//! tests of access take their valid requests from it.

pub(crate) mod auth;
pub(crate) mod comment;
pub(crate) mod operation;
pub(crate) mod order;
pub(crate) mod payment;
pub(crate) mod service_key;
pub(crate) mod session;
pub(crate) mod subscription;
pub(crate) mod ticket;
pub(crate) mod ticket_list;
pub(crate) mod user;
pub(crate) mod webhook;
pub(crate) mod webhook_endpoint;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::support::{Actor, Answer, Door, Endpoint, TestApp, TestDatabase, people::Cast, unique};

/// One request and how it ends.
pub(crate) struct Case {
    pub(crate) method: &'static str,
    pub(crate) name: &'static str,
    pub(crate) ends: Ends,
    pub(crate) ask: fn(Scene) -> BoxFuture<'static, Ask>,
}

/// How a case ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Well, with this HTTP status.
    With(u16),
    /// Refused for this reason.
    For(&'static str),
}

/// What is asked, and by whom.
pub(crate) struct Ask {
    pub(crate) who: Actor,
    pub(crate) request: Value,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Ask {
    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends it.
    pub(crate) async fn send(&self, door: Door, method: &str) -> Answer {
        self.send_as(&self.who, door, method).await
    }

    /// Sends it in somebody else's name.
    pub(crate) async fn send_as(&self, who: &Actor, door: Door, method: &str) -> Answer {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        who.call_with(door, method, self.request.clone(), &headers).await
    }
}

/// A request of somebody.
pub(crate) fn ask(who: &Actor, request: Value) -> Ask {
    Ask { who: who.clone(), request, headers: Vec::new() }
}

/// People whom no other case knows, and what they have.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) cast: Cast,
    pub(crate) endpoint: Endpoint,
    pub(crate) database: Arc<TestDatabase>,
}

impl Scene {
    /// A new one.
    pub(crate) async fn new(app: &TestApp) -> Self {
        Self { cast: app.cast().await, endpoint: app.endpoint.clone(), database: app.database.clone() }
    }

    /// The id of the customer's account.
    pub(crate) fn account(&self) -> String {
        self.cast.customer.who().account.to_string()
    }

    /// The customer's ticket.
    pub(crate) async fn ticket(&self) -> String {
        ticket(&self.cast.customer).await
    }

    /// The customer's ticket, resolved.
    pub(crate) async fn resolved(&self) -> String {
        let id = self.ticket().await;
        self.cast.agent.call(Door::Rest, "TicketService.ResolveTicket", json!({ "ticketId": id })).await.good();
        id
    }

    /// A comment of the customer on a ticket.
    pub(crate) async fn comment(&self, ticket: &str) -> String {
        let request = json!({ "ticketId": ticket, "body": "It still does." });
        self.cast.customer.call(Door::Rest, "CommentService.CreateComment", request).await.good().id()
    }

    /// An import of the agent, with one row that is wrong.
    pub(crate) async fn operation(&self) -> String {
        let request = json!({ "accountId": self.account(), "file": file("type,body\nIncident,Help\nNonsense,\n") });
        self.cast.agent.call(Door::Rest, "TicketService.ImportTickets", request).await.good().id()
    }
}

/// A file as the contract carries it.
pub(crate) fn file(text: &str) -> Value {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    json!({ "contentType": "text/csv", "data": BASE64_STANDARD.encode(text) })
}

/// A ticket of somebody who has an account.
pub(crate) async fn ticket(who: &Actor) -> String {
    who.call(Door::Rest, "TicketService.CreateTicket", draft()).await.good().id()
}

/// A ticket to make.
pub(crate) fn draft() -> Value {
    json!({ "subject": "The printer is on fire", "body": "It burns." })
}

/// An id of nothing.
pub(crate) fn nothing() -> String {
    uuid::Uuid::parse_str(&unique()).expect("an id").to_string()
}

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = ticket::cases();
    cases.extend(ticket_list::cases());
    cases.extend(comment::cases());
    cases.extend(operation::cases());
    cases.extend(order::cases());
    cases.extend(payment::cases());
    cases.extend(subscription::cases());
    cases.extend(user::cases());
    cases.extend(service_key::cases());
    cases.extend(session::cases());
    cases.extend(auth::cases());
    cases.extend(webhook::cases());
    cases.extend(webhook_endpoint::cases());
    cases
}

/// The first case in which a method ends well.
pub(crate) fn good_case(method: &str) -> Case {
    let found = all().into_iter().find(|case| case.method == method && matches!(case.ends, Ends::With(_)));
    found.unwrap_or_else(|| panic!("{method} has no case in which it ends well"))
}

/// Rows of the table: method, name, end, and what is asked in a scene.
macro_rules! cases {
    ($($method:literal { $($name:literal => $ends:expr, |$scene:ident| $ask:expr;)* })*) => {
        vec![$($($crate::cases::Case {
            method: $method,
            name: $name,
            ends: $ends,
            ask: |$scene: $crate::cases::Scene| Box::pin(async move { $ask }),
        },)*)*]
    };
}
pub(crate) use cases;
