//! What a session and its access tokens depend on: the epoch of the user, revocations, and the membership.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    identity::{
        account_provider::{enforced::Enforced, id::AccountProviderId},
        member::{
            id::MemberId,
            model::{Member, SignInPolicy},
            store as member,
        },
        revocation::{
            model::{Epoch, SubjectVersion, TokenClaims},
            store as revocation,
        },
        role::{limits::SessionLimits, store as roles},
        user::{model::User, store::Row},
    },
    schema::{account_providers, accounts, members, revocations, users},
};
use mainstay_kernel::{
    database::{Connection, statement::Prepare as _},
    error::{Error, Result},
    id::{AccountId, SessionId, UserId},
};

/// Returns a user's epoch; `None` when there is no such user.
pub async fn epoch(connection: &mut Connection, id: UserId) -> Result<Option<Epoch>> {
    let query = users::table.find(id).select((users::session_epoch, users::kept_session_id));
    let row: Option<(i32, Option<SessionId>)> = query.first(connection).await.optional()?;
    Ok(row.map(|(number, kept)| Epoch { number, kept }))
}

/// What Postgres says about an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The user's epoch.
    pub epoch: Epoch,
    /// Whether the session has been revoked.
    pub is_revoked: bool,
    /// Whether the custom role of the token has a later version.
    pub is_outdated: bool,
    /// The version of the membership that the token names; `None` if it ended, or the token names none.
    pub member_version: Option<i64>,
}

type StandingColumns = (i32, Option<SessionId>, bool, bool, Option<i64>);

/// Returns the standing of an access token; `None` when there is no such user.
pub async fn standing(connection: &mut Connection, token: TokenClaims) -> Result<Option<Standing>> {
    let revoked = diesel::dsl::exists(revocations::table.find(token.session.0));
    // No role and no member has the nil UUID.
    let none = SubjectVersion { subject: Uuid::nil(), number: 0 };
    let (role, member) = (token.role.unwrap_or(none), token.member.unwrap_or(none));
    let outdated = revocations::table.find(role.subject).filter(revocations::epoch.gt(role.number));
    let version = members::table.filter(members::id.eq(MemberId(member.subject)));
    let version = version.filter(members::user_id.eq(token.user)).select(members::version).single_value();
    let columns = (users::session_epoch, users::kept_session_id, revoked, diesel::dsl::exists(outdated), version);
    let row: Option<StandingColumns> =
        users::table.find(token.user).select(columns).first(connection).await.optional()?;
    Ok(row.map(|(number, kept, is_revoked, is_outdated, member_version)| Standing {
        epoch: Epoch { number, kept },
        is_revoked,
        is_outdated,
        member_version,
    }))
}

/// The membership that a session is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// This one.
    Member(MemberId),
    /// That in an account.
    Account(AccountId),
    /// The oldest one.
    Oldest,
}

/// Returns the user of a session, with the wanted membership if there is one, and what its account and the roles of the user
/// require; `None` when there is no such user, or the session has been revoked.
pub async fn owner(
    connection: &mut Connection,
    id: UserId,
    session: SessionId,
    wanted: Wanted,
) -> Result<Option<(User, Option<Member>, SignInPolicy)>> {
    // The condition is part of the statement's type.
    macro_rules! first {
        ($($condition:expr)?) => {{
            let is_wanted = members::user_id.eq(users::id)$(.and($condition))?;
            let query = users::table.left_join(members::table.on(is_wanted)).filter(users::id.eq(id));
            let revoked = diesel::dsl::exists(revocations::table.find(session.0));
            let query = query.filter(diesel::dsl::not(revoked)).order((members::created_at, members::id));
            let requires = accounts::table.filter(accounts::id.nullable().eq(members::account_id.nullable()));
            let requires = requires.select(accounts::requires_second_factor).single_value();
            let enforced = || {
                let is_own = account_providers::account_id.nullable().eq(members::account_id.nullable());
                account_providers::table.filter(is_own).filter(account_providers::enforced_at.is_not_null())
            };
            let provider = enforced().select(account_providers::id).single_value();
            let since = enforced().select(account_providers::enforced_at).single_value();
            let member = Option::<member::Row>::as_select();
            let columns = (Row::as_select(), member, requires, provider, since, roles::session_limits());
            query.select(columns).limit(1).prepared().get_result(connection).await.optional()?
        }};
    }
    type Limits = (Option<i32>, Option<i32>);
    type Columns = (Row, Option<member::Row>, Option<bool>, Option<AccountProviderId>, Option<DateTime<Utc>>, Limits);
    let row: Option<Columns> = match wanted {
        Wanted::Member(member) => first!(members::id.eq(member)),
        Wanted::Account(account) => first!(members::account_id.eq(account)),
        Wanted::Oldest => first!(),
    };
    row.map(|(user, member, requires, provider, since, (idle_seconds, max_age_seconds))| {
        let enforced = provider.zip(since).map(|(provider, since)| Enforced { provider, since });
        let limits = SessionLimits { idle_seconds, max_age_seconds };
        let policy = SignInPolicy { requires_second_factor: requires.unwrap_or(false), enforced, limits };
        Ok((user.try_into()?, member.map(Member::try_from).transpose()?, policy))
    })
    .transpose()
}

/// Begins a new epoch, which ends every session of the user.
///
/// # Errors
/// `NOT_FOUND` when the user does not exist.
pub async fn begin_epoch(connection: &mut Connection, id: UserId) -> Result<()> {
    let next = (users::session_epoch.eq(users::session_epoch + 1), users::kept_session_id.eq(None::<SessionId>));
    let query = diesel::update(users::table.find(id)).set(next).returning(users::session_epoch);
    let number: Option<i32> = query.prepared().get_result(connection).await.optional()?;
    let number = number.ok_or_else(|| Error::not_found("user"))?;
    revocation::begin_epoch(connection, id, Epoch { number, kept: None }).await
}
