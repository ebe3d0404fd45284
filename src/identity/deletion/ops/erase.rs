//! The erasure: a job that takes the rows of each declared table in bounded transactions, which are its checkpoints.
//!
//! The erasure begins with the end of all access. It then goes through the tables until one pass finds nothing: a request that
//! was admitted before may have written behind an earlier pass. A run after a crash repeats the pass, and finds the rest.

use mainstay_kernel::{
    app::App,
    audit::Record,
    caller::Visibility,
    database::Connection,
    error::{Reason, Result},
    fault,
    module::Modules,
    personal::{self, Personal},
    queue,
    unit_of_work::Work,
};
use tokio_util::sync::CancellationToken;

use super::{
    lock_owner,
    request::{check_contracts, left_alone},
};
use crate::{
    identity::{
        account::{model::Account, store as accounts},
        deletion::{
            id::DeletionId,
            job::EraseData,
            model::{Action, Deletion, ErasedRows, SETTLING, State, Subject},
            store,
        },
        mails::DeletionDone,
        member::store as members,
        oauth_client::store as oauth_clients,
        service_key::store as service_keys,
        session::ops as session,
        user::{model::User, ops as user, store as users},
    },
    mail::ops as mail,
    proto::identity::v1::Reason as IdentityReason,
};

/// The outcome of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The erasure is done, or there is none to do.
    Ended,
    /// A job for the rest is queued.
    Queued,
}

/// The reason with which an erased user is deactivated.
const REASON: &str = "The user was deleted.";

/// Erases the data of a deletion whose period of grace is over, until it is complete or `stop` is cancelled.
///
/// # Errors
/// Any error that prevented a step; the next run continues there.
pub(crate) async fn erase(app: &App, id: DeletionId, stop: &CancellationToken) -> Result<Outcome> {
    let read = async move |connection: &mut Connection| store::get(connection, Visibility::All, id).await;
    let deletion = match app.database.autocommit(read).await {
        // The sample data was removed, and the deletion with it.
        Err(error) if error.reason() == Reason::NotFound => return Ok(Outcome::Ended),
        deletion => deletion?,
    };
    match deletion.state {
        State::Done | State::Cancelled => return Ok(Outcome::Ended),
        State::Scheduled => return begin(app, deletion).await,
        State::Erasing => {}
    }
    loop {
        let mut found = 0;
        for declaration in Modules::of(app).personal().of(owner(deletion.subject)) {
            loop {
                if stop.is_cancelled() {
                    let job = EraseData { deletion: id };
                    app.database.autocommit(async move |connection| queue::enqueue(connection, &job).await).await?;
                    return Ok(Outcome::Queued);
                }
                let rows = step(app, &deletion, *declaration).await?;
                if rows == 0 {
                    break;
                }
                found += rows;
                fault::point("erasure.step")?;
            }
        }
        if found == 0 {
            break;
        }
    }
    finish(app, deletion).await
}

/// Returns whose rows the declarations of personal data are about.
fn owner(subject: Subject) -> personal::Owner {
    match subject {
        Subject::User(_) => personal::Owner::User,
        Subject::Account(_) => personal::Owner::Account,
    }
}

/// Reports rows of a declaration.
fn report(declaration: &Personal, rows: i64) -> ErasedRows {
    let (action, reason) = match declaration.action {
        personal::Action::Erase | personal::Action::EraseBy(_) => (Action::Erased, ""),
        personal::Action::Anonymize { .. } => (Action::Anonymized, ""),
        personal::Action::Keep(reason) => (Action::Kept, reason),
    };
    ErasedRows { table: declaration.table.to_owned(), action, rows, reason: reason.to_owned() }
}

/// Erases one batch of a table, and adds it to the report, atomically.
async fn step(app: &App, deletion: &Deletion, declaration: Personal) -> Result<usize> {
    let (id, subject, now) = (deletion.id, deletion.subject, app.clock.now());
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let rows = declaration.erase(connection, subject.id(), now).await?;
        if rows > 0 {
            let report = report(&declaration, i64::try_from(rows).unwrap_or(i64::MAX));
            store::add_rows(connection, id, &report).await?;
        }
        Ok(rows)
    });
    transaction.await
}

/// Ends all access, and queues the erasure for when no admitted request runs any more. An erasure that may not begin is
/// postponed, such as that of a user who is the only owner of an account with members by now.
async fn begin(app: &App, deletion: Deletion) -> Result<Outcome> {
    let (id, subject, now) = (deletion.id, deletion.subject, app.clock.now());
    let begun = app.database.transaction(async move |work: &mut Work| end_access(app, work, id, subject).await);
    match begun.await {
        Err(error)
            if error.reason() == IdentityReason::SoleOwner || error.reason() == IdentityReason::ActiveContracts =>
        {
            tracing::warn!(deletion = %id, error = error.detail(), "an erasure was postponed by a day");
            postpone(app, deletion.postpone(now)).await?;
        }
        Err(error) if error.reason() == Reason::NotFound => return Ok(Outcome::Ended),
        begun => begun?,
    }
    if let Subject::User(user) = subject {
        session::remove_outdated(app, user).await;
    }
    Ok(Outcome::Queued)
}

/// The locked subject of a deletion.
enum Ended {
    User(User),
    Account(Account),
}

async fn end_access(app: &App, work: &mut Work, id: DeletionId, subject: Subject) -> Result<()> {
    let now = work.now();
    let connection = work.connection().await?;
    let (deletion, ended) = match subject {
        Subject::User(user) => {
            let (owned, user, _) = lock_owner(connection, user).await?;
            // Accounts whose only member is the user are scheduled with the user.
            if !left_alone(connection, &owned).await?.is_empty() {
                return Err(IdentityReason::SoleOwner.into());
            }
            // An account that is still billed would be left without a member.
            for own in store::scheduled_with(connection, id).await? {
                if let (State::Scheduled, Subject::Account(account)) = (own.state, own.subject) {
                    check_contracts(app, connection, account).await?;
                }
            }
            (store::lock(connection, id).await?, Ended::User(user))
        }
        Subject::Account(account) => {
            let locked = accounts::lock(connection, account).await?;
            check_contracts(app, connection, account).await?;
            (store::lock(connection, id).await?, Ended::Account(locked))
        }
    };
    // It may have been canceled, or begun by a worker that was presumed dead, before the lock was acquired.
    if deletion.state != State::Scheduled {
        return Ok(());
    }
    if deletion.erase_at > now {
        return queue::enqueue_at(connection, &EraseData { deletion: id }, deletion.erase_at).await;
    }
    match ended {
        // The reason of an earlier deactivation may be personal.
        Ended::User(user) => {
            let user = User { deletion_at: Some(now), ..user.deactivate(REASON.to_owned(), now) };
            user::begin_epoch_of(connection, &user).await?;
        }
        Ended::Account(account) => {
            service_keys::revoke_of_account(connection, account.id, now).await?;
            let clients = oauth_clients::end_of_account(connection, account.id).await?;
            if clients > 0 {
                store::add_rows(connection, id, &erased("oauth_clients", clients)).await?;
            }
            accounts::update(connection, &account.with_deletion(Some(now), now)).await?;
        }
    }
    loop {
        let ended = members::erase(connection, subject.id(), personal::BATCH).await?;
        if ended == 0 {
            break;
        }
        store::add_rows(connection, id, &erased("members", ended)).await?;
    }
    store::update(connection, &deletion.begin()).await?;
    queue::enqueue_at(connection, &EraseData { deletion: id }, now + SETTLING).await?;
    work.audit(Record::about("identity.deletion", Some(id.0), subject.account()));
    Ok(())
}

/// Returns the report about rows that end with the access.
fn erased(table: &str, rows: usize) -> ErasedRows {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    ErasedRows { table: table.to_owned(), action: Action::Erased, rows, reason: String::new() }
}

async fn postpone(app: &App, deletion: Deletion) -> Result<()> {
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let (now, at) = (work.now(), Some(deletion.erase_at));
        let connection = work.connection().await?;
        let subject = match deletion.subject {
            Subject::User(id) => Ended::User(users::lock(connection, Visibility::All, id).await?),
            Subject::Account(id) => Ended::Account(accounts::lock(connection, id).await?),
        };
        if store::lock(connection, deletion.id).await?.state != State::Scheduled {
            return Ok(());
        }
        match subject {
            Ended::User(user) => users::update(connection, &user.with_deletion(at, now)).await?,
            Ended::Account(account) => accounts::update(connection, &account.with_deletion(at, now)).await?,
        }
        store::update(connection, &deletion).await?;
        queue::enqueue_at(connection, &EraseData { deletion: deletion.id }, deletion.erase_at).await
    });
    transaction.await
}

/// Completes the report with the rows that are kept, and the deletion.
async fn finish(app: &App, deletion: Deletion) -> Result<Outcome> {
    let now = app.clock.now();
    let declarations = Modules::of(app).personal().of(owner(deletion.subject));
    let kept = declarations.filter(|declaration| matches!(declaration.action, personal::Action::Keep(_)));
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let deletion = store::lock(connection, deletion.id).await?;
        if deletion.state != State::Erasing {
            return Ok(());
        }
        for declaration in kept {
            let rows = declaration.count(connection, deletion.subject.id()).await?;
            if rows > 0 {
                store::add_rows(connection, deletion.id, &report(declaration, rows)).await?;
            }
        }
        for notice in store::notices(connection, deletion.id).await? {
            mail::send::<DeletionDone>(connection, notice.id.0, Some(deletion.id.0), now).await?;
        }
        let (id, account) = (deletion.id, deletion.subject.account());
        store::update(connection, &deletion.finish(now)).await?;
        work.audit(Record::about("identity.deletion", Some(id.0), account));
        tracing::info!(deletion = %id, "the data of a deletion was erased");
        Ok(())
    });
    transaction.await?;
    Ok(Outcome::Ended)
}
