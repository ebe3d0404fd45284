//! The mails about a deletion.

use chrono::{DateTime, Utc};
use mainstay_kernel::{caller::Visibility, database::Connection, error::Result, secret::SecretKey};
use secrecy::{ExposeSecret as _, SecretString};

use crate::identity::{
    account::store as accounts,
    credential::model as token,
    deletion::{
        id::DeletionNoticeId,
        model::{Notice, State, Subject},
        store,
    },
};

/// The content of the mail about a scheduled deletion.
#[derive(Debug)]
pub(crate) struct ScheduleNotice {
    pub(crate) notice: Notice,
    /// The name of the account; `None` for the deletion of the user.
    pub(crate) account: Option<String>,
    pub(crate) erase_at: DateTime<Utc>,
    /// The token that cancels the deletion.
    pub(crate) token: SecretString,
}

/// Creates the token that cancels a deletion, and stores its hash; `None` if the deletion is not scheduled any more.
pub(crate) async fn schedule_notice(
    connection: &mut Connection,
    secret: &SecretKey,
    id: DeletionNoticeId,
) -> Result<Option<ScheduleNotice>> {
    let Some(notice) = store::notice(connection, id).await? else { return Ok(None) };
    let deletion = store::get(connection, Visibility::All, notice.deletion).await?;
    if deletion.state != State::Scheduled {
        return Ok(None);
    }
    let account = match deletion.subject {
        Subject::Account(account) => Some(accounts::get(connection, Visibility::All, account).await?.name),
        Subject::User(_) => None,
    };
    let token = token::write_deletion(secret, id.0);
    store::set_token(connection, id, token::hash(token.expose_secret())).await?;
    Ok(Some(ScheduleNotice { notice, account, erase_at: deletion.erase_at, token }))
}

/// The content of the mail about a completed deletion.
#[derive(Debug)]
pub(crate) struct CompletionNotice {
    pub(crate) notice: Notice,
    /// Whether an account was deleted, and not the user.
    pub(crate) is_of_account: bool,
}

/// Returns the content of the mail about a completed deletion; `None` if its address was removed.
pub(crate) async fn completion_notice(
    connection: &mut Connection,
    id: DeletionNoticeId,
) -> Result<Option<CompletionNotice>> {
    let Some(notice) = store::notice(connection, id).await? else { return Ok(None) };
    let deletion = store::get(connection, Visibility::All, notice.deletion).await?;
    Ok(Some(CompletionNotice { notice, is_of_account: matches!(deletion.subject, Subject::Account(_)) }))
}
