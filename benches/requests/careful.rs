//! The checks of a careful team around the bare server, with libraries alone: the check of the access token, a rate limit in Redis
//! and a log line per request.

use std::{
    io::Write as _,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{Jwk, JwkSet},
};
use serde::{Deserialize, Serialize};
use tonic::{Status, body::Body};
use uuid::Uuid;

const REQUESTS_PER_MINUTE: u64 = 1_000_000_000;

/// The checks of each request, and the line about it.
pub(crate) struct Checks {
    key: DecodingKey,
    validation: Validation,
    redis: redis::aio::MultiplexedConnection,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: chrono::DateTime<chrono::Utc>,
    level: &'static str,
    message: &'static str,
    request_id: Uuid,
    method: &'a str,
    user: &'a str,
    status: i32,
    elapsed_us: u128,
}

impl Checks {
    /// Reads the keys of the server that signs the tokens, and connects to Redis.
    pub(crate) async fn new(server: &str, redis: &str) -> anyhow::Result<Self> {
        let keys = reqwest::get(format!("{server}/.well-known/jwks.json")).await?.error_for_status()?;
        let keys: JwkSet = keys.json().await?;
        let key: &Jwk = keys.keys.first().context("the server has no key")?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_aud = false;
        let redis = redis::Client::open(redis)?.get_multiplexed_async_connection().await?;
        Ok(Self { key: DecodingKey::from_jwk(key)?, validation, redis })
    }

    /// Returns the user of a request within the limit.
    async fn admit(&self, authorization: Option<&http::HeaderValue>) -> Result<String, Status> {
        let token = authorization.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| Status::unauthenticated("no token"))?;
        let verified = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation);
        let user = verified.map_err(|_| Status::unauthenticated("invalid token"))?.claims.sub;
        let minute = mainstay_kernel::clock::Clock::default().now().timestamp() / 60;
        let key = format!("careful:limit:{user}:{minute}");
        let mut commands = redis::pipe();
        commands.incr(&key, 1_u64).expire(&key, 60).ignore();
        let counted: Result<(u64,), _> = commands.query_async(&mut self.redis.clone()).await;
        match counted.map_err(|_| Status::unavailable("no rate limit"))? {
            (count,) if count > REQUESTS_PER_MINUTE => Err(Status::resource_exhausted("too many requests")),
            _ => Ok(user),
        }
    }
}

/// A service behind [`Checks`]; without them, the service alone.
#[derive(Clone)]
pub(crate) struct Careful<S> {
    pub(crate) inner: S,
    pub(crate) checks: Option<Arc<Checks>>,
}

impl<S> tower::Service<http::Request<Body>> for Careful<S>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // The clone that was polled is the one to be called.
        let idle = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, idle);
        let Some(checks) = self.checks.clone() else { return Box::pin(inner.call(request)) };
        Box::pin(async move {
            let (began, method) = (Instant::now(), request.uri().path().to_owned());
            let (user, response) = match checks.admit(request.headers().get(http::header::AUTHORIZATION)).await {
                Ok(user) => (user, inner.call(request).await?),
                Err(status) => (String::new(), status.into_http()),
            };
            let status = Status::from_header_map(response.headers()).map_or(0, |status| status.code().into());
            let now = mainstay_kernel::clock::Clock::default().now();
            let line = Line {
                timestamp: now,
                level: "INFO",
                message: "request done",
                request_id: mainstay_kernel::id::new(now),
                method: &method,
                user: &user,
                status,
                elapsed_us: began.elapsed().as_micros(),
            };
            if let Ok(mut line) = serde_json::to_vec(&line) {
                line.push(b'\n');
                std::io::stderr().write_all(&line).ok();
            }
            Ok(response)
        })
    }
}
