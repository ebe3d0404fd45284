//! Linked identities in SQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    identity::{
        account_provider::id::AccountProviderId,
        linked_identity::{id::LinkedIdentityId, model::LinkedIdentity},
        provider::model::Person,
    },
    schema::linked_identities,
};
use mainstay_kernel::{
    database::{Connection, already_exists, convert},
    error::Result,
    id::UserId,
};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = linked_identities)]
struct Row {
    id: LinkedIdentityId,
    user_id: UserId,
    issuer: String,
    subject: String,
    email: Option<String>,
    created_at: DateTime<Utc>,
    provider_id: Option<AccountProviderId>,
}

impl From<Row> for LinkedIdentity {
    fn from(row: Row) -> Self {
        let Row { id, user_id: user, issuer, subject, email, created_at, provider_id: provider } = row;
        Self { id, user, provider, issuer, subject, email, created_at }
    }
}

/// Stores a new identity.
///
/// # Errors
/// `ALREADY_EXISTS` if the identity is linked to a user.
pub async fn insert(connection: &Connection, identity: &LinkedIdentity) -> Result<()> {
    let row = (
        linked_identities::id.eq(identity.id),
        linked_identities::user_id.eq(identity.user),
        linked_identities::issuer.eq(&identity.issuer),
        linked_identities::subject.eq(&identity.subject),
        linked_identities::email.eq(&identity.email),
        linked_identities::created_at.eq(identity.created_at),
        linked_identities::provider_id.eq(identity.provider),
    );
    let inserted = diesel::insert_into(linked_identities::table).values(row).execute(&mut &*connection).await;
    inserted
        .map(drop)
        .map_err(already_exists("linked_identities_issuer_subject_key", "The identity is linked to a user."))
}

/// Returns the identity of a person, if it is linked.
pub async fn find(connection: &mut Connection, person: &Person) -> Result<Option<LinkedIdentity>> {
    let query = linked_identities::table.filter(linked_identities::issuer.eq(&person.issuer));
    let query = query.filter(linked_identities::subject.eq(&person.subject));
    let query = query.filter(linked_identities::provider_id.is_not_distinct_from(person.provider));
    let query = query.select(Row::as_select());
    convert::optional::<Row, _>(query.first(connection).await)
}

/// Returns the identities of a user, oldest first.
pub async fn list(connection: &Connection, user: UserId) -> Result<Vec<LinkedIdentity>> {
    let query = linked_identities::table.filter(linked_identities::user_id.eq(user));
    let query = query.order((linked_identities::created_at, linked_identities::id)).select(Row::as_select());
    convert::all::<Row, _>(query.load(&mut &*connection).await)
}

/// Removes the identities of a user, and returns their number.
pub async fn delete_of_user(connection: &Connection, user: UserId) -> Result<usize> {
    let identities = linked_identities::table.filter(linked_identities::user_id.eq(user));
    Ok(diesel::delete(identities).execute(&mut &*connection).await?)
}

/// Removes an identity.
pub async fn delete(connection: &Connection, id: LinkedIdentityId) -> Result<()> {
    diesel::delete(linked_identities::table.find(id)).execute(&mut &*connection).await?;
    Ok(())
}
