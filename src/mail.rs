//! Mail: its content, templates and delivery.

mod command;
pub mod config;
pub mod id;
pub mod job;
mod jobs;
pub mod links;
pub mod locale;
pub mod model;
pub mod ops;
mod pages;
pub mod preview;
mod provider_events;
pub mod store;
pub mod suppression;
pub mod templates;
mod text;
pub mod transport;

use std::sync::Arc;

use mainstay_kernel::{
    breaker::Circuit,
    config::ConfigError,
    contribution::Contributions,
    http::health::Dependency,
    module::{Module, Modules},
    personal::Personal,
    schedule::HOUR,
    telemetry::metrics::Metric,
};

use self::{
    command::Mail,
    config::MailConfig,
    job::SendMail,
    jobs::{BulkMails, UrgentMails},
    ops::{Kind, Kinds},
    provider_events::{ResendEvents, SendGridEvents},
    templates::Templates,
    transport::Transport,
};
use crate::webhooks::InboundEventHandler;

pub(crate) fn module() -> Module {
    Module::new("mail", crate::proto::DESCRIPTOR_SET)
        .personal([Personal::of_user("mail_suppressions", "address")
            .matching("address = (SELECT email FROM users WHERE id = $1)")
            .erased()])
        .retention(jobs::RETENTIONS)
        .needs(&["identity"])
        .config::<MailConfig>()
        .warning(|config| config.section::<MailConfig>().warning())
        .production(config::PRODUCTION)
        .check(|all, config| check_templates(all, config.section()))
        .part(|app| transport::open(&app.config, &app.clock, &app.alerts))
        .part(|app| open_kinds(Modules::of(app).contributions()))
        .part(|app| open_templates(Modules::of(app).contributions(), app.config.section()))
        .pages(preview::pages())
        .pages(pages::pages())
        .command::<Mail>()
        .due_rows::<UrgentMails>()
        .due_rows::<BulkMails>()
        .queue::<SendMail>()
        .every(HOUR, "forget_mails", "Removes mails MAILS_KEPT after they were sent or given up", jobs::forget_mails)
        .contribute::<Arc<dyn InboundEventHandler>>(Arc::new(ResendEvents))
        .contribute::<Arc<dyn InboundEventHandler>>(Arc::new(SendGridEvents))
        .dependency(Dependency {
            name: "mail",
            is_available: |app| Box::pin(async move { app.part::<Arc<dyn Transport>>().circuit() == Circuit::Closed }),
        })
        .alerts([("mail", "auth"), ("mail_fallback", "auth")])
        .metrics([Metric::counter("mainstay_mail_suppressions_total", "Addresses that are sent no more mail")
            .labels(&[("reason", &["bounce", "complaint", "unsubscribed"])])])
}

/// Returns the errors in the templates, so that they are reported together with all other configuration errors.
fn check_templates(all: &Contributions, config: &MailConfig) -> Vec<ConfigError> {
    let error = open_templates(all, config).err();
    let error = error.map(|error| ConfigError { name: "MAIL_TEMPLATES".to_owned(), message: format!("{error:#}") });
    error.into_iter().collect()
}

/// Collects the kinds of mail that the modules declare.
fn open_kinds(all: &Contributions) -> anyhow::Result<Kinds> {
    Kinds::new(all.all::<&'static Kind>().copied())
        .map_err(|faults| anyhow::anyhow!("the kinds of mail are not usable:\n  {}", faults.join("\n  ")))
}

/// Opens the templates.
///
/// # Errors
/// All errors in the templates.
fn open_templates(all: &Contributions, config: &MailConfig) -> anyhow::Result<Templates> {
    Templates::open(open_kinds(all)?, &config.brand, config.templates.as_deref())
        .map_err(|faults| anyhow::anyhow!("the templates of mail are not usable:\n  {}", faults.join("\n  ")))
}
