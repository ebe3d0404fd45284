//! Groups in SQL.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    identity::scim::{
        id::ScimGroupId,
        model::{Group, GroupFilter, GroupMember, Slice},
    },
    schema::{scim_group_members, scim_groups},
};
use mainstay_kernel::{
    database::{Connection, statement::Prepare as _, violated_unique},
    error::{Error, Reason, Result},
    id::{AccountId, UserId},
};

type Row = (ScimGroupId, AccountId, String, Option<String>, i64, DateTime<Utc>, DateTime<Utc>);

const COLUMNS: &str = "SELECT g.id, g.account_id, g.name, g.external_id, g.version, g.created_at, g.updated_at";

const MATCHING: &str = " FROM scim_groups g WHERE g.account_id = $1 AND ($2::uuid IS NULL OR g.id = $2) \
    AND ($3::text IS NULL OR g.name ILIKE $3) AND ($4::text IS NULL OR g.external_id LIKE $4) \
    AND ($5::uuid IS NULL OR EXISTS (SELECT FROM scim_group_members m WHERE m.group_id = g.id AND m.user_id = $5))";

macro_rules! matching {
    ($sql:expr, $account:expr, $filter:expr) => {
        diesel::sql_query($sql)
            .bind::<SqlUuid, _>($account.0)
            .bind::<Nullable<SqlUuid>, _>($filter.id)
            .bind::<Nullable<Text>, _>($filter.name.as_deref())
            .bind::<Nullable<Text>, _>($filter.external_id.as_deref())
            .bind::<Nullable<SqlUuid>, _>($filter.member)
    };
}

/// Returns a part of the groups of an account that a filter selects, in the order of their ids.
pub async fn list_groups(
    connection: &Connection,
    account: AccountId,
    filter: &GroupFilter,
    slice: Slice,
) -> Result<Vec<Group>> {
    let query = matching!(format!("{COLUMNS}{MATCHING} ORDER BY g.id OFFSET $6 LIMIT $7"), account, filter);
    let query = query.bind::<BigInt, _>(slice.offset).bind::<BigInt, _>(slice.limit);
    let query = query.columns::<(SqlUuid, SqlUuid, Text, Nullable<Text>, BigInt, Timestamptz, Timestamptz)>();
    let rows: Vec<Row> = query.load(&mut &*connection).await?;
    let group = |(id, account, name, external_id, version, created_at, updated_at)| Group {
        id,
        account,
        name,
        external_id,
        version,
        created_at,
        updated_at,
    };
    Ok(rows.into_iter().map(group).collect())
}

/// Counts the groups of an account that a filter selects.
pub async fn total_groups(connection: &Connection, account: AccountId, filter: &GroupFilter) -> Result<i64> {
    let query = matching!(format!("SELECT count(*) AS count{MATCHING}"), account, filter);
    Ok(query.columns::<BigInt>().get_result(&mut &*connection).await?)
}

/// Counts all groups of an account.
pub async fn count_groups(connection: &Connection, account: AccountId) -> Result<i64> {
    total_groups(connection, account, &GroupFilter::default()).await
}

/// Returns a group of an account.
pub async fn find_group(connection: &Connection, account: AccountId, id: ScimGroupId) -> Result<Option<Group>> {
    let filter = GroupFilter { id: Some(id.0), ..GroupFilter::default() };
    Ok(list_groups(connection, account, &filter, Slice { offset: 0, limit: 1 }).await?.pop())
}

/// Reports a name that another group has.
fn check_name(written: QueryResult<usize>) -> Result<usize> {
    match written {
        Err(error) if violated_unique(&error) == Some("scim_groups_name_key") => {
            let error = Error::with_message(Reason::AlreadyExists, "A group has this displayName.").caused_by(error);
            Err(error.with("scimType", "uniqueness"))
        }
        written => Ok(written?),
    }
}

/// Stores a new group.
///
/// # Errors
/// `ALREADY_EXISTS` for the name of another group.
pub async fn insert_group(connection: &Connection, group: &Group) -> Result<()> {
    let row = (
        scim_groups::id.eq(group.id.0),
        scim_groups::account_id.eq(group.account.0),
        scim_groups::name.eq(&group.name),
        scim_groups::external_id.eq(group.external_id.as_deref()),
        scim_groups::version.eq(group.version),
        scim_groups::created_at.eq(group.created_at),
        scim_groups::updated_at.eq(group.updated_at),
    );
    check_name(diesel::insert_into(scim_groups::table).values(row).execute(&mut &*connection).await).map(drop)
}

/// Stores the next version of a group, whose account the caller has locked.
///
/// # Errors
/// `ALREADY_EXISTS` for the name of another group.
pub async fn update_group(connection: &Connection, group: &Group) -> Result<()> {
    let values = (
        scim_groups::name.eq(&group.name),
        scim_groups::external_id.eq(group.external_id.as_deref()),
        scim_groups::version.eq(group.version),
        scim_groups::updated_at.eq(group.updated_at),
    );
    let update = diesel::update(scim_groups::table.find(group.id.0)).set(values);
    check_name(update.execute(&mut &*connection).await).map(drop)
}

/// Removes a group with its members.
pub async fn delete_group(connection: &Connection, id: ScimGroupId) -> Result<()> {
    diesel::delete(scim_groups::table.find(id.0)).execute(&mut &*connection).await?;
    Ok(())
}

/// Returns the members of groups, at most `limit`, in the order of the groups.
pub async fn members_of(connection: &Connection, groups: &[ScimGroupId], limit: usize) -> Result<Vec<GroupMember>> {
    let query = scim_group_members::table.order((scim_group_members::group_id, scim_group_members::user_id));
    let query = query.filter(scim_group_members::group_id.eq_any(groups.iter().map(|id| id.0).collect::<Vec<Uuid>>()));
    let query = query.select((scim_group_members::group_id, scim_group_members::user_id));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows: Vec<(ScimGroupId, UserId)> = query.limit(limit).load(&mut &*connection).await?;
    Ok(rows.into_iter().map(|(group, user)| GroupMember { group, user }).collect())
}

/// Returns the names of the groups of users of an account.
pub async fn groups_of(connection: &Connection, account: AccountId, users: &[UserId]) -> Result<Vec<(UserId, String)>> {
    const SQL: &str = "SELECT m.user_id, g.name FROM scim_group_members m \
                       JOIN scim_groups g ON g.id = m.group_id WHERE m.account_id = $1 AND m.user_id = ANY ($2)";
    let query = diesel::sql_query(SQL).bind::<SqlUuid, _>(account.0);
    let query = query.bind::<Array<SqlUuid>, _>(users.iter().map(|id| id.0).collect::<Vec<Uuid>>());
    Ok(query.columns::<(SqlUuid, Text)>().load(&mut &*connection).await?)
}

/// Adds people of the account to a group. Members whom no provider has provisioned yet become provisioned.
pub async fn add_members(connection: &Connection, group: &Group, users: &[UserId], now: DateTime<Utc>) -> Result<()> {
    const PROVISION: &str = "INSERT INTO scim_users (account_id, user_id, created_at, updated_at) \
                             SELECT $1::uuid, unnest($2::uuid[]), $3::timestamptz, $3 ON CONFLICT DO NOTHING";
    const ADD: &str = "INSERT INTO scim_group_members (account_id, group_id, user_id) \
                       SELECT $1::uuid, $3::uuid, unnest($2::uuid[]) \
                       ON CONFLICT DO NOTHING";
    let ids: Vec<Uuid> = users.iter().map(|id| id.0).collect();
    let provision = diesel::sql_query(PROVISION).bind::<SqlUuid, _>(group.account.0);
    let provision = provision.bind::<Array<SqlUuid>, _>(&ids).bind::<Timestamptz, _>(now);
    provision.execute(&mut &*connection).await?;
    let add = diesel::sql_query(ADD).bind::<SqlUuid, _>(group.account.0);
    add.bind::<Array<SqlUuid>, _>(&ids).bind::<SqlUuid, _>(group.id.0).execute(&mut &*connection).await?;
    Ok(())
}

/// Removes people from a group.
pub async fn remove_members(connection: &Connection, group: &Group, users: &[UserId]) -> Result<()> {
    let target = scim_group_members::table.filter(scim_group_members::group_id.eq(group.id.0));
    let target = target.filter(scim_group_members::user_id.eq_any(users.iter().map(|id| id.0).collect::<Vec<Uuid>>()));
    diesel::delete(target).execute(&mut &*connection).await?;
    Ok(())
}
