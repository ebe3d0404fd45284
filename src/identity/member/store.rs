//! Members in SQL.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, SmallInt, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    files::avatar::model::Avatar,
    identity::{
        account_provider::{enforced::Enforced, id::AccountProviderId},
        member::{
            id::MemberId,
            model::{
                AccountRole, Filter, MAX_LISTED, Member, MemberDetails, MemberRole, Membership, Person, SignInPolicy,
            },
        },
        role::{limits::SessionLimits, store as roles},
    },
    schema::{account_providers, accounts, members, users},
};
use mainstay_kernel::{
    caller::Visibility,
    database::{
        Connection, already_exists, convert, integrity::corrupt, seek::listed, statement::Prepare as _,
        visibility::visible,
    },
    error::{Error, Result},
    id::{AccountId, UserId},
    page::{Listed, Page},
};

/// A member's row.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = members)]
pub(crate) struct Row {
    id: MemberId,
    account_id: AccountId,
    user_id: UserId,
    role: Option<i16>,
    custom_role_id: Option<Uuid>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Row> for Member {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let role = MemberRole::of_columns(row.role, row.custom_role_id);
        Ok(Self {
            id: row.id,
            account: row.account_id,
            user: row.user_id,
            role: role.ok_or_else(|| corrupt("members", row.id, "role"))?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

visible!(members, user_id);

fn matching<'q>(visibility: Visibility, filter: &Filter) -> Boxed<'q> {
    let mut query = visible(visibility);
    if let Some(account) = filter.account {
        query = query.filter(members::account_id.eq(account));
    }
    if let Some(user) = filter.user {
        query = query.filter(members::user_id.eq(user));
    }
    match (filter.roles.is_empty(), filter.is_custom) {
        (true, false) => query,
        (_, false) => query.filter(members::role.eq_any(filter.roles.clone())),
        (_, true) => {
            let is_built_in = members::role.eq_any(filter.roles.clone());
            query.filter(members::custom_role_id.is_not_null().or(is_built_in.assume_not_null()))
        }
    }
}

/// Stores a new member.
///
/// # Errors
/// `ALREADY_EXISTS` if the user is a member of the account.
pub async fn insert(connection: &Connection, member: &Member) -> Result<()> {
    let (role, custom_role) = member.role.columns();
    let row = (
        members::id.eq(member.id),
        members::account_id.eq(member.account),
        members::user_id.eq(member.user),
        members::role.eq(role),
        members::custom_role_id.eq(custom_role),
        members::version.eq(member.version),
        members::created_at.eq(member.created_at),
        members::updated_at.eq(member.updated_at),
    );
    let inserted = diesel::insert_into(members::table).values(row).execute(&mut &*connection).await;
    inserted.map(drop).map_err(already_exists("members_account_id_user_id_key", "The user is a member of the account."))
}

/// Returns one member that is visible to the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, visibility: Visibility, id: MemberId) -> Result<Member> {
    let query = visible(visibility).filter(members::id.eq(id)).select(Row::as_select());
    convert::found::<Row, _>(query.first(&mut &*connection).await, "member")
}

/// Returns one member, locked against changes until the transaction ends. The caller has locked the account.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: MemberId) -> Result<Member> {
    let query = members::table.find(id).select(Row::as_select()).for_no_key_update();
    convert::found::<Row, _>(query.first(&mut &*connection).await, "member")
}

/// Returns the membership of a user in an account.
pub async fn find(connection: &Connection, account: AccountId, user: UserId) -> Result<Option<Member>> {
    let query = members::table.filter(members::account_id.eq(account)).filter(members::user_id.eq(user));
    convert::optional::<Row, _>(query.select(Row::as_select()).first(&mut &*connection).await)
}

/// Returns the membership of a user in an account, unless the user is deactivated.
pub async fn find_active(connection: &Connection, account: AccountId, user: UserId) -> Result<Option<Member>> {
    let query = members::table.inner_join(users::table.on(users::id.eq(members::user_id)));
    let query = query.filter(members::account_id.eq(account)).filter(members::user_id.eq(user));
    let query = query.filter(users::deactivated_at.is_null()).select(Row::as_select());
    convert::optional::<Row, _>(query.first(&mut &*connection).await)
}

/// Returns the memberships of a user, oldest first, at most [`MAX_LISTED`].
pub async fn of_user(connection: &Connection, user: UserId) -> Result<Vec<Membership>> {
    let query = members::table.inner_join(accounts::table.on(accounts::id.eq(members::account_id)));
    let query = query.filter(members::user_id.eq(user)).order((members::created_at, members::id)).limit(MAX_LISTED);
    let enforced =
        account_providers::account_id.eq(members::account_id).and(account_providers::enforced_at.is_not_null());
    let query = query.left_join(account_providers::table.on(enforced));
    let provider = (account_providers::id.nullable(), account_providers::enforced_at.nullable());
    let query = query.inner_join(users::table.on(users::id.eq(members::user_id)));
    let columns =
        (Row::as_select(), accounts::name, accounts::requires_second_factor, provider, roles::session_limits());
    type Columns = (Row, String, bool, (Option<AccountProviderId>, Option<DateTime<Utc>>), (Option<i32>, Option<i32>));
    let rows: Vec<Columns> = query.select(columns).prepared().load(&mut &*connection).await?;
    let membership = |(row, account_name, requires_second_factor, (provider, since), limits): Columns| {
        let enforced = provider.zip(since).map(|(provider, since)| Enforced { provider, since });
        let limits = SessionLimits { idle_seconds: limits.0, max_age_seconds: limits.1 };
        let policy = SignInPolicy { requires_second_factor, enforced, limits };
        Ok(Membership { member: row.try_into()?, account_name, policy })
    };
    rows.into_iter().map(membership).collect()
}

/// Returns those of these users who are members of an account.
pub async fn of_account(connection: &Connection, account: AccountId, users: &[UserId]) -> Result<Vec<UserId>> {
    let query = members::table.filter(members::account_id.eq(account)).filter(members::user_id.eq_any(users));
    Ok(query.select(members::user_id).load(&mut &*connection).await?)
}

/// Returns the account of a user's oldest membership.
pub async fn first_account(connection: &Connection, user: UserId) -> Result<Option<AccountId>> {
    let query = members::table.filter(members::user_id.eq(user)).order((members::created_at, members::id));
    Ok(query.select(members::account_id).first(&mut &*connection).await.optional()?)
}

/// Returns the accounts whose first member is one of these users.
pub async fn founded_by(connection: &Connection, users: &[UserId]) -> Result<Vec<AccountId>> {
    let query = members::table.filter(members::user_id.eq_any(users)).select(members::account_id).distinct();
    let joined: Vec<AccountId> = query.load(&mut &*connection).await?;
    let firsts = members::table.filter(members::account_id.eq_any(joined)).distinct_on(members::account_id);
    let firsts = firsts.order((members::account_id, members::created_at, members::id));
    let rows: Vec<(AccountId, UserId)> =
        firsts.select((members::account_id, members::user_id)).load(&mut &*connection).await?;
    Ok(rows.into_iter().filter(|(_, user)| users.contains(user)).map(|(account, _)| account).collect())
}

/// Returns whether an address is that of a member.
pub async fn has_address(connection: &Connection, account: AccountId, email: &str) -> Result<bool> {
    let query = members::table.inner_join(users::table.on(users::id.eq(members::user_id)));
    let query = query.filter(members::account_id.eq(account)).filter(users::email.eq(email)).select(members::id);
    Ok(query.first::<MemberId>(&mut &*connection).await.optional()?.is_some())
}

/// Counts the accounts that a user owns, or is the first member of.
pub async fn count_own(connection: &Connection, user: UserId) -> Result<i64> {
    const SQL: &str = "SELECT count(*) FROM members AS own WHERE user_id = $1 AND (role = $2 OR NOT EXISTS (\
                           SELECT FROM members AS earlier WHERE earlier.account_id = own.account_id \
                           AND (earlier.created_at, earlier.id) < (own.created_at, own.id)))";
    let query = diesel::sql_query(SQL).bind::<SqlUuid, _>(user.0).bind::<SmallInt, _>(AccountRole::Owner.number());
    Ok(query.columns::<BigInt>().get_result(&mut &*connection).await?)
}

/// Returns whether an account has an active owner besides this member who is not scheduled for deletion. The caller has locked the account.
pub async fn has_other_owner(connection: &Connection, member: &Member) -> Result<bool> {
    has_staying_owner_besides(connection, member.account, Some(member.id)).await
}

/// Returns the memberships of a user as an owner, in the order of their accounts.
pub async fn owned(connection: &Connection, user: UserId) -> Result<Vec<Member>> {
    let (owner, _) = MemberRole::OWNER.columns();
    let owned = members::table.filter(members::user_id.eq(user)).filter(members::role.eq(owner));
    convert::all::<Row, _>(owned.order(members::account_id).select(Row::as_select()).load(&mut &*connection).await)
}

/// Returns the active members of an account, at most [`MAX_LISTED`].
pub async fn active(connection: &Connection, account: AccountId) -> Result<Vec<UserId>> {
    let query = members::table.inner_join(users::table.on(users::id.eq(members::user_id)));
    let query = query.filter(members::account_id.eq(account)).filter(users::deactivated_at.is_null());
    Ok(query.order(members::created_at).limit(MAX_LISTED).select(users::id).load(&mut &*connection).await?)
}

/// Returns the active owners of an account, at most [`MAX_LISTED`].
pub async fn owners(connection: &Connection, account: AccountId) -> Result<Vec<UserId>> {
    let (owner, _) = MemberRole::OWNER.columns();
    let query = members::table.inner_join(users::table.on(users::id.eq(members::user_id)));
    let query = query.filter(members::account_id.eq(account)).filter(members::role.eq(owner));
    let query = query.filter(users::deactivated_at.is_null()).order(members::created_at).limit(MAX_LISTED);
    Ok(query.select(users::id).load(&mut &*connection).await?)
}

/// Returns whether an account has an active owner who is not scheduled for deletion. The caller has locked the account.
pub async fn has_staying_owner(connection: &Connection, account: AccountId) -> Result<bool> {
    has_staying_owner_besides(connection, account, None).await
}

async fn has_staying_owner_besides(
    connection: &Connection,
    account: AccountId,
    other: Option<MemberId>,
) -> Result<bool> {
    let (owner, _) = MemberRole::OWNER.columns();
    let query = members::table.inner_join(users::table.on(users::id.eq(members::user_id)));
    let query = query.filter(members::account_id.eq(account)).filter(members::role.eq(owner));
    // No member has the nil UUID.
    let query = query.filter(members::id.ne(other.unwrap_or(MemberId(Uuid::nil()))));
    let query = query.filter(users::deactivated_at.is_null()).filter(users::deletion_at.is_null()).select(members::id);
    Ok(query.first::<MemberId>(&mut &*connection).await.optional()?.is_some())
}

/// Returns whether an account has other members than this one.
pub async fn has_others(connection: &Connection, member: &Member) -> Result<bool> {
    let others = members::table.filter(members::account_id.eq(member.account)).filter(members::id.ne(member.id));
    Ok(others.select(members::id).first::<MemberId>(&mut &*connection).await.optional()?.is_some())
}

/// Removes at most `limit` memberships of an account or of a user, and revokes their access tokens; returns how many.
pub async fn erase(connection: &mut Connection, owner: Uuid, limit: i64) -> Result<usize> {
    const SQL: &str = "WITH ended AS (DELETE FROM members WHERE id = ANY (ARRAY( \
                         SELECT id FROM members WHERE account_id = $1 OR user_id = $1 LIMIT $2)) RETURNING id) \
                       INSERT INTO revocations (subject, revoked_at) SELECT id, clock_timestamp() FROM ended \
                       ON CONFLICT (subject) DO UPDATE SET epoch = NULL, kept_session_id = NULL, \
                       revoked_at = excluded.revoked_at";
    let erased = diesel::sql_query(SQL).bind::<SqlUuid, _>(owner).bind::<BigInt, _>(limit);
    Ok(erased.execute(connection).await?)
}

/// Adds the people of members.
pub async fn with_people(connection: &Connection, members: Vec<Member>) -> Result<Vec<MemberDetails>> {
    let ids: Vec<_> = members.iter().map(|member| member.user).collect();
    let columns = (users::id, users::name, users::email, users::avatar_id);
    let query = users::table.filter(users::id.eq_any(&ids)).select(columns);
    let people: Vec<(UserId, String, String, Option<Uuid>)> = query.load(&mut &*connection).await?;
    let details = |member: Member| {
        let person = people.iter().find(|(id, ..)| *id == member.user);
        let (_, name, email, avatar) = person.cloned().ok_or_else(|| corrupt("members", member.id, "user_id"))?;
        Ok(MemberDetails { member, person: Person { name, email, avatar: avatar.map(Avatar) } })
    };
    members.into_iter().map(details).collect()
}

/// Stores the next version of a locked member.
pub async fn update(connection: &Connection, member: &Member) -> Result<()> {
    let (role, custom_role) = member.role.columns();
    let target = members::table.filter(members::id.eq(member.id)).filter(members::version.eq(member.version - 1));
    let values = (
        members::role.eq(role),
        members::custom_role_id.eq(custom_role),
        members::version.eq(member.version),
        members::updated_at.eq(member.updated_at),
    );
    diesel::update(target).set(values).exactly(1, "update members").execute(&mut &*connection).await?;
    Ok(())
}

/// Removes a locked member, and the role that SCIM has kept of an earlier membership of the person.
pub async fn delete(connection: &Connection, id: MemberId) -> Result<()> {
    const SQL: &str = "WITH kept AS (UPDATE scim_users SET role = NULL, custom_role_id = NULL FROM members \
                         WHERE members.id = $1 AND scim_users.account_id = members.account_id \
                         AND scim_users.user_id = members.user_id) \
                       DELETE FROM members WHERE id = $1";
    let removed = diesel::sql_query(SQL).bind::<SqlUuid, _>(id.0).execute(&mut &*connection).await?;
    if removed != 1 {
        return Err(Error::internal(anyhow::anyhow!("delete members: touched {removed} rows, not 1")));
    }
    Ok(())
}

/// Returns a page of members, newest first.
pub async fn list(
    connection: &Connection,
    visibility: Visibility,
    filter: &Filter,
    page: Page,
) -> Result<Listed<MemberDetails>> {
    let listed = listed!(connection, matching(visibility, filter), members::created_at, page, Row => Member);
    let (members, total) = listed?;
    Ok((with_people(connection, members).await?, total))
}
