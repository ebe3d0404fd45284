//! Provisioned people in SQL.

mod group;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    identity::{
        member::{id::MemberId, model::MemberRole},
        scim::model::{Person, Provisioned, Slice, UserFilter},
    },
    schema::scim_users,
};
use mainstay_kernel::{
    database::{Connection, statement::Prepare as _},
    error::Result,
    id::{AccountId, UserId},
};

pub use group::{
    add_members, count_groups, delete_group, find_group, groups_of, insert_group, list_groups, members_of,
    remove_members, total_groups, update_group,
};

type Row = (UserId, String, String, Option<String>, Option<MemberId>, i64, DateTime<Utc>, DateTime<Utc>);

/// The columns of a person. A suspension adds the version of the membership to that of the person, so that the sum grows.
const COLUMNS: &str = "SELECT u.id, u.email, u.name, s.external_id, m.id AS member_id, \
    u.version + coalesce(m.version, 0) + coalesce(s.version, 0) AS version, \
    coalesce(s.created_at, m.created_at) AS created_at, greatest(u.updated_at, m.updated_at, s.updated_at) AS updated_at";

/// The people of an account: its members, and those whom a provider has suspended.
const MATCHING: &str = " FROM users u \
    LEFT JOIN members m ON m.account_id = $1 AND m.user_id = u.id \
    LEFT JOIN scim_users s ON s.account_id = $1 AND s.user_id = u.id \
    WHERE u.id IN (SELECT user_id FROM members WHERE account_id = $1 \
                   UNION SELECT user_id FROM scim_users WHERE account_id = $1) \
    AND ($2::uuid IS NULL OR u.id = $2) AND ($3::text IS NULL OR u.email LIKE $3) AND ($4::text IS NULL OR u.name ILIKE $4) \
    AND ($5::text IS NULL OR s.external_id LIKE $5) AND ($6::boolean IS NULL OR (m.id IS NOT NULL) = $6)";

macro_rules! matching {
    ($sql:expr, $account:expr, $filter:expr) => {
        diesel::sql_query($sql)
            .bind::<SqlUuid, _>($account.0)
            .bind::<Nullable<SqlUuid>, _>($filter.id)
            .bind::<Nullable<Text>, _>($filter.email.as_deref())
            .bind::<Nullable<Text>, _>($filter.name.as_deref())
            .bind::<Nullable<Text>, _>($filter.external_id.as_deref())
            .bind::<Nullable<Bool>, _>($filter.is_active)
    };
}

/// Returns a part of the people of an account whom a filter selects, in the order of their ids.
pub async fn list(
    connection: &Connection,
    account: AccountId,
    filter: &UserFilter,
    slice: Slice,
) -> Result<Vec<Person>> {
    let query = matching!(format!("{COLUMNS}{MATCHING} ORDER BY u.id OFFSET $7 LIMIT $8"), account, filter);
    let query = query.bind::<BigInt, _>(slice.offset).bind::<BigInt, _>(slice.limit);
    let query =
        query.columns::<(SqlUuid, Text, Text, Nullable<Text>, Nullable<SqlUuid>, BigInt, Timestamptz, Timestamptz)>();
    let rows: Vec<Row> = query.load(&mut &*connection).await?;
    let person = |(user, email, name, external_id, member, version, created_at, updated_at)| Person {
        user,
        email,
        name,
        external_id,
        member,
        version,
        created_at,
        updated_at,
    };
    Ok(rows.into_iter().map(person).collect())
}

/// Counts the people of an account whom a filter selects.
pub async fn total(connection: &Connection, account: AccountId, filter: &UserFilter) -> Result<i64> {
    let query = matching!(format!("SELECT count(*) AS count{MATCHING}"), account, filter);
    Ok(query.columns::<BigInt>().get_result(&mut &*connection).await?)
}

/// Returns a person of an account.
pub async fn find(connection: &Connection, account: AccountId, user: UserId) -> Result<Option<Person>> {
    let filter = UserFilter { id: Some(user.0), ..UserFilter::default() };
    Ok(list(connection, account, &filter, Slice { offset: 0, limit: 1 }).await?.pop())
}

/// Returns those of these users who are people of an account.
pub async fn people(connection: &Connection, account: AccountId, users: &[UserId]) -> Result<Vec<UserId>> {
    const SQL: &str = "SELECT user_id FROM members WHERE account_id = $1 AND user_id = ANY ($2) \
                       UNION SELECT user_id FROM scim_users WHERE account_id = $1 AND user_id = ANY ($2)";
    let query = diesel::sql_query(SQL).bind::<SqlUuid, _>(account.0);
    let query = query.bind::<diesel::sql_types::Array<SqlUuid>, _>(users.iter().map(|id| id.0).collect::<Vec<_>>());
    Ok(query.columns::<SqlUuid>().load(&mut &*connection).await?)
}

/// Returns what is stored about a person beside the membership.
pub async fn provisioned(connection: &Connection, account: AccountId, user: UserId) -> Result<Option<Provisioned>> {
    let query = scim_users::table.find((account.0, user.0));
    let columns = (scim_users::external_id, scim_users::role, scim_users::custom_role_id);
    let row: Option<(Option<String>, Option<i16>, Option<Uuid>)> =
        query.select(columns).first(&mut &*connection).await.optional()?;
    let read = |(external_id, role, custom)| Provisioned { external_id, role: MemberRole::of_columns(role, custom) };
    Ok(row.map(read))
}

/// Stores what is known about a person, and adds `step` to the version.
pub async fn upsert(
    connection: &Connection,
    account: AccountId,
    user: UserId,
    provisioned: &Provisioned,
    step: i64,
    now: DateTime<Utc>,
) -> Result<()> {
    const SQL: &str = "INSERT INTO scim_users (account_id, user_id, external_id, role, custom_role_id, version, \
                                               created_at, updated_at) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (account_id, user_id) DO UPDATE SET \
                       external_id = excluded.external_id, role = excluded.role, \
                       custom_role_id = excluded.custom_role_id, version = scim_users.version + excluded.version, \
                       updated_at = excluded.updated_at";
    let (role, custom) = provisioned.role.map_or((None, None), MemberRole::columns);
    let statement = diesel::sql_query(SQL).bind::<SqlUuid, _>(account.0).bind::<SqlUuid, _>(user.0);
    let statement = statement.bind::<Nullable<Text>, _>(provisioned.external_id.as_deref());
    let statement = statement.bind::<Nullable<SmallInt>, _>(role).bind::<Nullable<SqlUuid>, _>(custom);
    let statement = statement.bind::<BigInt, _>(step).bind::<Timestamptz, _>(now);
    statement.execute(&mut &*connection).await?;
    Ok(())
}

/// Forgets a person, also in the groups.
pub async fn delete(connection: &Connection, account: AccountId, user: UserId) -> Result<()> {
    diesel::delete(scim_users::table.find((account.0, user.0))).execute(&mut &*connection).await?;
    Ok(())
}
