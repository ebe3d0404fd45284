//! Operations on sample items. Each function runs in its caller's transaction.

use mainstay_kernel::{
    caller::Permit,
    database::Connection,
    error::Result,
    id::AccountId,
    page::{Start, Total},
    unit_of_work::Work,
    version::ExpectedVersions,
};

use super::{
    model::{Patch, SampleItem, SampleItemId},
    store,
};

/// Creates a sample item, for the caller's account unless another is named.
///
/// # Errors
/// `NOT_FOUND` if the account does not exist; `VALIDATION_FAILED` if the caller has no account and names none.
pub async fn create(work: &mut Work, account: Option<AccountId>, name: String) -> Result<SampleItem> {
    let sample_item = SampleItem::new(work.permit()?.account(account)?, name, work.now());
    store::insert(work.connection().await?, &sample_item).await?;
    Ok(sample_item)
}

/// Returns a sample item.
///
/// # Errors
/// `NOT_FOUND`, also for a sample item that is not visible to the caller.
pub async fn get(connection: &Connection, permit: &Permit, id: SampleItemId) -> Result<SampleItem> {
    store::get(connection, permit.visibility(), id).await
}

/// Returns a page of sample items plus one more if another page follows, and the total unless paging by key.
///
/// # Errors
/// Any error of Postgres.
pub async fn list(
    connection: &mut Connection,
    permit: Permit,
    start: Start,
    limit: i64,
) -> Result<(Vec<SampleItem>, Option<Total>)> {
    let total = start.total(store::total(connection, permit.visibility())).await?;
    Ok((store::list(connection, permit.visibility(), start, limit + 1).await?, total))
}

/// Updates a sample item. A patch that changes nothing keeps the version.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`.
pub async fn update(
    work: &mut Work,
    id: SampleItemId,
    expected: Option<ExpectedVersions>,
    patch: Patch,
) -> Result<SampleItem> {
    let visibility = work.permit()?.visibility();
    let sample_item = work.read(async |connection: &Connection| store::lock(connection, visibility, id).await).await?;
    ExpectedVersions::check(expected.as_ref(), sample_item.version)?;
    let Some(next) = sample_item.apply(patch, work.now()) else { return Ok(sample_item) };
    let row = next.clone();
    work.queue(move |connection| Box::pin(async move { store::update(connection, &row).await }));
    Ok(next)
}

/// Deletes a sample item.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`.
pub async fn delete(work: &mut Work, id: SampleItemId, expected: Option<ExpectedVersions>) -> Result<()> {
    let visibility = work.permit()?.visibility();
    let sample_item = work.read(async |connection: &Connection| store::lock(connection, visibility, id).await).await?;
    ExpectedVersions::check(expected.as_ref(), sample_item.version)?;
    work.queue(move |connection| Box::pin(async move { store::delete(connection, id).await }));
    Ok(())
}
