//! Entries in SQL.

use diesel::{
    dsl::sql,
    prelude::*,
    sql_types::{Bool, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    caller::Visibility,
    database::{Connection, count, integrity::corrupt, schema::audit_entries, visibility::visible},
    error::{Error, Result},
    id::{self, AccountId, UserId},
    page::{Page, Start, Total},
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    audit::entry::model::{Entry, Filter, Order, Personal},
    identity::user::model::EmailAddress,
};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = audit_entries)]
struct Row {
    id: Uuid,
    method: String,
    outcome: i16,
    actor_kind: i16,
    actor_id: Option<Uuid>,
    account_id: Option<AccountId>,
    resource_kind: String,
    resource_id: Option<Uuid>,
    request_id: Option<String>,
    changes: Value,
    personal: Option<Value>,
}

impl TryFrom<Row> for Entry {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let Value::Object(changes) = row.changes else { return Err(corrupt("audit_entries", row.id, "changes")) };
        Ok(Self {
            id: row.id,
            method: row.method,
            outcome: row.outcome,
            actor_kind: row.actor_kind,
            actor: row.actor_id,
            account: row.account_id,
            resource_kind: row.resource_kind,
            resource: row.resource_id,
            request: row.request_id,
            changes,
            personal: row.personal.as_ref().map(Personal::read).unwrap_or_default(),
        })
    }
}

visible!(audit_entries, actor_id);

fn matching(visibility: Visibility, filter: &Filter) -> Boxed<'static> {
    use audit_entries::{account_id, actor_id, method, resource_id, resource_kind};
    let mut query = visible(visibility);
    if let Some(actor) = filter.actor {
        query = query.filter(actor_id.eq(actor));
    }
    if let Some(account) = filter.account {
        query = query.filter(account_id.eq(account));
    }
    if let Some(kind) = filter.resource_kind.clone() {
        query = query.filter(resource_kind.eq(kind));
    }
    if let Some(resource) = filter.resource {
        query = query.filter(resource_id.eq(resource));
    }
    if let Some(name) = filter.method.clone() {
        query = query.filter(method.eq(name));
    }
    // The id has the time, and leads to the partition.
    if let Some(from) = filter.from {
        query = query.filter(audit_entries::id.ge(id::lower_bound(from)));
    }
    if let Some(until) = filter.until {
        query = query.filter(audit_entries::id.lt(id::lower_bound(until)));
    }
    query
}

/// Returns a page of entries.
pub async fn list(
    mut connection: &Connection,
    visibility: Visibility,
    filter: &Filter,
    order: Order,
    page: Page,
) -> Result<Vec<Entry>> {
    let mut query = matching(visibility, filter).limit(page.size);
    query = match (page.start, order) {
        (Start::Offset(0), _) => query,
        (Start::Offset(offset), _) => query.offset(offset),
        (Start::After(key), Order::NewestFirst) => query.filter(audit_entries::id.lt(key.id)),
        (Start::After(key), Order::OldestFirst) => query.filter(audit_entries::id.gt(key.id)),
    };
    query = match order {
        Order::NewestFirst => query.order(audit_entries::id.desc()),
        Order::OldestFirst => query.order(audit_entries::id.asc()),
    };
    let rows: Vec<Row> = query.select(Row::as_select()).load(&mut connection).await?;
    rows.into_iter().map(Entry::try_from).collect()
}

/// Counts entries, up to a bound.
pub async fn total(connection: &Connection, visibility: Visibility, filter: &Filter) -> Result<Total> {
    let limited = matching(visibility, filter).select(audit_entries::id).limit(count::BOUND + 1);
    count::bounded(connection, Box::new(limited)).await
}

/// Erases the personal values of the acts of a user, of those on the user, and of those with the user's address, such as a
/// refused sign-in and an invitation.
/// Returns the number of entries.
pub async fn erase(mut connection: &Connection, user: UserId, email: Option<&EmailAddress>) -> Result<usize> {
    use audit_entries::{actor_id, personal, resource_id, salt};
    let of_user = actor_id.eq(user.0).or(resource_id.eq(user.0));
    // An index has this expression.
    let of_address = sql::<Nullable<Bool>>("personal #>> '{fields,email,after}' = ")
        .bind::<Nullable<Text>, _>(email.map(EmailAddress::as_str));
    // So has another one.
    let of_earlier = sql::<Nullable<Bool>>(
        "coalesce(personal #>> '{fields,email,before}', lower(personal #>> '{fields,confirmationEmail,after}')) = ",
    )
    .bind::<Nullable<Text>, _>(email.map(EmailAddress::as_str));
    let of_address = of_address.or(of_earlier);
    let entries = audit_entries::table.filter(of_user.or(of_address)).filter(personal.is_not_null());
    let erase = diesel::update(entries).set((salt.eq(None::<Vec<u8>>), personal.eq(None::<Value>)));
    Ok(erase.execute(&mut connection).await?)
}
