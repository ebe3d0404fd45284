//! The building blocks of the cases.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::support::{
    Actor, Endpoint, Process, Protocol, Response, TestApp, TestDatabase,
    app::Builder,
    people::{Cast, User},
    unique,
};

/// A request and its expected outcome.
pub(crate) struct Case {
    pub(crate) method: &'static str,
    pub(crate) name: &'static str,
    pub(crate) expected: Expected,
    pub(crate) call: fn(Scene) -> BoxFuture<'static, Call>,
}

/// The expected outcome of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Succeeds with this HTTP status.
    Status(u16),
    /// Is rejected with this reason.
    Reason(&'static str),
}

/// A request and its caller.
pub(crate) struct Call {
    pub(crate) who: Actor,
    pub(crate) request: Value,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Call {
    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends the request.
    pub(crate) async fn send(&self, protocol: Protocol, method: &str) -> Response {
        self.send_as(&self.who, protocol, method).await
    }

    /// Sends the request as another caller.
    pub(crate) async fn send_as(&self, who: &Actor, protocol: Protocol, method: &str) -> Response {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        who.call_with(protocol, method, self.request.clone(), &headers).await
    }
}

/// A request from a caller.
pub(crate) fn call(who: &Actor, request: Value) -> Call {
    Call { who: who.clone(), request, headers: Vec::new() }
}

/// Users that no other case shares, and their data.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) cast: Cast,
    pub(crate) endpoint: Endpoint,
    pub(crate) database: Arc<TestDatabase>,
}

impl Scene {
    /// Creates a scene.
    pub(crate) async fn new(app: &TestApp) -> Self {
        Self { cast: app.cast().await, endpoint: app.endpoint.clone(), database: app.database.clone() }
    }

    /// Starts an app with the default test configuration, and creates a scene.
    pub(crate) async fn start() -> (TestApp, Self) {
        Self::start_with(TestApp::builder()).await
    }

    /// Starts an app, and creates a scene.
    pub(crate) async fn start_with(app: Builder) -> (TestApp, Self) {
        let app = app.start().await;
        let scene = Self::new(&app).await;
        (app, scene)
    }

    /// Creates a scene at a server process.
    pub(crate) async fn at(server: &Process, database: &Arc<TestDatabase>) -> Self {
        let cast = Box::pin(Cast::new(&server.endpoint, database)).await;
        Self { cast, endpoint: server.endpoint.clone(), database: database.clone() }
    }

    /// The id of the customer's account.
    pub(crate) fn account(&self) -> String {
        self.cast.customer.as_user().account.to_string()
    }

    /// Creates a ticket of the customer.
    pub(crate) async fn ticket(&self) -> String {
        ticket(&self.cast.customer).await
    }

    /// Creates a ticket of the customer and resolves it.
    pub(crate) async fn resolved_ticket(&self) -> String {
        let id = self.ticket().await;
        self.cast.agent.rest("TicketService.ResolveTicket", json!({ "ticketId": id })).await.success();
        id
    }

    /// Creates a comment of the customer on a ticket.
    pub(crate) async fn comment(&self, ticket: &str) -> String {
        let request = json!({ "ticketId": ticket, "body": "It still does." });
        self.cast.customer.rest("CommentService.CreateComment", request).await.success().id()
    }

    /// Creates a ticket of the customer with an internal note of the agent; returns the ids of both.
    pub(crate) async fn note(&self) -> (String, String) {
        let ticket = self.ticket().await;
        let request = json!({ "ticketId": ticket, "body": "They are late with paying.", "internal": true });
        let note = self.cast.agent.rest("CommentService.CreateComment", request).await.success().id();
        (ticket, note)
    }

    /// Starts an import by the agent, with one invalid row.
    pub(crate) async fn operation(&self) -> String {
        let request = json!({ "accountId": self.account(), "file": file("type,body\nIncident,Help\nNonsense,\n") });
        self.cast.agent.rest("TicketService.ImportTickets", request).await.success().id()
    }
}

/// Returns a file in the form that the contract accepts.
pub(crate) fn file(text: &str) -> Value {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    json!({ "contentType": "text/csv", "data": BASE64_STANDARD.encode(text) })
}

/// Inserts tickets of a user, each a second older than the one before, with bodies of this many bytes.
pub(crate) async fn add_tickets(database: &TestDatabase, user: &User, count: usize, body_bytes: usize) {
    let User { id, account, .. } = user;
    let insert = format!(
        "INSERT INTO tickets (id, account_id, requester_id, subject, body, kind, status, priority, queue, language,
             created_at, updated_at)
         SELECT gen_random_uuid(), '{account}', '{id}', 'Smoke', rpad('', {body_bytes}, 'smoke '), 1, 1, 1, 'Other', 'en',
             at, at
         FROM (SELECT now() - n * interval '1 second' AS at FROM generate_series(1, {count}) AS n) AS times"
    );
    database.sql(&insert).await;
}

/// Creates a ticket for a caller who has an account.
pub(crate) async fn ticket(who: &Actor) -> String {
    who.rest("TicketService.CreateTicket", draft()).await.success().id()
}

/// A request that creates a ticket.
pub(crate) fn draft() -> Value {
    json!({ "subject": "The printer is on fire", "body": "It burns." })
}

/// An id that no resource has.
pub(crate) fn unknown_id() -> String {
    uuid::Uuid::parse_str(&unique()).expect("an id").to_string()
}

/// Rows of the table: method, name, outcome, and the request built from a scene.
macro_rules! cases {
    ($($method:literal { $($name:literal => $expected:expr, |$scene:ident| $call:expr;)* })*) => {
        vec![$($($crate::cases::Case {
            method: $method,
            name: $name,
            expected: $expected,
            call: |$scene: $crate::cases::Scene| Box::pin(async move { $call }),
        },)*)*]
    };
}
pub(crate) use cases;
