//! Invitations in SQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    identity::{
        invitation::{id::InvitationId, model::Invitation},
        member::model::MemberRole,
        role::id::RoleId,
        user::model::EmailAddress,
    },
    schema::invitations,
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

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = invitations)]
struct Row {
    id: InvitationId,
    account_id: AccountId,
    email: String,
    role: Option<i16>,
    custom_role_id: Option<Uuid>,
    invited_by: UserId,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl TryFrom<Row> for Invitation {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let role = MemberRole::of_columns(row.role, row.custom_role_id);
        Ok(Self {
            id: row.id,
            account: row.account_id,
            email: EmailAddress::find(&row.email).map_err(|_| corrupt("invitations", row.id, "email"))?,
            role: role.ok_or_else(|| corrupt("invitations", row.id, "role"))?,
            invited_by: row.invited_by,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            expires_at: row.expires_at,
        })
    }
}

visible!(invitations, invited_by);

fn matching<'q>(visibility: Visibility, account: Option<AccountId>) -> Boxed<'q> {
    let query = visible(visibility);
    match account {
        Some(account) => query.filter(invitations::account_id.eq(account)),
        None => query,
    }
}

/// Stores a new invitation, without a token, in place of one of the address that has expired.
///
/// # Errors
/// `ALREADY_EXISTS` if the address has an open invitation to the account.
pub async fn insert(connection: &Connection, invitation: &Invitation) -> Result<()> {
    let before = invitations::table.filter(invitations::account_id.eq(invitation.account));
    let before = before.filter(invitations::email.eq(invitation.email.as_str()));
    let expired = before.filter(invitations::expires_at.le(invitation.created_at));
    diesel::delete(expired).execute(&mut &*connection).await?;
    let (role, custom_role) = invitation.role.columns();
    let row = (
        invitations::id.eq(invitation.id),
        invitations::account_id.eq(invitation.account),
        invitations::email.eq(invitation.email.as_str()),
        invitations::role.eq(role),
        invitations::custom_role_id.eq(custom_role),
        invitations::invited_by.eq(invitation.invited_by),
        invitations::version.eq(invitation.version),
        invitations::created_at.eq(invitation.created_at),
        invitations::updated_at.eq(invitation.updated_at),
        invitations::expires_at.eq(invitation.expires_at),
    );
    let inserted = diesel::insert_into(invitations::table).values(row).execute(&mut &*connection).await;
    inserted.map(drop).map_err(already_exists("invitations_account_id_email_key", "The address is invited already."))
}

/// Returns one invitation that is visible to the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, visibility: Visibility, id: InvitationId) -> Result<Invitation> {
    let query = visible(visibility).filter(invitations::id.eq(id)).select(Row::as_select());
    convert::found::<Row, _>(query.first(&mut &*connection).await, "invitation")
}

/// Returns one invitation, locked against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: InvitationId) -> Result<Invitation> {
    let query = invitations::table.find(id).select(Row::as_select()).for_no_key_update();
    convert::found::<Row, _>(query.first(&mut &*connection).await, "invitation")
}

/// Returns the invitation that a token was sent for; `None` if the token is invalid.
pub async fn by_token(connection: &Connection, token_hash: [u8; 32], now: DateTime<Utc>) -> Result<Option<Invitation>> {
    let query = invitations::table.filter(invitations::token_hash.eq(token_hash.to_vec()));
    let query = query.filter(invitations::expires_at.gt(now)).select(Row::as_select());
    convert::optional::<Row, _>(query.first(&mut &*connection).await)
}

/// Stores the hash of an invitation's token.
pub async fn set_token(connection: &Connection, id: InvitationId, token_hash: [u8; 32]) -> Result<()> {
    let hash = invitations::token_hash.eq(token_hash.to_vec());
    diesel::update(invitations::table.find(id)).set(hash).execute(&mut &*connection).await?;
    Ok(())
}

/// Stores the next version of a locked invitation.
pub async fn update(connection: &Connection, invitation: &Invitation) -> Result<()> {
    let target = invitations::table.filter(invitations::id.eq(invitation.id));
    let target = target.filter(invitations::version.eq(invitation.version - 1));
    let values = (
        invitations::version.eq(invitation.version),
        invitations::updated_at.eq(invitation.updated_at),
        invitations::expires_at.eq(invitation.expires_at),
    );
    diesel::update(target).set(values).exactly(1, "update invitations").execute(&mut &*connection).await?;
    Ok(())
}

/// Removes an invitation.
pub async fn delete(connection: &Connection, id: InvitationId) -> Result<()> {
    let delete = diesel::delete(invitations::table.find(id));
    delete.exactly(1, "delete invitations").execute(&mut &*connection).await?;
    Ok(())
}

/// Returns the invitations to an account that a user sent.
pub async fn sent_by(connection: &Connection, account: AccountId, user: UserId) -> Result<Vec<Invitation>> {
    let sent = invitations::table.filter(invitations::account_id.eq(account));
    let sent = sent.filter(invitations::invited_by.eq(user)).select(Row::as_select());
    convert::all::<Row, _>(sent.load(&mut &*connection).await)
}

/// Removes the invitations to an account that a user sent.
pub async fn delete_sent(connection: &Connection, account: AccountId, user: UserId) -> Result<()> {
    let sent = invitations::table.filter(invitations::account_id.eq(account));
    diesel::delete(sent.filter(invitations::invited_by.eq(user))).execute(&mut &*connection).await?;
    Ok(())
}

/// Removes these invitations.
pub async fn delete_all(connection: &Connection, ids: &[InvitationId]) -> Result<()> {
    diesel::delete(invitations::table.filter(invitations::id.eq_any(ids))).execute(&mut &*connection).await?;
    Ok(())
}

/// Removes the expired invitations to a custom role.
pub async fn delete_expired_with(connection: &Connection, role: RoleId, now: DateTime<Utc>) -> Result<()> {
    let expired = invitations::table.filter(invitations::custom_role_id.eq(role.0));
    diesel::delete(expired.filter(invitations::expires_at.le(now))).execute(&mut &*connection).await?;
    Ok(())
}

/// Counts the open invitations of an account.
pub async fn count_open(connection: &Connection, account: AccountId, now: DateTime<Utc>) -> Result<i64> {
    let open = invitations::table.filter(invitations::account_id.eq(account)).filter(invitations::expires_at.gt(now));
    Ok(open.count().get_result(&mut &*connection).await?)
}

/// Returns a page of invitations, newest first.
pub async fn list(
    connection: &Connection,
    visibility: Visibility,
    account: Option<AccountId>,
    page: Page,
) -> Result<Listed<Invitation>> {
    listed!(connection, matching(visibility, account), invitations::created_at, page, Row => Invitation)
}

/// Removes at most `limit` invitations that expired before `before`; returns how many.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    let expired = invitations::table.filter(invitations::expires_at.lt(before));
    let ids: Vec<InvitationId> = expired.select(invitations::id).limit(limit).load(connection).await?;
    // An invitation that was resent meanwhile has more time.
    let still = invitations::table.filter(invitations::id.eq_any(ids)).filter(invitations::expires_at.lt(before));
    Ok(diesel::delete(still).execute(connection).await?)
}
