//! The unit of work: the effect, its jobs, its response and its idempotency key commit together, or not at all.
//!
//! ```text
//! look-up → BEGIN, claim (advisory lock, look-up) → first reads → decide → render → INSERT key + answer, COMMIT
//!     └── a final response: repeated
//! ```
//!
//! A repeated request reads its response in one statement, without a transaction or a lock, so that any number of them
//! run at once. That look-up costs a new request one round trip, on a connection that requests share; without it, a
//! repetition would take a connection of its own and two round trips, for a transaction that does nothing.
//!
//! A response that is not final yet names an operation instead; whoever ends that operation stores the final response in
//! the same transaction ([`conclude`]), so that later changes of the resource do not change it.
//!
//! The primary key of `idempotency_keys` is the only arbiter. The advisory lock is an optimization: it rejects a
//! duplicate that arrives while the first request runs, instead of letting it hold a connection until the insert
//! unblocks. Without the lock, the insert would detect the conflict and the duplicate's transaction would roll back.
//! The row is written once, with its response, so there are no half-filled rows to expire; it is the last of the
//! transaction, and sent with the COMMIT, which commits nothing if the row is refused. A refusal by the operation
//! rolls the transaction back and is stored by a separate statement, arbitrated by the same key; this saves every
//! successful call a savepoint.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use prost::Message;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    app::App,
    caller::{Permit, Visibility},
    contract::{Method, proto::error::v1 as pb},
    database::{
        Connection, Last,
        idempotency::{self, StoredAnswer},
    },
    error::{Error, Reason, ReasonRef, Result},
    fault,
};

/// A request that must take effect only once.
#[derive(Debug, Clone)]
pub struct Claim {
    method: &'static Method,
    scope: [u8; 32],
    fingerprint: [u8; 32],
    visibility: Visibility,
}

/// A response, and its origin.
#[derive(Debug)]
pub enum Answer<M, V = ()> {
    /// The work was done by this request: the response, and what its rendering kept of the result.
    Fresh(M, V),
    /// The work was done by an earlier request with the same key.
    Replayed(M),
    /// An earlier request with the same key began this operation, which may still be in progress.
    Pending(Uuid),
}

impl Claim {
    /// Creates a claim of (principal, RPC, key) on a request with this fingerprint: SHA-256 over its canonical bytes,
    /// or over the content that was streamed.
    ///
    /// What the caller reaches is not part of the scope: a charge under a key must find that key again after the caller
    /// was given another role. It is stored with the response instead, see [`Claim::replay`].
    pub fn new(method: &'static Method, permit: &Permit, key: &str, fingerprint: [u8; 32]) -> Self {
        let scope = Sha256::new()
            .chain_update(permit.caller().principal().as_bytes())
            .chain_update(method.path.as_bytes())
            .chain_update([0])
            .chain_update(key.as_bytes());
        Self { method, scope: scope.finalize().into(), fingerprint, visibility: permit.visibility() }
    }

    fn lock(&self) -> i64 {
        i64::from_be_bytes(self.scope[..8].try_into().expect("8 of 32 bytes"))
    }
}

/// Runs `first` and `decide` in a transaction, renders the result and, under a claim, stores the response in the same
/// transaction. Beside the response, `render` returns what its caller wants to keep of the result.
///
/// `first` only reads and locks, and `decide` gets what it found. Without a claim, its statements are sent with the BEGIN.
/// With one they follow the claim: a duplicate is refused at once and must not wait for a lock of the first request.
///
/// # Errors
/// Any error of `first` and `decide`; `IDEMPOTENCY_IN_PROGRESS`, `IDEMPOTENCY_KEY_REUSED`, `IDEMPOTENCY_KEY_EXPIRED` under a
/// claim; `UNAVAILABLE` and `INTERNAL_ERROR` if nothing was done.
pub async fn run<F, T, M: Message + Default, V>(
    app: &App,
    claim: Option<Claim>,
    first: impl AsyncFnOnce(&Connection) -> Result<F>,
    decide: impl AsyncFnOnce(&mut Connection, F) -> Result<T>,
    render: impl FnOnce(T) -> (M, V),
) -> Result<Answer<M, V>> {
    let Some(claim) = claim else {
        let value = app.database.transaction_after(first, decide).await?;
        let (message, extra) = render(value);
        return Ok(Answer::Fresh(message, extra));
    };
    let now = app.clock.now();
    let own_claim = claim.clone();
    let scope = claim.scope;
    let existing = app.database.read(async move |connection| idempotency::find(connection, &scope).await).await?;
    if let Some(answer) = existing {
        return claim.replay(answer, now)?.answer();
    }
    let claiming = async |connection: &Connection| idempotency::claim(connection, &claim.scope, claim.lock()).await;
    let transaction = app.database.transaction_with_last(claiming, async move |connection, existing| {
        if let Some(answer) = existing {
            return Ok((Done::Earlier(own_claim.replay(answer, now)?), None));
        }
        fault::point("claim.after")?;
        let decided = match first(&*connection).await {
            Ok(input) => decide(connection, input).await,
            Err(error) => Err(error),
        };
        let (message, extra) = match decided {
            Ok(value) => render(value),
            Err(error) if error.reason().facts().storable => return Err(Stop::Refused(error)),
            Err(error) => return Err(Stop::Failed(error)),
        };
        fault::point("effect.after")?;
        let answer = own_claim.record(None, message.encode_to_vec(), now);
        Ok((Done::Now(message, extra), Some(store_last(answer))))
    });
    match transaction.await {
        Ok(Done::Now(message, extra)) => Ok(Answer::Fresh(message, extra)),
        Ok(Done::Earlier(earlier)) => earlier.answer(),
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::Refused(error)) => settle(app, claim, Some(error), now).await,
        Err(Stop::Lost) => settle(app, claim, None, now).await,
    }
}

/// Determines the outcome of a claim whose transaction may or may not have committed because the connection to Postgres
/// broke: returns the stored response, or `failure` if there is none and never will be. It also returns `failure` if
/// Postgres can't be asked: the outcome then stays unknown to the caller, until a request with the same key finds it out.
///
/// # Errors
/// `failure`; `IDEMPOTENCY_IN_PROGRESS` while the transaction has not ended; the refusal of an earlier request.
pub async fn recall<M: Message + Default, V>(app: &App, claim: Claim, failure: Error) -> Result<Answer<M, V>> {
    let now = app.clock.now();
    let outcome = app.database.autocommit(async move |connection| {
        // Take the lock first: once it is acquired, the other transaction has ended, so the row exists now or never
        // will.
        let existing = idempotency::claim(connection, &claim.scope, claim.lock()).await?;
        let answer = match existing {
            Some(answer) => Some(answer),
            None => idempotency::find(connection, &claim.scope).await?,
        };
        answer.map(|answer| claim.replay(answer, now)).transpose()
    });
    match outcome.await {
        Ok(Some(earlier)) => earlier.answer(),
        Err(error) if error.reason() == Reason::IdempotencyInProgress => Err(error),
        Ok(None) | Err(_) => Err(failure),
    }
}

/// Stores the final response to the requests that began an operation, within the transaction that ends it. `respond`
/// returns the encoded response, or the refusal, for a caller who reaches everything (`true`) and for others.
///
/// # Errors
/// Any error of Postgres.
pub async fn conclude(
    connection: &Connection,
    operation: Uuid,
    respond: impl Fn(bool) -> Result<Vec<u8>>,
) -> Result<()> {
    let respond = |is_staff| match respond(is_staff) {
        Ok(message) => (None, message),
        Err(error) => (Some(error.reason().facts().code), pb::Error::from(&error).encode_to_vec()),
    };
    let ((error_code, to_staff), (_, to_others)) = (respond(true), respond(false));
    idempotency::conclude(connection, operation, error_code, to_staff, to_others).await
}

/// How a claimed transaction ended.
enum Done<M, V> {
    Now(M, V),
    Earlier(EarlierAnswer),
}

/// Why a claimed transaction was rolled back.
enum Stop {
    /// The operation refused, and would refuse again.
    Refused(Error),
    /// A duplicate committed first.
    Lost,
    /// Any other error; a retry runs again.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Stores the response of a claimed transaction, as its last statement.
fn store_last(answer: StoredAnswer) -> Last<Stop> {
    Box::new(move |connection| {
        let store =
            async move { if idempotency::insert(connection, &answer).await? { Ok(()) } else { Err(Stop::Lost) } };
        store.boxed()
    })
}

/// Stores a refusal, unless a duplicate was faster; its answer is then returned for both.
async fn settle<M, V>(app: &App, claim: Claim, refusal: Option<Error>, now: DateTime<Utc>) -> Result<Answer<M, V>>
where
    M: Message + Default,
{
    let earlier = app.database.autocommit(async move |connection| {
        if let Some(error) = refusal {
            let answer = claim.record(Some(error.reason()), pb::Error::from(&error).encode_to_vec(), now);
            if idempotency::insert(connection, &answer).await? {
                return Err(error);
            }
        }
        let answer = idempotency::find(connection, &claim.scope).await?;
        claim.replay(answer.ok_or_else(idempotency::in_progress)?, now)
    });
    earlier.await?.answer()
}

/// How long a response is kept. After that, the key is rejected until the row is swept.
pub const ANSWER_RETENTION: TimeDelta = TimeDelta::hours(24);

impl Claim {
    fn record(&self, refusal: Option<ReasonRef>, answer: Vec<u8>, now: DateTime<Utc>) -> StoredAnswer {
        StoredAnswer {
            scope_hash: self.scope.to_vec(),
            fingerprint: self.fingerprint.to_vec(),
            error_code: refusal.map(|reason| reason.facts().code.to_owned()),
            operation_id: if refusal.is_none() { self.method.pending(&answer) } else { None },
            answer: Some(answer),
            visibility: self.visibility.bytes(),
            created_at: now,
        }
    }

    /// Decides what an earlier request with this key means for this one. A caller who reached more then than now must not
    /// see the response, and the request must not run again either.
    fn replay(&self, earlier: StoredAnswer, now: DateTime<Utc>) -> Result<EarlierAnswer> {
        if earlier.fingerprint != self.fingerprint {
            return Err(Reason::IdempotencyKeyReused.into());
        }
        if self.visibility != Visibility::All && earlier.visibility != self.visibility.bytes() {
            return Err(Error::not_found("resource"));
        }
        match earlier.answer {
            Some(bytes) if now - earlier.created_at < ANSWER_RETENTION => {
                Ok(EarlierAnswer { is_refusal: earlier.error_code.is_some(), bytes, operation: earlier.operation_id })
            }
            _ => Err(Reason::IdempotencyKeyExpired.into()),
        }
    }
}

/// The stored answer of an earlier request.
struct EarlierAnswer {
    is_refusal: bool,
    bytes: Vec<u8>,
    operation: Option<Uuid>,
}

impl EarlierAnswer {
    fn answer<M: Message + Default, V>(self) -> Result<Answer<M, V>> {
        if self.is_refusal {
            let error = pb::Error::decode(self.bytes.as_slice()).map_err(Error::internal)?;
            return Err(Error::from(error).replayed());
        }
        match self.operation {
            Some(operation) => Ok(Answer::Pending(operation)),
            None => Ok(Answer::Replayed(M::decode(self.bytes.as_slice()).map_err(Error::internal)?)),
        }
    }
}
