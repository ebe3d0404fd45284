//! Operations on sample items. Each function runs in its caller's transaction.

use futures_util::{FutureExt as _, future::BoxFuture};
use mainstay_kernel::{
    caller::{Permit, Visibility},
    changes::Change,
    database::Connection,
    error::Result,
    events::{Event, EventKind},
    id::AccountId,
    page::{Listed, Page},
    unit_of_work::Work,
    version::ExpectedVersions,
};
use uuid::Uuid;

use super::{
    events::{SampleItemChanged, SampleItemCreated, SampleItemDeleted},
    model::{Patch, SampleItem, SampleItemId, Values},
    store,
};

/// The topic of the changes, for watches.
pub const TOPIC: &str = "my_module.sample_item";

/// Creates a sample item, for the caller's account unless another is named.
///
/// # Errors
/// `NOT_FOUND` if the account{{ " or a reference" if references }} does not exist; `VALIDATION_FAILED` if the caller has no account and names none.
pub async fn create(work: &mut Work, account: Option<AccountId>, values: Values) -> Result<SampleItem> {
    let account = work.permit()?.account(account)?;
{% for field in references %}
{% if field.is_optional %}
    if let Some({{ field.name }}) = values.{{ field.name }} {
        crate::{{ field.reference.name }}::ops::require(work.connection().await?, account, {{ field.name }}).await?;
    }
{% else %}
    crate::{{ field.reference.name }}::ops::require(work.connection().await?, account, values.{{ field.name }}).await?;
{% endif %}
{% endfor %}
    let sample_item = SampleItem::new(account, values, work.now());
    store::insert(work.connection().await?, &sample_item).await?;
    record::<SampleItemCreated>(work, &sample_item, false);
    Ok(sample_item)
}

/// Publishes an event about a sample item, and records the change for watches.
pub(super) fn record<E: EventKind>(work: &mut Work, sample_item: &SampleItem, is_deleted: bool) {
    let SampleItem { id, account, version, .. } = *sample_item;
    work.publish(Event::of::<E>(account, id.0, version));
    work.record_changes(vec![Change {
        topic: TOPIC.into(),
        resource: id.0,
        account,
        principal: None,
        version,
        is_deleted,
    }]);
}

/// Returns changed sample items, for all watches; the account of each change decides which callers receive it.
pub fn load_changed(connection: &mut Connection, ids: Vec<Uuid>) -> BoxFuture<'_, Result<Vec<SampleItem>>> {
    store::get_batch(connection, ids).boxed()
}

/// Checks that a sample item of an account exists, for a resource that refers to it.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn require(connection: &Connection, account: AccountId, id: SampleItemId) -> Result<()> {
    store::get(connection, Visibility::Account(account), id).await.map(drop)
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
    connection: &Connection,
    permit: Permit,
    page: Page,
) -> Result<Listed<SampleItem>> {
    store::list(connection, permit.visibility(), page).await
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
{% for field in references %}
    if let {{ "Some(Some(" ~ field.name ~ "))" if field.is_optional else "Some(" ~ field.name ~ ")" }} = patch.{{ field.name }} {
        crate::{{ field.reference.name }}::ops::require(work.connection().await?, sample_item.account, {{ field.name }}).await?;
    }
{% endfor %}
    let Some(next) = sample_item.apply(patch, work.now()) else { return Ok(sample_item) };
    let row = next.clone();
    work.queue(move |connection| Box::pin(async move { store::update(connection, &row).await }));
    record::<SampleItemChanged>(work, &next, false);
    Ok(next)
}

/// Deletes a sample item.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`; `BUSINESS_RULE_VIOLATION` if another resource refers to it.
pub async fn delete(work: &mut Work, id: SampleItemId, expected: Option<ExpectedVersions>) -> Result<()> {
    let visibility = work.permit()?.visibility();
    let sample_item = work.read(async |connection: &Connection| store::lock(connection, visibility, id).await).await?;
    ExpectedVersions::check(expected.as_ref(), sample_item.version)?;
    work.write(async |connection: &Connection| store::delete(connection, id).await).await?;
    record::<SampleItemDeleted>(work, &sample_item, true);
    Ok(())
}
