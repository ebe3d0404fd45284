//! [`Work`]: a transaction that begins when it has to, and sends its statements in as few round trips as they allow.
//!
//! BEGIN is sent with the claim of the idempotency key and with the first reads, never with a write, which would stand
//! alone if the BEGIN failed. A claim that fails aborts the transaction, so that the reads behind it lock nothing.
//! Statements whose results are not needed are [queued](Work::queue). They are sent before the next statement or with the
//! COMMIT, so that they cost no round trip.

use std::{future::poll_fn, mem, sync::Arc, task::Poll};

use chrono::{DateTime, Utc};
use diesel_async::{AnsiTransactionManager, RunQueryDsl as _, TransactionManager as _};
use futures_util::{future::BoxFuture, join};
use uuid::Uuid;

use crate::{
    audit::{self, Audited, Image, Record},
    caller::Permit,
    changes::{self, Change},
    contract::policy::Subject,
    database::{
        Connection, Database, Lease, Reach,
        after_commit::{self, Added},
        execute, idempotency,
        pipeline::{Queued, queued},
        statement::Statement,
    },
    error::{Error, Result},
    events::{self, Event, Listeners},
    fault,
    id::AccountId,
};

/// The last statements of a transaction with its COMMIT in the same message. The empty SELECT fails in a transaction that an
/// earlier error has aborted. Without it, Postgres would answer this COMMIT with a rollback that is no error.
const CHECKED_COMMIT: &str = "SELECT; COMMIT";

/// A unit of work. Everything that its statements change is committed together, or not at all.
///
/// A `Work` that is dropped is rolled back.
pub struct Work {
    /// The rows that Postgres lets the statements reach.
    reach: Reach,
    permit: Option<Permit>,
    now: DateTime<Utc>,
    lease: Lease,
    /// The hash of the idempotency key, to be claimed when the transaction begins.
    claim: Option<[u8; 32]>,
    is_begun: bool,
    queue: Vec<Queued>,
    events: Vec<Event>,
    audit: Audit,
}

/// What the audit log is to record at the commit.
#[derive(Default)]
struct Audit {
    records: Vec<Record>,
    /// The resources as they were locked.
    before: Vec<Image>,
    /// The account of the first change or event.
    account: Option<AccountId>,
    /// Data about the past, as that of the sample, is no act.
    is_suspended: bool,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("now", &self.now).field("is_begun", &self.is_begun).finish_non_exhaustive()
    }
}

impl Work {
    /// Borrows a connection. The transaction begins with the first statement.
    pub(super) async fn open(
        database: &Database,
        reach: Reach,
        permit: Option<Permit>,
        claim: Option<[u8; 32]>,
    ) -> Result<Self> {
        let (now, lease) = (database.now(), database.lease().await?);
        let (queue, events, audit) = Default::default();
        Ok(Self { reach, permit, now, lease, claim, is_begun: false, queue, events, audit })
    }

    /// Returns the time of the unit of work, which its rows and events have in common.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Returns the caller's permit.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the unit of work has no caller, which is a bug.
    pub fn permit(&self) -> Result<Permit> {
        self.permit.clone().ok_or_else(|| Error::internal(anyhow::anyhow!("a unit of work without a caller")))
    }

    /// Continues on behalf of another caller, at another time, for data about the past. The events so far keep their time. The
    /// audit log records nothing of the unit of work.
    ///
    /// # Errors
    /// Any error of the events and of the queued statements.
    pub async fn act_as(&mut self, permit: Permit, now: DateTime<Utc>) -> Result<()> {
        if !self.events.is_empty() {
            self.write(async |_: &Connection| Ok(())).await?;
        }
        (self.permit, self.now, self.audit.is_suspended) = (Some(permit), now, true);
        Ok(())
    }

    /// Runs statements that only read and lock. The first ones are sent with the BEGIN, in one round trip: if the BEGIN
    /// fails, they stand alone, and have changed nothing. What the listeners of the events so far read is sent behind them.
    ///
    /// # Errors
    /// Any error of `statements` and of Postgres.
    pub async fn read<T>(&mut self, statements: impl AsyncFnOnce(&Connection) -> Result<T>) -> Result<T> {
        if self.is_begun || !self.queue.is_empty() {
            self.begin().await?;
            return self.send(statements).await;
        }
        self.begin_with(statements).await
    }

    /// Runs statements whose results are needed before the commit. The statements that are queued are sent before them,
    /// and what the listeners of the events so far read after them, in the same round trip.
    ///
    /// # Errors
    /// Any error of `statements`, of the others that are sent, and of Postgres.
    pub async fn write<T>(&mut self, statements: impl AsyncFnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.begin().await?;
        self.send(statements).await
    }

    /// Returns the connection, in the transaction, for statements one after the other. What was queued is sent first.
    ///
    /// # Errors
    /// Any error of the queued statements and of Postgres.
    pub async fn connection(&mut self) -> Result<&mut Connection> {
        self.begin().await?;
        if !self.queue.is_empty() {
            self.send(async |_: &Connection| Ok(())).await?;
        }
        Ok(self.lease.connection())
    }

    /// Queues statements whose results are not needed. They must fail by an error of Postgres, because the COMMIT may have
    /// been sent when the response arrives; see [`Prepare::exactly`](crate::database::statement::Prepare::exactly). They must
    /// be sent together: one that waits for the response to another would follow the COMMIT, and stand alone. So would one
    /// with a parameter of a type that Postgres does not build in, such as an enum: diesel-async looks its OID up first.
    ///
    /// If one of them fails beside the COMMIT, its connection is closed. A statement that fails in the ordinary course of a
    /// request is therefore better [written](Self::write).
    pub fn queue(
        &mut self,
        statements: impl for<'c> FnOnce(&'c Connection) -> BoxFuture<'c, Result<()>> + Send + 'static,
    ) {
        self.queue.push(queued(statements));
    }

    /// Queues changes for the watches of their resources.
    pub fn record_changes(&mut self, changes: Vec<Change>) {
        self.audit.account = self.audit.account.or(changes.iter().map(|change| change.account).next());
        self.queue(move |connection| Box::pin(async move { changes::record(connection, &changes).await }));
    }

    /// Publishes an event.
    pub fn publish(&mut self, event: Event) {
        self.audit.account = self.audit.account.or(Some(event.account));
        self.events.push(event);
    }

    /// Says what a resource was before the change: the entry of the call then has the changed fields only, each with both of
    /// its values. The operation that locks a resource says it.
    pub fn before<R: Audited>(&mut self, resource: &R) {
        self.audit.before.push(Image::of(resource));
    }

    /// Adds an entry to the audit log. A [call](crate::grpc::Call) adds those of the resources in its response by itself.
    pub fn audit(&mut self, record: Record) {
        self.audit.records.push(record);
    }

    /// Adds the entries of a call with its encoded response, unless the call has changed nothing. `resource` is the one that
    /// the request names.
    pub(crate) fn audit_call(&mut self, subject: &Subject, resource: Option<Uuid>, response: &[u8]) {
        let listeners: Option<Arc<Listeners>> = after_commit::listeners();
        let Some(listeners) = listeners.filter(|_| self.has_changes()) else { return };
        let (privacy, audit) = (&listeners.policies.privacy, &mut self.audit);
        for record in Record::of_call(privacy, subject, resource, response, &audit.before) {
            if !audit.records.iter().any(|other| record.is_about_that_of(other, privacy)) {
                audit.records.push(record);
            }
        }
    }

    fn has_changes(&self) -> bool {
        self.is_begun || !self.queue.is_empty() || !self.events.is_empty()
    }

    fn queue_audit(&mut self) -> Result<()> {
        // The nil id stands for several accounts; the entry then belongs to no account.
        let account = self.audit.account.filter(|account| !account.0.is_nil());
        let records: Vec<_> =
            mem::take(&mut self.audit.records).into_iter().map(|record| record.in_account(account)).collect();
        if !self.audit.is_suspended && !records.is_empty() {
            let entries = audit::entries(records, self.now)?;
            if !entries.is_empty() {
                self.queue(move |connection| Box::pin(async move { audit::insert(connection, &entries).await }));
            }
        }
        Ok(())
    }

    /// Whether a COMMIT was sent. If its answer was lost, the outcome of the transaction is unknown.
    pub(super) fn is_commit_sent(&self) -> bool {
        self.lease.is_commit_sent()
    }

    /// Commits everything, with `last` as the last statement. If a statement fails, its error is the result, and nothing is
    /// committed.
    pub(super) async fn commit(&mut self, last: Option<Queued>) -> Result<()> {
        self.queue_audit()?;
        if !self.has_changes() && last.is_none() {
            return Ok(());
        }
        self.begin().await?;
        // The listeners read before they write.
        if !self.events.is_empty() {
            self.send(async |_: &Connection| Ok(())).await?;
        }
        self.queue.extend(last);
        fault::point("commit.before")?;
        self.lease.send_commit();
        if self.queue.is_empty() {
            return execute(self.lease.connection(), CHECKED_COMMIT).await;
        }
        // This COMMIT is a prepared statement, like those before it. The first time on a connection, each of them takes a
        // round trip more to be prepared; diesel-async holds its cache of statements meanwhile, so that they are sent in
        // their order nevertheless. A COMMIT outside the cache would overtake one that is still to be prepared, which would
        // then stand alone.
        self.queue(|mut connection| {
            Box::pin(async move {
                Statement::new("COMMIT").execute(&mut connection).await?;
                Ok(())
            })
        });
        let commit = self.send(async |_: &Connection| Ok(())).await;
        if commit.is_err() {
            // A response to the COMMIT may be on its way.
            self.discard();
        }
        commit
    }

    /// Ends the transaction: rolls it back if it failed, or does in this process what follows its commit. The connection may
    /// then be lent again.
    pub(super) async fn end<T>(mut self, database: &Database, additions: Added, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() && self.is_begun && execute(self.lease.connection(), "ROLLBACK").await.is_err() {
            self.discard();
        }
        self.lease.settle();
        let value = outcome?;
        database.wake(additions);
        fault::point("commit.after")?;
        Ok(value)
    }

    /// Has the pool close the connection, which rolls back whatever is open.
    fn discard(&mut self) {
        AnsiTransactionManager::transaction_manager_status_mut(self.lease.connection()).set_in_error();
    }

    async fn begin(&mut self) -> Result<()> {
        if self.is_begun {
            return Ok(());
        }
        self.begin_with(async |_: &Connection| Ok(())).await
    }

    /// Begins the transaction, with statements that only read and lock, also of the listeners of the events so far, in the
    /// same round trip. What is queued stays queued.
    async fn begin_with<T>(&mut self, statements: impl AsyncFnOnce(&Connection) -> Result<T>) -> Result<T> {
        // Also if `statements` are dropped before the response to the BEGIN.
        self.is_begun = true;
        let begin = self.lease.begin(self.reach);
        let (events, claim, now) = (mem::take(&mut self.events), self.claim, self.now);
        let connection: &Connection = self.lease.connection();
        let claiming = async {
            match claim {
                Some(scope) => idempotency::claim(connection, &scope).await,
                None => Ok(()),
            }
        };
        let listening = events::read(connection, &events, now);
        let (begun, claimed, output, writes) =
            join!(execute(connection, &begin), claiming, statements(connection), listening);
        if begun.is_err() {
            self.is_begun = false;
            self.discard();
        }
        begun.and(claimed)?;
        if claim.is_some() {
            fault::point("claim.after")?;
        }
        let output = output?;
        self.queue.extend(writes?);
        Ok(output)
    }

    /// Sends what is queued, then `statements`, then what the listeners of the events so far read, in one round trip. Queues
    /// what the listeners write.
    async fn send<T>(&mut self, statements: impl AsyncFnOnce(&Connection) -> Result<T>) -> Result<T> {
        let (queue, events, now) = (mem::take(&mut self.queue), mem::take(&mut self.events), self.now);
        let connection: &Connection = self.lease.connection();
        let queue = queue.into_iter().map(|statements| statements(connection)).collect();
        let listening = events::read(connection, &events, now);
        let (result, output, writes) = join!(in_order(queue), statements(connection), listening);
        result?;
        let output = output?;
        self.queue.extend(writes?);
        Ok(output)
    }
}

/// Sends statements together, in their order. After one that fails, no other is sent any more. Returns the first error in
/// that order, once all before it have succeeded.
async fn in_order(mut statements: Vec<BoxFuture<'_, Result<()>>>) -> Result<()> {
    let mut failure = None;
    poll_fn(move |context| {
        let (mut index, mut is_waiting) = (0, false);
        while index < statements.len() {
            match statements[index].as_mut().poll(context) {
                Poll::Ready(Ok(())) => drop(statements.remove(index)),
                Poll::Ready(Err(error)) => {
                    failure = Some(error);
                    statements.truncate(index);
                }
                Poll::Pending => {
                    is_waiting = true;
                    index += 1;
                }
            }
        }
        if is_waiting { Poll::Pending } else { Poll::Ready(failure.take().map_or(Ok(()), Err)) }
    })
    .await
}

impl Database {
    /// Runs a transaction, which commits everything that `run` did or, if it fails or its caller disconnects, nothing. It has no
    /// caller and reaches the rows of all accounts: of sign-ins, jobs and commands.
    ///
    /// # Errors
    /// `UNAVAILABLE` when no connection is available in time, and any error of `run` or of the commit.
    pub async fn transaction<T>(&self, run: impl AsyncFnOnce(&mut Work) -> Result<T>) -> Result<T> {
        let reach = Reach::across_accounts("no caller");
        let mut work = Work::open(self, reach, None, None).await?;
        let outcome = self.watch(async {
            let value = run(&mut work).await?;
            work.commit(None).await?;
            Ok::<_, Error>(value)
        });
        let (outcome, additions) = outcome.await;
        work.end(self, additions, outcome).await
    }
}

#[cfg(test)]
mod tests {
    use std::{future::ready, sync::Mutex};

    use super::*;
    use crate::error::Reason;

    fn statement<'s>(
        log: &'s Mutex<Vec<u8>>,
        number: u8,
        polls: u8,
        reason: Option<Reason>,
    ) -> BoxFuture<'s, Result<()>> {
        let mut left = polls;
        Box::pin(poll_fn(move |context| {
            if left == polls {
                log.lock().expect("no panic").push(number);
            }
            if left > 0 {
                left -= 1;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(reason.map_or(Ok(()), |reason| Err(reason.into())))
        }))
    }

    #[tokio::test]
    async fn the_first_statement_that_failed_is_the_error() {
        let log = Mutex::default();
        // The second error arrives first, as that of an aborted transaction may.
        let statements = vec![
            statement(&log, 1, 1, None),
            statement(&log, 2, 3, Some(Reason::Conflict)),
            statement(&log, 3, 1, Some(Reason::InternalError)),
            statement(&log, 4, 1, None),
        ];
        assert_eq!(in_order(statements).await.expect_err("two failed").reason(), Reason::Conflict);
        assert_eq!(*log.lock().expect("no panic"), [1, 2, 3, 4]);
        in_order(vec![Box::pin(ready(Ok(())))]).await.expect("none failed");
    }

    #[tokio::test]
    async fn nothing_is_sent_after_a_statement_that_could_not_be() {
        let log = Mutex::default();
        let statements = vec![
            statement(&log, 1, 1, None),
            statement(&log, 2, 0, Some(Reason::InternalError)),
            statement(&log, 3, 1, None),
        ];
        assert_eq!(in_order(statements).await.expect_err("one failed").reason(), Reason::InternalError);
        assert_eq!(*log.lock().expect("no panic"), [1, 2]);
    }
}
