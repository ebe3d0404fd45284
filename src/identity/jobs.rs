//! Scheduled tasks.

use chrono::TimeDelta;
use mainstay_kernel::{
    app::App,
    database::Connection,
    error::Result,
    queue::{self, Handler},
    schedule::{BATCH, in_batches},
};

use tokio_util::sync::CancellationToken;

use crate::identity::{
    auth::store,
    data_export::{job::ExportData, ops as data_export, store as data_exports},
    deletion::{job::EraseData, ops as deletion, store as deletions},
    email_change::store as email_change,
    invitation::store as invitation,
    mail_login::store as mail_login,
    oauth::store as oauth,
    registration::store as registration,
    retention::{CONFIRMATIONS, DATA_EXPORTS, DELETION_NOTICES, INVITATIONS, SESSIONS, SIGN_INS},
    revocation::store as revocation,
    second_factor::store::device as devices,
    session::{ops as session, store as sessions},
    sign_in::store as sign_in,
    tokens::Tokens,
    user::model::Role,
};

/// How much longer a revocation is kept than the tokens and sessions it ends, because the clocks of instances differ.
const MARGIN: TimeDelta = TimeDelta::minutes(5);

impl Handler for EraseData {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        let outcome = deletion::erase(app, self.deletion, stop).await?;
        tracing::debug!(deletion = %self.deletion, ?outcome, "the job of a deletion ran");
        Ok(())
    }
}

impl Handler for ExportData {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        data_export::run(app, self.export).await
    }

    async fn give_up(self, app: &App) -> Result<()> {
        data_export::abandon(app, self.export).await
    }
}

pub(super) async fn forget_deletion_addresses(app: App) -> Result<usize> {
    let before = DELETION_NOTICES.start(&app.config, app.clock.now());
    in_batches(&app, |connection| Box::pin(deletions::delete_notices(connection, before, BATCH))).await
}

/// How late an erasure is that has probably lost its job: one that failed too often is given up, and forgotten after 30 days.
const LATE: TimeDelta = TimeDelta::hours(1);

pub(super) async fn resume_erasures(app: App) -> Result<usize> {
    let before = app.clock.now() - LATE;
    let resume = async move |connection: &mut Connection| {
        let late = deletions::late(connection, before, BATCH).await?;
        let jobs: Vec<_> = late.into_iter().map(|deletion| EraseData { deletion }).collect();
        queue::enqueue_missing(connection, &jobs).await
    };
    app.database.autocommit(resume).await
}

pub(super) async fn forget_data_exports(app: App) -> Result<usize> {
    let before = DATA_EXPORTS.start(&app.config, app.clock.now());
    in_batches(&app, |connection| Box::pin(data_exports::delete_expired(connection, before, BATCH))).await
}

/// Revocations outlive the sessions that they end, and all their access tokens, so that a failover to a replica that lacks the
/// last changes of a session revives none. The sessions of customers last the longest.
pub(super) async fn expire_revocations(app: App) -> Result<usize> {
    let age = session::life(&app, Role::Customer).whole + app.part::<Tokens>().life() + MARGIN;
    in_batches(&app, |connection| Box::pin(revocation::delete_expired(connection, age, BATCH))).await
}

pub(super) async fn expire_sessions(app: App) -> Result<usize> {
    let before = SESSIONS.start(&app.config, app.clock.now());
    in_batches(&app, |connection| Box::pin(sessions::delete_expired(connection, before, BATCH))).await
}

pub(super) async fn expire_registrations(app: App) -> Result<usize> {
    let before = CONFIRMATIONS.start(&app.config, app.clock.now());
    in_batches(&app, |connection| Box::pin(registration::delete_expired(connection, before, BATCH))).await
}

pub(super) async fn expire_resets(app: App) -> Result<usize> {
    let before = CONFIRMATIONS.start(&app.config, app.clock.now());
    in_batches(&app, |connection| Box::pin(store::delete_expired(connection, before, BATCH))).await
}

pub(super) async fn expire_email_changes(app: App) -> Result<usize> {
    let before = CONFIRMATIONS.start(&app.config, app.clock.now());
    in_batches(&app, |connection| Box::pin(email_change::delete_expired(connection, before, BATCH))).await
}

pub(super) async fn expire_mail_logins(app: App) -> Result<usize> {
    let before = CONFIRMATIONS.start(&app.config, app.clock.now());
    in_batches(&app, |connection| Box::pin(mail_login::delete_expired(connection, before, BATCH))).await
}

/// A code that is used twice ends the tokens of its first use, for as long as it is kept.
const USED_CODES_KEPT: TimeDelta = TimeDelta::days(1);

pub(super) async fn expire_oauth_codes(app: App) -> Result<usize> {
    let before = app.clock.now() - USED_CODES_KEPT;
    let codes = in_batches(&app, |connection| Box::pin(oauth::delete_expired_codes(connection, before, BATCH))).await?;
    let devices = in_batches(&app, |connection| Box::pin(oauth::device::delete_expired(connection, before, BATCH)));
    Ok(codes + devices.await?)
}

pub(super) async fn expire_invitations(app: App) -> Result<usize> {
    let before = INVITATIONS.start(&app.config, app.clock.now());
    in_batches(&app, |connection| Box::pin(invitation::delete_expired(connection, before, BATCH))).await
}

pub(super) async fn expire_sign_ins(app: App) -> Result<usize> {
    let before = SIGN_INS.start(&app.config, app.clock.now());
    app.database.autocommit(async |connection| sign_in::delete_expired(connection, before).await).await
}

pub(super) async fn forget_devices(app: App) -> Result<usize> {
    let now = app.clock.now();
    in_batches(&app, |connection| Box::pin(devices::delete_expired(connection, now, BATCH))).await
}
