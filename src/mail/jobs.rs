//! Due mails, job handlers and scheduled tasks.

use mainstay_kernel::{
    app::App,
    config::Retention,
    error::Result,
    queue::{Handler, Lane, rows::DueRows},
    schedule::{BATCH, in_batches},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::mail::{config::MailConfig, id::MailId, job::SendMail, ops, store, suppression::store as suppression};

/// A kept mail prevents a second mail for the same cause. No cause is processed again after the shortest retention.
const MAILS: Retention = Retention::of(
    &["mails", "mail_suppressions"],
    "MAILS_KEPT",
    "30d",
    ["30d", "400d"],
    "How long mails are kept after they were sent or given up; also bounces and unsubscriptions of addresses that no user has",
);

pub(super) const RETENTIONS: [Retention; 2] = [
    MAILS,
    Retention::without_age(
        &["mail_suppressions"],
        "the address of a user until its erasure; a complaint from any other address until an operator removes it",
    ),
];

/// Mails that [a recipient waits for](crate::mail::ops::MailKind::IS_URGENT), in separate slots.
#[derive(Debug)]
pub(super) struct UrgentMails;

impl DueRows for UrgentMails {
    const NAME: &'static str = "send_urgent_mail";
    const TABLE: &'static str = "mails";
    const CONDITION: &'static str = "is_urgent";
    const LANE: Lane = Lane::new("mail", |config| config.section::<MailConfig>().concurrency);

    async fn run(app: &App, id: Uuid) -> Result<()> {
        ops::deliver(app, MailId(id)).await
    }
}

/// All other mails, which may arrive in bulk.
#[derive(Debug)]
pub(super) struct BulkMails;

impl DueRows for BulkMails {
    const NAME: &'static str = "send_bulk_mail";
    const TABLE: &'static str = "mails";
    const CONDITION: &'static str = "NOT is_urgent";
    const LANE: Lane = Lane::new("mail_bulk", |config| config.section::<MailConfig>().concurrency);

    async fn run(app: &App, id: Uuid) -> Result<()> {
        ops::deliver(app, MailId(id)).await
    }
}

impl Handler for SendMail {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        ops::redrive_given_up(app, self.mail).await
    }
}

pub(super) async fn forget_mails(app: App) -> Result<usize> {
    let before = MAILS.start(&app.config, app.clock.now());
    let mails = in_batches(&app, |connection| Box::pin(store::delete_expired(connection, before, BATCH))).await?;
    let addresses =
        in_batches(&app, |connection| Box::pin(suppression::delete_expired(connection, before, BATCH))).await?;
    Ok(mails + addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_has_an_index() {
        let table = include_str!("../../migrations/2026-11-27-000852_open_mail_kinds/up.sql");
        for condition in [UrgentMails::CONDITION, BulkMails::CONDITION] {
            let index = format!("ON mails (due_at) WHERE due_at IS NOT NULL AND {condition};");
            assert!(table.contains(&index), "no index {index}");
        }
    }
}
