//! The unit of work: the effect, its jobs, its answer and its idempotency key commit together, or none of them does.
//!
//! ```text
//! BEGIN → claim (advisory lock, look-up) → decide → render → INSERT key + answer ON CONFLICT DO NOTHING → COMMIT
//! ```
//!
//! The primary key of `idempotency_keys` is the only arbiter. The advisory lock merely turns a duplicate that arrives
//! while the first one runs away at once, instead of letting it hold a connection until the insert unblocks; were it
//! missed, the insert would find the conflict and this transaction would roll back. Because the row is written once,
//! with its answer, there is no half-filled row to expire. An operation's own refusal rolls the transaction back and
//! is stored by a statement of its own, arbitrated by the same key, which spares every good call a savepoint.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{FutureExt as _, future::BoxFuture};
use prost::Message;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    app::App,
    contract::{Method, proto::error::v1 as pb},
    error::{Error, Reason, Result},
    fault,
    store::{
        Connection,
        idempotency::{self, Stored},
    },
};

/// A request that may be answered once only.
#[derive(Debug, Clone)]
pub struct Claim {
    method: &'static Method,
    scope: [u8; 32],
    fingerprint: [u8; 32],
}

/// An answer, and where it comes from.
#[derive(Debug)]
pub enum Answer<M> {
    /// The work was done now.
    Fresh(M),
    /// The work was done for an earlier request with the same key.
    Replayed(M),
    /// An earlier request with the same key began this operation, which may still go on.
    Pending(Uuid),
}

impl Claim {
    /// A claim of (principal, RPC, key) on a request of this fingerprint: SHA-256 over its canonical bytes, or over
    /// what it streamed.
    pub fn new(method: &'static Method, principal: Uuid, key: &str, fingerprint: [u8; 32]) -> Self {
        let scope = Sha256::new()
            .chain_update(principal.as_bytes())
            .chain_update(method.path.as_bytes())
            .chain_update([0])
            .chain_update(key.as_bytes());
        Self { method, scope: scope.finalize().into(), fingerprint }
    }

    fn lock(&self) -> i64 {
        i64::from_be_bytes(self.scope[..8].try_into().expect("8 of 32 bytes"))
    }
}

/// Runs `decide` in a transaction, renders what it returns, and, under a claim, stores the answer with it.
///
/// # Errors
/// What `decide` fails with; `IDEMPOTENCY_IN_PROGRESS`, `IDEMPOTENCY_KEY_REUSED`, `IDEMPOTENCY_KEY_EXPIRED` under a
/// claim; `UNAVAILABLE` and `INTERNAL_ERROR` when nothing was done.
pub async fn run<T, M, D, R>(app: &App, claim: Option<Claim>, decide: D, render: R) -> Result<Answer<M>>
where
    T: Send + 'static,
    M: Message + Default + 'static,
    D: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    R: FnOnce(T) -> M + Send + 'static,
{
    let Some(claim) = claim else {
        let value = app.database.write(decide).await?;
        return Ok(Answer::Fresh(render(value)));
    };
    let now = app.clock.now();
    let held = claim.clone();
    let done = app.database.write(move |connection| {
        async move {
            if let Some(stored) = idempotency::claim(connection, &held.scope, held.lock()).await? {
                return Ok(Done::Earlier(held.replay(stored, now)?));
            }
            fault::point("claim.after")?;
            let message = match decide(connection).await {
                Ok(value) => render(value),
                Err(error) if error.reason().facts().storable => return Err(Stop::Refused(error)),
                Err(error) => return Err(Stop::Failed(error)),
            };
            fault::point("effect.after")?;
            let stored = held.record(Reason::Unspecified, message.encode_to_vec(), now);
            if idempotency::insert(connection, &stored).await? { Ok(Done::Now(message)) } else { Err(Stop::Lost) }
        }
        .boxed()
    });
    match done.await {
        Ok(Done::Now(message)) => Ok(Answer::Fresh(message)),
        Ok(Done::Earlier(earlier)) => earlier.answer(),
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::Refused(error)) => settle(app, claim, Some(error), now).await,
        Err(Stop::Lost) => settle(app, claim, None, now).await,
    }
}

/// What a claim came to whose transaction may or may not have committed, for the wire to Postgres broke: the stored
/// answer, or `lost` when there is none and there will be none.
///
/// # Errors
/// `lost`; `IDEMPOTENCY_IN_PROGRESS` while the transaction has not ended; what an earlier request was refused for.
pub async fn recall<M: Message + Default>(app: &App, claim: Claim, lost: Error) -> Result<Answer<M>> {
    let now = app.clock.now();
    let found = app.database.read(move |connection| {
        async move {
            // The lock first: whoever gets it knows that the other transaction is over. Then the row is there, or never.
            let known = idempotency::claim(connection, &claim.scope, claim.lock()).await?;
            let stored = match known {
                Some(stored) => Some(stored),
                None => idempotency::find(connection, &claim.scope).await?,
            };
            stored.map(|stored| claim.replay(stored, now)).transpose()
        }
        .boxed()
    });
    match found.await {
        Ok(Some(earlier)) => earlier.answer(),
        Err(error) if error.reason() == Reason::IdempotencyInProgress => Err(error),
        Ok(None) | Err(_) => Err(lost),
    }
}

/// How a claimed transaction ended.
enum Done<M> {
    Now(M),
    Earlier(Earlier),
}

/// Why a claimed transaction was rolled back.
enum Stop {
    /// The operation itself said no, and will say so again.
    Refused(Error),
    /// A duplicate committed first.
    Lost,
    /// Something else; the retry runs.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<diesel::result::Error> for Stop {
    fn from(error: diesel::result::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Stores a refusal unless a duplicate was faster; then that one's answer holds for both.
async fn settle<M>(app: &App, claim: Claim, refusal: Option<Error>, now: DateTime<Utc>) -> Result<Answer<M>>
where
    M: Message + Default,
{
    let earlier = app.database.read(move |connection| {
        async move {
            if let Some(error) = refusal {
                let stored = claim.record(error.reason(), pb::Error::from(&error).encode_to_vec(), now);
                if idempotency::insert(connection, &stored).await? {
                    return Err(error);
                }
            }
            let stored = idempotency::find(connection, &claim.scope).await?;
            claim.replay(stored.ok_or_else(idempotency::in_progress)?, now)
        }
        .boxed()
    });
    earlier.await?.answer()
}

/// How long an answer is kept; after that the key is refused until the row is swept.
pub const ANSWERS_KEPT: TimeDelta = TimeDelta::hours(24);

impl Claim {
    fn record(&self, reason: Reason, answer: Vec<u8>, now: DateTime<Utc>) -> Stored {
        Stored {
            scope_hash: self.scope.to_vec(),
            fingerprint: self.fingerprint.to_vec(),
            reason: reason as i16,
            operation_id: if reason == Reason::Unspecified { self.method.pending(&answer) } else { None },
            answer: Some(answer),
            created_at: now,
        }
    }

    /// What an earlier request with this key means for this one.
    fn replay(&self, stored: Stored, now: DateTime<Utc>) -> Result<Earlier> {
        if stored.fingerprint != self.fingerprint {
            return Err(Reason::IdempotencyKeyReused.into());
        }
        match stored.answer {
            Some(bytes) if now - stored.created_at < ANSWERS_KEPT => {
                Ok(Earlier { reason: i32::from(stored.reason), bytes, operation: stored.operation_id })
            }
            _ => Err(Reason::IdempotencyKeyExpired.into()),
        }
    }
}

/// The stored answer of an earlier request.
struct Earlier {
    reason: i32,
    bytes: Vec<u8>,
    operation: Option<Uuid>,
}

impl Earlier {
    fn answer<M: Message + Default>(self) -> Result<Answer<M>> {
        if self.reason != Reason::Unspecified as i32 {
            let error = pb::Error::decode(self.bytes.as_slice()).map_err(Error::internal)?;
            return Err(Error::from(error).replayed());
        }
        match self.operation {
            Some(operation) => Ok(Answer::Pending(operation)),
            None => Ok(Answer::Replayed(M::decode(self.bytes.as_slice()).map_err(Error::internal)?)),
        }
    }
}
