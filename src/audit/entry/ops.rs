//! Reads the audit log, and erases personal values in it.

use mainstay_kernel::{
    app::App,
    caller::{Permit, Visibility},
    context::ActorKind,
    database::{Connection, pipeline::pipeline},
    error::{Error, Result},
    id::UserId,
    page::{Key, Start, Total},
};

use crate::audit::entry::{
    model::{Entry, Filter, Order, Personal},
    store,
};

/// Returns a page of entries, newest first, plus one more if another page follows, and the total unless paging by key.
///
/// # Errors
/// `VALIDATION_FAILED` for a kind of resource without its id.
pub async fn list(
    connection: &mut Connection,
    permit: Permit,
    filter: Filter,
    start: Start,
    limit: i64,
) -> Result<(Vec<Entry>, Option<Total>)> {
    check(&filter)?;
    let (connection, visibility) = (&*connection, permit.visibility());
    let total = start.total(store::total(connection, visibility, &filter));
    let entries = store::list(connection, visibility, &filter, Order::NewestFirst, start, limit + 1);
    let (total, entries) = pipeline!(total, entries)?;
    Ok((entries.into_iter().map(|entry| as_seen_by(visibility, entry)).collect(), total))
}

/// Returns the next entries of an export, oldest first.
///
/// # Errors
/// As [`list`].
pub async fn export(
    connection: &mut Connection,
    permit: Permit,
    filter: Filter,
    after: Option<Key>,
    limit: i64,
) -> Result<Vec<Entry>> {
    check(&filter)?;
    let (start, visibility) = (after.map_or(Start::Offset(0), Start::After), permit.visibility());
    let entries = store::list(connection, visibility, &filter, Order::OldestFirst, start, limit).await?;
    Ok(entries.into_iter().map(|entry| as_seen_by(visibility, entry)).collect())
}

/// Checks that an index serves the filter.
fn check(filter: &Filter) -> Result<()> {
    let has_kind_only = filter.resource_kind.is_some() && filter.resource.is_none();
    if has_kind_only { Err(Error::field("resourceKind", "needs resourceId")) } else { Ok(()) }
}

/// An account sees who of the staff and which services acted on what it has, but not from where, nor why.
fn as_seen_by(visibility: Visibility, entry: Entry) -> Entry {
    let outsiders = [ActorKind::Staff, ActorKind::Service, ActorKind::System].map(ActorKind::number);
    if visibility == Visibility::All || !outsiders.contains(&entry.actor_kind) {
        return entry;
    }
    let fields = entry.personal.fields.clone();
    Entry { personal: Personal { fields, ..Personal::default() }, ..entry }
}

/// Erases the personal values of the acts of a user, and of those on the user. The entries remain, and the chain remains
/// valid. Returns the number of entries.
///
/// # Errors
/// Any error of Postgres.
pub async fn erase(app: &App, user: UserId) -> Result<usize> {
    app.database.autocommit(async move |connection| store::erase(connection, user).await).await
}
