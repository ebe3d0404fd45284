//! A caller.

use mainstay::identity::user::model::User;
use mainstay_kernel::id::AccountId;
use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::Value;
use tonic::{
    Request, Status,
    metadata::AsciiMetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use crate::Response;

/// A caller of the server, over REST and gRPC.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
    user: Option<(User, Option<AccountId>)>,
    headers: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn new(url: &str, token: Option<String>, user: Option<(User, Option<AccountId>)>) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // Shorter than the server's idle timeout: a request that crosses the server's close is lost.
            .pool_idle_timeout(std::time::Duration::from_secs(30))
            .build()
            .expect("a client");
        Self { http, url: url.to_owned(), token, user, headers: Vec::new() }
    }

    /// Returns the URL that the caller sends requests to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the user.
    ///
    /// # Panics
    /// Panics if the caller is a service, or anonymous.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.user.as_ref().expect("a caller who is a user").0
    }

    /// Returns the account of the caller's session.
    ///
    /// # Panics
    /// Panics if the session has no account, or the caller is a service, or anonymous.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.user.as_ref().and_then(|(_, account)| *account).expect("a session with an account")
    }

    /// Returns the same caller at another address, such as an Envoy's.
    #[must_use]
    pub fn at(&self, url: impl Into<String>) -> Self {
        Self { url: url.into(), ..self.clone() }
    }

    /// Returns the same caller, with one more header in each REST request. The first value of a header remains, too. Calls of
    /// [`grpc`](Self::grpc) do not have it.
    #[must_use]
    pub fn with(&self, header: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((header.to_owned(), value.to_owned()));
        client
    }

    /// Sends a GET request; see [`send`](Self::send). The path begins with `/` and may have a query.
    pub async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, None).await
    }

    /// Sends a POST request with a body of JSON; see [`send`](Self::send).
    pub async fn post(&self, path: &str, body: Value) -> Response {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Sends a PATCH request with a body of JSON; see [`send`](Self::send).
    pub async fn patch(&self, path: &str, body: Value) -> Response {
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// Sends a DELETE request; see [`send`](Self::send).
    pub async fn delete(&self, path: &str) -> Response {
        self.send(Method::DELETE, path, None).await
    }

    /// Sends a request with the credentials and headers of the caller. Redirects are not followed, and nothing is retried. The
    /// client has no time limit; the deadline of the server ends a request.
    ///
    /// # Panics
    /// Panics if the server does not respond, or if the body of the response is not text.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &body {
            // The media type of the caller has precedence.
            if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE.as_str())) {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            request = request.body(body.to_string());
        }
        Response::read(request.send().await.expect("the server responds")).await
    }

    /// Returns a channel for a generated gRPC client, which sends the caller's token: `VehicleServiceClient::new(…)`.
    ///
    /// # Panics
    /// Never for the address of a server.
    #[must_use]
    pub fn grpc(&self) -> InterceptedService<Channel, Bearer> {
        let channel = Channel::from_shared(self.url.clone()).expect("a URL").connect_lazy();
        let header = self.token.as_ref().map(|token| format!("Bearer {token}").parse().expect("a header"));
        InterceptedService::new(channel, Bearer(header))
    }
}

/// Sends a bearer token with each call.
#[derive(Debug, Clone)]
pub struct Bearer(Option<AsciiMetadataValue>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.0 {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}
