//! The declaration of a kind of mail by a module.

use std::future::ready;

use chrono::{DateTime, Utc};

use crate::mail::{
    kind::{Kind, MailKind},
    store,
};
use mainstay_kernel::{
    database::pipeline::{Queued, queued},
    events::Event,
    module::Module,
    telemetry::metrics::Metric,
};

/// The outcomes of a mail in the metrics.
const OUTCOMES: &[&str] = &["sent", "tried", "suppressed", "rejected", "expired", "given_up"];

/// The modules whose kinds have no name of a module.
const OWN: [&str; 5] = ["identity", "orders", "payments", "subscriptions", "support"];

/// A module that sends mail.
pub trait SendsMail {
    /// Declares a kind of mail. Its templates are checked at the start.
    #[must_use]
    fn mail<K: MailKind>(self) -> Self;
}

impl SendsMail for Module {
    fn mail<K: MailKind>(self) -> Self {
        let count = Metric::counter("mainstay_mails_total", "Mails by kind and outcome")
            .labels(const { &[("kind", &[K::NAME]), ("outcome", OUTCOMES)] });
        let module = self.needs(&["mail"]).kind("mail", K::NAME, &OWN).contribute(Kind::of::<K>()).metrics([count]);
        match K::EVENT {
            Some(_) => module.on_every_event(|_, events, now| Box::pin(ready(Ok(about::<K>(events, now))))),
            None => module,
        }
    }
}

/// Returns the statement that queues the mails of a kind about these events, in the transaction that publishes them. The
/// recipient is determined when a mail is sent, so that it reads nothing.
fn about<K: MailKind>(events: &[Event], now: DateTime<Utc>) -> Option<Queued> {
    let events = events.iter().filter(|event| K::EVENT == Some(&*event.kind));
    let mails: Vec<_> = events.map(|event| super::mail_of::<K>(event.resource, None, now)).collect();
    (!mails.is_empty())
        .then(|| queued(move |connection| Box::pin(async move { store::insert(connection, &mails).await })))
}
