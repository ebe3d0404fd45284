//! The unit of work: the effect, its jobs, its response and its idempotency key commit together, or not at all.
//!
//! A [`Work`] is the transaction. Under a key, it begins with the claim, which fails if the key is in use: whatever is
//! sent behind it then fails too, so that a duplicate waits for no lock and is refused at once:
//!
//! ```text
//! look-up → BEGIN, claim (advisory lock, look-up), first reads → work → INSERT key + answer, COMMIT
//!     └── a final response: repeated                                                  └── lost? recall
//! ```
//!
//! A repeated request reads its response in one statement, without a transaction or a lock, so that any number of them
//! run at once. That look-up costs a new request one round trip, on a connection that requests share; without it, a
//! repetition would take a separate connection and two round trips, for a transaction that does nothing.
//!
//! A response that is not final yet names an operation instead. The transaction that ends the operation stores the final
//! response ([`conclude`]), so that later changes of the resource do not change it.
//!
//! The primary key of `idempotency_keys` is the only arbiter. The advisory lock is an optimization: it rejects a
//! duplicate that arrives while the first request runs, instead of letting it hold a connection until the insert
//! unblocks. Without the lock, the insert would detect the conflict and the duplicate's transaction would roll back.
//! The row is written once, with its response, so there are no half-filled rows to expire; it is the last of the
//! transaction, and sent with the COMMIT, which commits nothing if the row is refused. A refusal by the operation
//! rolls the transaction back and is stored by a separate statement, arbitrated by the same key; this saves every
//! successful call a savepoint.

mod work;

use chrono::{DateTime, Utc};
use prost::Message;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    app::App,
    caller::{Permit, Visibility},
    contract::{Method, proto::error::v1 as pb},
    database::{
        Connection, Reach,
        idempotency::{self, StoredAnswer},
        pipeline::{Queued, queued},
    },
    error::{Error, Reason, ReasonRef, Result},
    fault,
    retention::RESPONSES,
};

pub use work::Work;

/// A request that must take effect only once.
#[derive(Debug, Clone)]
pub struct Claim {
    method: &'static Method,
    scope: [u8; 32],
    fingerprint: [u8; 32],
    visibility: Visibility,
}

/// What has been committed, and by which request.
#[derive(Debug)]
pub enum Committed<M> {
    /// The work was done by this request.
    Fresh(M),
    /// The work was done by an earlier request with the same key, or by this one, whose COMMIT was then
    /// [looked up](recall).
    Replayed(M),
    /// An earlier request with the same key began this operation, which may still be in progress.
    Pending(Uuid),
}

impl<M> Committed<M> {
    /// Answers for a pending operation with its present state, which `current` reads.
    ///
    /// # Errors
    /// Any error of `current`.
    pub async fn resolve(self, current: impl AsyncFnOnce(Uuid) -> Result<M>) -> Result<Self> {
        match self {
            Self::Pending(operation) => Ok(Self::Replayed(current(operation).await?)),
            committed => Ok(committed),
        }
    }
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
}

/// Runs a unit of work within a reach and, under a claim, stores its response in the same transaction.
///
/// # Errors
/// Any error of `run`; `IDEMPOTENCY_IN_PROGRESS`, `IDEMPOTENCY_KEY_REUSED`, `IDEMPOTENCY_KEY_EXPIRED` under a claim;
/// `INTERNAL_ERROR` if nothing was done; `UNAVAILABLE` if nothing was done, or if the answer to the COMMIT was lost. Under a claim,
/// the outcome is then looked up, and the error means that this failed, too; a request with the same key finds it out.
pub async fn run<M: Message + Default>(
    app: &App,
    reach: Reach,
    permit: Option<Permit>,
    claim: Option<Claim>,
    run: impl AsyncFnOnce(&mut Work) -> Result<M>,
) -> Result<Committed<M>> {
    if let Some(claim) = &claim {
        let scope = claim.scope;
        let existing = app.database.read(async move |connection| idempotency::find(connection, &scope).await).await?;
        if let Some(answer) = existing {
            return claim.replay(answer, oldest_response(app))?.committed(app);
        }
    }
    let mut work = Work::open(&app.database, reach, permit, claim.as_ref().map(|claim| claim.scope)).await?;
    let (committed, additions) = app.database.watch(attempt(&mut work, claim.as_ref(), run)).await;
    let is_unknown = work.is_commit_sent();
    let hints = additions.hints();
    match (work.end(&app.database, additions, committed).await, claim) {
        (Err(refusal), Some(claim)) if refusal.reason().facts().storable => settle(app, claim, Some(refusal)).await,
        // A duplicate stored its response first, or still runs.
        (Err(error), Some(claim)) if error.reason() == Reason::IdempotencyInProgress => settle(app, claim, None).await,
        (Err(error), Some(claim)) if is_unknown && error.reason() == Reason::Unavailable => {
            let recalled = recall(app, claim, error).await;
            if recalled.is_ok() {
                // The transaction did commit, or that of a duplicate, which added the same.
                app.database.wake(hints);
            }
            recalled
        }
        (committed, _) => committed,
    }
}

/// Runs a unit of work and commits it, unless an earlier request with the same key did.
async fn attempt<M: Message + Default>(
    work: &mut Work,
    claim: Option<&Claim>,
    run: impl AsyncFnOnce(&mut Work) -> Result<M>,
) -> Result<Committed<M>> {
    let Some(claim) = claim else {
        let message = run(work).await?;
        work.commit(None).await?;
        return Ok(Committed::Fresh(message));
    };
    let message = run(work).await?;
    fault::point("effect.after")?;
    let answer = claim.record(None, message.encode_to_vec(), work.now());
    work.commit(Some(store(answer))).await?;
    Ok(Committed::Fresh(message))
}

/// Stores the response of a claimed transaction, as its last statement. If a duplicate was faster, the key is in use.
fn store(answer: StoredAnswer) -> Queued {
    queued(move |connection| {
        Box::pin(async move {
            match idempotency::insert(connection, &answer).await? {
                true => Ok(()),
                false => Err(idempotency::in_progress()),
            }
        })
    })
}

/// Determines the outcome of a claim whose transaction may or may not have committed because the connection to Postgres
/// broke: returns the stored response, or `failure` if there is none and never will be. It also returns `failure` if
/// Postgres can't be asked: the outcome then stays unknown to the caller, until a request with the key finds it.
async fn recall<M: Message + Default>(app: &App, claim: Claim, failure: Error) -> Result<Committed<M>> {
    let oldest = oldest_response(app);
    let outcome = app.database.autocommit(async move |connection| {
        // Claim first: once the lock is acquired, the other transaction has ended, so the row exists now or never will.
        let claimed = idempotency::claim(connection, &claim.scope).await;
        match idempotency::find(connection, &claim.scope).await? {
            Some(answer) => claim.replay(answer, oldest).map(Some),
            None => claimed.map(|()| None),
        }
    });
    match outcome.await {
        Ok(Some(earlier)) => earlier.committed(app),
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

/// Stores a refusal, unless a duplicate was faster; its answer is then returned for both.
async fn settle<M: Message + Default>(app: &App, claim: Claim, refusal: Option<Error>) -> Result<Committed<M>> {
    let (now, oldest) = (app.clock.now(), oldest_response(app));
    let earlier = app.database.store(async move |connection| {
        if let Some(error) = refusal {
            let answer = claim.record(Some(error.reason()), pb::Error::from(&error).encode_to_vec(), now);
            if idempotency::insert(connection, &answer).await? {
                return Err(error);
            }
        }
        let answer = idempotency::find(connection, &claim.scope).await?;
        claim.replay(answer.ok_or_else(idempotency::in_progress)?, oldest)
    });
    earlier.await?.committed(app)
}

/// Returns the time before which responses are past their retention.
fn oldest_response(app: &App) -> DateTime<Utc> {
    RESPONSES.start(&app.config, app.clock.now())
}

impl Claim {
    fn record(&self, refusal: Option<ReasonRef>, answer: Vec<u8>, now: DateTime<Utc>) -> StoredAnswer {
        StoredAnswer {
            scope_hash: self.scope.to_vec(),
            fingerprint: self.fingerprint.to_vec(),
            error_code: refusal.map(|reason| reason.facts().code.to_owned()),
            operation_id: refusal.is_none().then(|| self.method.pending(&answer)?.parse().ok()).flatten(),
            answer: Some(answer),
            visibility: self.visibility.bytes(),
            created_at: now,
        }
    }

    /// Decides what an earlier request with this key means for this one. A caller who reached more then must not see
    /// the response, and the request must not run again. Responses from before `oldest` are past their retention.
    fn replay(&self, earlier: StoredAnswer, oldest: DateTime<Utc>) -> Result<EarlierAnswer> {
        // A request of another account of the caller is another request, even if its messages are equal.
        if earlier.fingerprint != self.fingerprint || self.visibility.is_of_other_account(&earlier.visibility) {
            return Err(Reason::IdempotencyKeyReused.into());
        }
        if self.visibility != Visibility::All && earlier.visibility != self.visibility.bytes() {
            return Err(Error::not_found("resource"));
        }
        match earlier.answer {
            Some(bytes) if earlier.created_at > oldest => {
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
    fn committed<M: Message + Default>(self, app: &App) -> Result<Committed<M>> {
        if self.is_refusal {
            let error = pb::Error::decode(self.bytes.as_slice()).map_err(Error::internal)?;
            return Err(Error::stored(&app.contract.catalogue, error).replayed());
        }
        match self.operation {
            Some(operation) => Ok(Committed::Pending(operation)),
            None => Ok(Committed::Replayed(M::decode(self.bytes.as_slice()).map_err(Error::internal)?)),
        }
    }
}
