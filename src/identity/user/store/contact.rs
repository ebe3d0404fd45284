//! The mail addresses to which messages about an account go.

use diesel::{dsl::exists, prelude::*};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    identity::{
        member::model::AccountRole,
        oauth_client::id::OauthClientId,
        user::{
            model::{Contact, Language, Role},
            store::members_of,
        },
    },
    schema::{members, oauth_clients, service_keys, users},
};
use mainstay_kernel::{
    database::{Connection, integrity::corrupt},
    error::Result,
    id::{AccountId, ServiceKeyId, UserId},
};

/// Returns the mail address and language of a principal, if it is an active member of the account.
pub async fn contact(connection: &mut Connection, principal: Uuid, account: AccountId) -> Result<Option<Contact>> {
    let member = of_member(connection, principal, account).await?;
    Ok(member.filter(|(_, is_active)| *is_active).map(|(contact, _)| contact))
}

/// Returns the mail address and language of a member of the account, and whether the user is active.
async fn of_member(
    connection: &mut Connection,
    principal: Uuid,
    account: AccountId,
) -> Result<Option<(Contact, bool)>> {
    let query = users::table.find(UserId(principal)).filter(users::id.eq_any(members_of(account)));
    let columns = (users::email, users::language, users::deactivated_at.is_null());
    let row: Option<(String, String, bool)> = query.select(columns).first(connection).await.optional()?;
    row.map(|(email, language, is_active)| {
        let language = Language::parse(&language).map_err(|_| corrupt("users", principal, "language"))?;
        Ok((Contact { user: UserId(principal), email, language }, is_active))
    })
    .transpose()
}

/// Returns the mail address and language of a principal or, if it is a customer who has left the account or was deactivated, or a
/// key or a client of the account, of the longest-standing active owner, or else of the deactivated member: mail about money must reach the
/// account. Staff and services of the platform have none.
pub async fn contact_or_owner(
    connection: &mut Connection,
    principal: Uuid,
    account: AccountId,
) -> Result<Option<Contact>> {
    let deactivated = match of_member(connection, principal, account).await? {
        Some((contact, true)) => return Ok(Some(contact)),
        member => member.map(|(contact, _)| contact),
    };
    let customer =
        users::table.find(UserId(principal)).filter(users::role.eq(Role::Customer.number())).select(users::id);
    let key = service_keys::table.find(ServiceKeyId(principal)).filter(service_keys::account_id.eq(account));
    let client = oauth_clients::table.find(OauthClientId(principal)).filter(oauth_clients::account_id.eq(account));
    let service = exists(key.select(service_keys::id)).or(exists(client.select(oauth_clients::id)));
    let is_of_account = diesel::select(exists(customer).or(service));
    if !is_of_account.get_result::<bool>(connection).await? {
        return Ok(deactivated);
    }
    let owners = members::table.inner_join(users::table.on(users::id.eq(members::user_id)));
    let owners = owners.filter(members::account_id.eq(account)).filter(members::role.eq(AccountRole::Owner.number()));
    let owners = owners.filter(users::deactivated_at.is_null()).order((members::created_at, members::id));
    let owner: Option<UserId> = owners.select(users::id).first(connection).await.optional()?;
    match owner {
        Some(owner) => contact(connection, owner.0, account).await,
        None => Ok(deactivated),
    }
}
