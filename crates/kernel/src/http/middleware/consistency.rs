//! Read-your-writes consistency: read-only requests use a replica that has replayed everything their caller has seen.
//!
//! The response to a request that may write carries a token, a position in the WAL of Postgres. The position covers the
//! effect of the request and all data that it was decided by. A read with a token sees at least that position. A read
//! without one sees at least the latest position of its caller, which is stored for the lag bound of the replicas.
//! After that time, every readable replica has replayed it.
//!
//! A token that can't be parsed (from another version, or forged) counts as a position that no replica has reached,
//! which selects the primary. An unknown position has the same effect.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use moka::sync::Cache;
use uuid::Uuid;

use crate::{
    app::App,
    caller::Permit,
    contract::{Method, policy::Effect},
    database::{Database, Position, Replicas, with_replica},
    grpc::Arrival,
    http::middleware::layer::{Middleware, Next, Request, Response, ResponseFuture},
    redis::{Redis, Script},
};

pub(crate) const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("consistency-token");

/// A middleware that selects the server for reads, and returns the position of writes.
#[derive(Clone)]
pub(crate) struct Consistency {
    database: Database,
    replicas: Arc<Replicas>,
    positions: StoredPositions,
}

impl Consistency {
    /// Creates the middleware; `None` without replicas.
    pub(crate) fn new(app: &App) -> Option<Self> {
        let replicas = app.database.replicas()?.clone();
        replicas.watch();
        let positions = StoredPositions::new(app.redis.clone(), replicas.max_lag());
        Some(Self { database: app.database.clone(), replicas, positions })
    }
}

debug_fields!(Consistency: database);

impl<S: Next> Middleware<S> for Consistency {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let effect = request.extensions().get::<&'static Method>().map_or(Effect::CurrentRead, |method| method.effect);
        let principal = request.extensions().get::<Permit>().map(|permit| permit.caller().principal());
        let consistency = self.clone();
        match effect {
            Effect::CurrentRead => next.pass(request),
            Effect::ReplicaRead => {
                let (requested, mut next) = (requested_position(request.headers()), next.clone());
                Box::pin(async move {
                    let position = match (requested, principal) {
                        (Some(position), _) => position,
                        (None, Some(principal)) => consistency.positions.find(principal).await,
                        (None, None) => Position::default(),
                    };
                    let replica = consistency.replicas.find(position);
                    Ok(with_replica(replica, next.run(request)).await)
                })
            }
            Effect::Write => {
                let arrival = request.extensions().get::<Arrival>().cloned();
                let mut write = UnresolvedWrite { positions: consistency.positions.clone(), arrival, principal };
                let response = next.run(request);
                Box::pin(async move {
                    let mut response = response.await;
                    // `UNAVAILABLE` may mean a COMMIT without an answer, so that the outcome stays unknown.
                    if !is_unavailable(&response) {
                        if write.may_have_written() {
                            consistency.conclude(&mut response, principal).await;
                        }
                        write.resolve();
                    }
                    Ok(response)
                })
            }
        }
    }
}

impl Consistency {
    async fn conclude(&self, response: &mut Response, principal: Option<Uuid>) {
        let position = self.database.position().await;
        let token = position.and_then(|position| HeaderValue::try_from(position.token()).ok());
        if let Some(token) = token {
            response.headers_mut().insert(CONSISTENCY_TOKEN, token);
        }
        if let Some(principal) = principal {
            self.positions.store(principal, position.unwrap_or(Position::UNREACHED)).await;
        }
    }
}

/// A write with an unknown outcome. If it ends without a known outcome, because its caller disconnected, its deadline
/// passed or its COMMIT had no answer, the next reads of its caller use the primary, which shows the outcome.
struct UnresolvedWrite {
    positions: StoredPositions,
    arrival: Option<Arrival>,
    /// `None` once the outcome is known.
    principal: Option<Uuid>,
}

impl UnresolvedWrite {
    fn resolve(&mut self) {
        self.principal = None;
    }

    fn may_have_written(&self) -> bool {
        self.arrival.as_ref().is_some_and(Arrival::has_arrived)
    }
}

impl Drop for UnresolvedWrite {
    fn drop(&mut self) {
        let Some(principal) = self.principal.filter(|_| self.may_have_written()) else { return };
        let positions = self.positions.clone();
        positions.missed.insert(principal, ());
        // At the end of the process, a request may be dropped after its runtime.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { positions.store(principal, Position::UNREACHED).await });
        }
    }
}

fn requested_position(headers: &HeaderMap) -> Option<Position> {
    let tokens = headers.get_all(CONSISTENCY_TOKEN).iter();
    tokens.map(|token| Position::of_token(token.as_bytes()).unwrap_or(Position::UNREACHED)).max()
}

/// Returns whether the outcome of a write is unknown. Postgres does not answer then, and is not asked for a position.
fn is_unavailable(response: &Response) -> bool {
    response.headers().get("grpc-status").is_some_and(|status| status == "14")
}

/// Stores the larger of two positions, as text that sorts in their order. KEYS: the caller's key. ARGV: a position, and
/// its time to live in milliseconds.
static STORE_MAX: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local kept = redis.call('GET', KEYS[1])
         if not kept or kept < ARGV[1] then kept = ARGV[1] end
         redis.call('SET', KEYS[1], kept, 'PX', ARGV[2])",
    )
});

/// The latest positions of callers, shared by all instances.
#[derive(Debug, Clone)]
struct StoredPositions {
    redis: Redis,
    ttl: Duration,
    /// Callers with writes that Redis may not know of, until the end of the time to live. After that, every readable
    /// replica has replayed them.
    missed: Cache<Uuid, ()>,
}

/// The number of retries to store a position, and the first delay, which doubles.
const RETRIES: u32 = 5;
const RETRY_DELAY: Duration = Duration::from_millis(50);

impl StoredPositions {
    fn new(redis: Redis, ttl: Duration) -> Self {
        Self { redis, ttl, missed: Cache::builder().time_to_live(ttl).build() }
    }

    /// Returns the position of the caller's latest write. An unknown position selects the primary.
    async fn find(&self, principal: Uuid) -> Position {
        if self.missed.contains_key(&principal) {
            return Position::UNREACHED;
        }
        let answer = match &self.redis {
            Redis::Server(link) => link.cmd::<Option<String>>(redis::cmd("GET").arg(key(principal))).await,
            Redis::Local(local) => Ok(local.run(|table| table.get(&key(principal))).and_then(text)),
        };
        match answer {
            Ok(None) => Position::default(),
            Ok(Some(text)) => Position::of_text(&text).unwrap_or(Position::UNREACHED),
            Err(_) => Position::UNREACHED,
        }
    }

    /// Stores a position. While Redis is unavailable, nothing is stored, and look-ups find nothing either. A single
    /// failure is retried in the background; until it succeeds, this process remembers that the caller has written.
    async fn store(&self, principal: Uuid, position: Position) {
        if self.try_store(principal, position).await {
            return;
        }
        self.missed.insert(principal, ());
        let positions = self.clone();
        tokio::spawn(async move {
            for number in 0..RETRIES {
                tokio::time::sleep(RETRY_DELAY * 2_u32.pow(number)).await;
                if positions.try_store(principal, position).await {
                    return;
                }
            }
        });
    }

    /// Tries once, and returns whether the position is stored.
    async fn try_store(&self, principal: Uuid, position: Position) -> bool {
        let (key, text) = (key(principal), position.text());
        let outcome = match &self.redis {
            Redis::Server(link) => {
                let ttl_ms = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX >> 2);
                link.script::<()>(&STORE_MAX, &[key], &[text, ttl_ms.to_string()]).await
            }
            Redis::Local(local) => local.run(|table| {
                let further = table.get(&key).and_then(self::text).filter(|other| *other > text);
                table.set(&key, further.unwrap_or(text), self.ttl)
            }),
        };
        outcome.inspect_err(|error| tracing::debug!(cause = %error, "the position of a write was not kept")).is_ok()
    }
}

fn key(principal: Uuid) -> String {
    format!("mainstay:position:{principal}")
}

fn text(bytes: bytes::Bytes) -> Option<String> {
    String::from_utf8(bytes.into()).ok()
}
