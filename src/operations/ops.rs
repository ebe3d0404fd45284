//! Operations, which their owner and admins can view and cancel.

mod job;
mod kind;
mod orphans;
mod registry;
mod run;

use futures_util::future::BoxFuture;

use crate::{
    identity::account::ops as accounts,
    operations::{
        id::OperationId,
        model::{Operation, RowError},
        store,
    },
};
use mainstay_kernel::{
    caller::Permit,
    changes::{self, Change},
    database::{Connection, pipeline::pipeline},
    error::{Error, Result},
    id::AccountId,
    page::{Listed, Page, Total},
    queue,
    unit_of_work::Work,
    version::ExpectedVersions,
};

pub use job::{Outcome, RunOperation, run};
pub use kind::{End, OperationKind};
pub(crate) use orphans::fail_orphans;
pub use registry::{CarriesOut, Kind, Kinds};
pub use run::Run;
// For the modules that carry out operations.
pub(crate) use store::erase;
pub use store::insert_errors as record_errors;

/// The topic of changes, for watchers.
pub const TOPIC: &str = "operations.operation";

/// Stores a new operation on behalf of the caller, and the job that carries it out. The caller must reach the account.
/// [`ACROSS_ACCOUNTS`](crate::operations::model::ACROSS_ACCOUNTS) stands for work of the staff on data of several accounts.
///
/// # Errors
/// `NOT_FOUND` when the account does not exist, `DELETION_BEGUN`.
pub async fn begin<K: OperationKind>(work: &mut Work, account: AccountId, request: K) -> Result<Operation> {
    accounts::check_open(work, vec![account]).await?;
    let began = Operation::new((K::NAME, K::NUMBER), work.permit()?.caller().principal(), account, work.now());
    let connection: &Connection = work.connection().await?;
    pipeline!(store::insert(connection, &began), record_change(connection, &began))?;
    queue::enqueue(connection, &RunOperation { operation: began.id, request }).await?;
    Ok(began)
}

/// Stores the next version of an operation.
///
/// # Errors
/// `CONFLICT` if another transaction stored a version meanwhile.
async fn update(connection: &Connection, operation: &Operation) -> Result<()> {
    pipeline!(store::update(connection, operation), record_change(connection, operation))?;
    Ok(())
}

async fn record_change(connection: &Connection, operation: &Operation) -> Result<()> {
    let change = Change {
        topic: TOPIC.into(),
        resource: operation.id.0,
        account: operation.account,
        principal: Some(operation.owner),
        version: operation.version,
        is_deleted: false,
    };
    changes::record(connection, &[change]).await
}

/// Returns changed operations, for all watchers; the visibility of each change decides which watchers receive it.
pub fn load_changed(connection: &mut Connection, ids: Vec<uuid::Uuid>) -> BoxFuture<'_, Result<Vec<Operation>>> {
    Box::pin(async move {
        let ids: Vec<_> = ids.into_iter().map(OperationId).collect();
        store::get_batch(connection, &ids).await
    })
}

/// Returns an operation.
///
/// # Errors
/// `NOT_FOUND`, also for an operation that is out of reach or of a kind that is hidden from the caller.
pub async fn get(connection: &Connection, permit: &Permit, kinds: &Kinds, id: OperationId) -> Result<Operation> {
    store::get(connection, permit.visibility(), &kinds.hidden(permit), id).await
}

/// Returns the operation that an earlier request began, to a caller that may begin such operations.
///
/// # Errors
/// `NOT_FOUND`.
pub(super) async fn replayed(connection: &Connection, permit: &Permit, id: OperationId) -> Result<Operation> {
    store::get(connection, permit.visibility(), &[], id).await
}

/// Cancels an operation. A worker that is running it notices when it tries to store its next batch, which is then
/// rolled back; batches already stored are kept.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `OPERATION_ENDED` if it has succeeded or failed; `PERMISSION_DENIED` if the caller lacks the
/// scope of its kind; `UNAVAILABLE` if no module of this program declares the kind.
pub async fn cancel(
    work: &mut Work,
    kinds: &Kinds,
    id: OperationId,
    expected: Option<ExpectedVersions>,
) -> Result<Operation> {
    let (permit, now) = (work.permit()?, work.now());
    let operation = store::lock(work.connection().await?, permit.visibility(), &kinds.hidden(&permit), id).await?;
    kinds.check_cancel(&operation.kind, &permit)?;
    ExpectedVersions::check(expected.as_ref(), operation.version)?;
    let Some(cancelled) = operation.clone().cancel(now)? else { return Ok(operation) };
    (kinds.of(&cancelled.kind)?.cancel)(work, &cancelled).await?;
    Ok(cancelled)
}

/// Returns a page of operations plus one more if another page follows, and the total unless paging by key.
pub async fn list(connection: &Connection, permit: Permit, kinds: Kinds, page: Page) -> Result<Listed<Operation>> {
    let (visibility, hidden) = (permit.visibility(), kinds.hidden(&permit));
    store::list(connection, visibility, &hidden, page).await
}

/// Returns a page of an operation's invalid rows plus one more if another page follows, and the total unless paging by
/// key.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn errors(
    connection: &Connection,
    permit: Permit,
    kinds: Kinds,
    id: OperationId,
    page: Page,
) -> Result<Listed<RowError>> {
    let operation = get(connection, &permit, &kinds, id).await?;
    let total = page.total(async { Ok::<_, Error>(Total::exact(operation.progress.failed)) }).await?;
    Ok((store::errors(connection, id, page.and_next()).await?, total))
}
