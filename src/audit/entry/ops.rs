//! Reads the audit log, and erases personal values in it.

use mainstay_kernel::{
    app::App,
    caller::{Permit, Visibility},
    context::ActorKind,
    database::{Connection, pipeline::pipeline},
    error::{Error, Reason, Result},
    id::UserId,
    page::{Key, Listed, Page, Start},
};

use crate::{
    audit::entry::{
        model::{Entry, Filter, Order, Personal},
        store,
    },
    identity::{oauth_client::ops as clients, service_key::ops as keys, user::ops as users},
};

/// Returns a page of entries, newest first, plus one more if another page follows, and the total unless paging by key.
///
/// # Errors
/// `VALIDATION_FAILED` for a kind of resource without its id.
pub async fn list(connection: &Connection, permit: Permit, filter: Filter, page: Page) -> Result<Listed<Entry>> {
    check(&filter)?;
    let visibility = permit.visibility();
    let total = page.total(store::total(connection, visibility, &filter));
    let entries = store::list(connection, visibility, &filter, Order::NewestFirst, page.and_next());
    let (total, entries) = pipeline!(total, entries)?;
    Ok((as_seen_by(connection, visibility, entries).await?, total))
}

/// Returns the next entries of an export, oldest first.
///
/// # Errors
/// As [`list`].
pub async fn export(
    connection: &Connection,
    permit: Permit,
    filter: Filter,
    after: Option<Key>,
    limit: i64,
) -> Result<Vec<Entry>> {
    check(&filter)?;
    let (page, visibility) = (after.map_or(Start::Offset(0), Start::After).page(limit), permit.visibility());
    let entries = store::list(connection, visibility, &filter, Order::OldestFirst, page).await?;
    as_seen_by(connection, visibility, entries).await
}

/// Checks that an index serves the filter.
fn check(filter: &Filter) -> Result<()> {
    let has_kind_only = filter.resource_kind.is_some() && filter.resource.is_none();
    if has_kind_only { Err(Error::field("resourceKind", "needs resourceId")) } else { Ok(()) }
}

/// An account sees who of the staff and which services acted on what it has, but not from where, nor why. Of what the keys and
/// the clients of the account did, it sees everything.
async fn as_seen_by(connection: &Connection, visibility: Visibility, entries: Vec<Entry>) -> Result<Vec<Entry>> {
    let service = ActorKind::Service.number();
    let services: Vec<_> =
        entries.iter().filter(|entry| entry.actor_kind == service).flat_map(|entry| entry.actor).collect();
    let own = match visibility {
        Visibility::Account(account) if !services.is_empty() => {
            let mut own = keys::of_account(connection, account, services.clone()).await?;
            own.extend(clients::of_account(connection, account, services).await?);
            own
        }
        _ => Vec::new(),
    };
    let outsiders = [ActorKind::Staff, ActorKind::Service, ActorKind::System].map(ActorKind::number);
    let is_open = |entry: &Entry| {
        let is_own = entry.actor_kind == service && entry.actor.is_some_and(|actor| own.contains(&actor));
        visibility == Visibility::All || is_own || !outsiders.contains(&entry.actor_kind)
    };
    let reduced = |entry: Entry| {
        let fields = entry.personal.fields.clone();
        Entry { personal: Personal { fields, ..Personal::default() }, ..entry }
    };
    Ok(entries.into_iter().map(|entry| if is_open(&entry) { entry } else { reduced(entry) }).collect())
}

/// Erases the personal values of the acts of a user, of those on the user, and of the refused sign-ins with the user's present
/// address. The entries remain, and the chain remains valid. Returns the number of entries. A user who was removed may have
/// entries, too.
///
/// # Errors
/// `NOT_FOUND` if there is neither the user nor an entry; any error of Postgres.
pub async fn erase(app: &App, user: UserId) -> Result<usize> {
    let find = app.database.read(async move |connection| users::read(connection, Visibility::All, user).await);
    let email = match find.await {
        Err(error) if error.reason() == Reason::NotFound => None,
        found => Some(found?.email),
    };
    let is_known = email.is_some();
    let erase = async move |connection: &mut Connection| store::erase(connection, user, email.as_ref()).await;
    match app.database.autocommit(erase).await? {
        0 if !is_known => Err(Error::not_found("user")),
        erased => Ok(erased),
    }
}
