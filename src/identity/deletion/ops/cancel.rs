//! Cancels deletions.

use chrono::{DateTime, Utc};
use mainstay_kernel::{app::App, caller::Visibility, database::Connection, error::Result, queue, unit_of_work::Work};

use crate::{
    identity::{
        account::store as accounts,
        auth::ops::of_user,
        credential::model as token,
        deletion::{
            id::DeletionId,
            job::EraseData,
            model::{Deletion, State, Subject},
            store,
        },
        member::store as members,
        user::store as users,
    },
    proto::identity::v1::Reason as IdentityReason,
};

/// Cancels a scheduled deletion, and those of the accounts that were scheduled with it. A deletion that is canceled already is
/// not changed.
///
/// # Errors
/// `NOT_FOUND`, `DELETION_BEGUN`; `LAST_OWNER` if no owner of the account stays.
pub async fn cancel(work: &mut Work, id: DeletionId) -> Result<Deletion> {
    let (visibility, now) = (work.permit()?.visibility(), work.now());
    let connection = work.connection().await?;
    let deletion = store::get(connection, visibility, id).await?;
    end(connection, deletion, now).await
}

/// Cancels a scheduled deletion like [`cancel`], with the token of a mail about it.
///
/// # Errors
/// `INVALID_TOKEN`, `DELETION_BEGUN`; `LAST_OWNER` as [`cancel`].
pub async fn cancel_by_token(app: &App, token: &str) -> Result<()> {
    let (hash, now) = (token::hash(token), app.clock.now());
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let notice = store::by_token(connection, hash).await?;
        let deletion = store::get(connection, Visibility::All, notice.deletion).await?;
        end(connection, deletion, now).await?;
        work.audit(of_user(notice.user));
        Ok(())
    });
    transaction.await
}

async fn end(connection: &mut Connection, deletion: Deletion, now: DateTime<Utc>) -> Result<Deletion> {
    let with = store::scheduled_with(connection, deletion.id).await?;
    let mut cancelled = Vec::new();
    // One that has begun does not keep the user from canceling.
    for own in with.into_iter().filter(|own| own.state == State::Scheduled) {
        cancelled.extend(end_one(connection, own, now).await?);
    }
    let (id, subject) = (deletion.id, deletion.subject);
    let Some(deletion) = end_one(connection, deletion, now).await? else {
        return store::get(connection, Visibility::All, id).await;
    };
    // The owner of the accounts that were scheduled with a user stays from here on.
    if let Subject::Account(account) = subject
        && !members::has_staying_owner(connection, account).await?
    {
        return Err(IdentityReason::LastOwner.into());
    }
    tracing::info!(deletion = %id, accounts = cancelled.len(), "a deletion was canceled");
    Ok(deletion)
}

/// Cancels one deletion under the lock on its subject; `None` if it was canceled already.
async fn end_one(connection: &mut Connection, deletion: Deletion, now: DateTime<Utc>) -> Result<Option<Deletion>> {
    match deletion.subject {
        Subject::Account(id) => {
            let account = accounts::lock(connection, id).await?;
            let deletion = store::lock(connection, deletion.id).await?;
            let Some(cancelled) = deletion.cancel(now)? else { return Ok(None) };
            accounts::update(connection, &account.with_deletion(None, now)).await?;
            finish(connection, cancelled).await.map(Some)
        }
        Subject::User(id) => {
            let user = users::lock(connection, Visibility::All, id).await?;
            let Some(cancelled) = store::lock(connection, deletion.id).await?.cancel(now)? else { return Ok(None) };
            users::update(connection, &user.with_deletion(None, now)).await?;
            finish(connection, cancelled).await.map(Some)
        }
    }
}

async fn finish(connection: &mut Connection, cancelled: Deletion) -> Result<Deletion> {
    store::update(connection, &cancelled).await?;
    queue::cancel::<EraseData>(connection, cancelled.id.0).await?;
    Ok(cancelled)
}
