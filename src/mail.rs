//! Mail: its content, templates and delivery.

mod command;
pub mod config;
pub mod id;
pub mod job;
mod jobs;
mod kind;
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

pub(crate) use pages::{minutes, respond, respond_with_script};

use std::sync::Arc;

use mainstay_kernel::{
    breaker::Circuit,
    config::{Config, ConfigError},
    contract::Policies,
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
    kind::{Kind, Kinds},
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
        .part(|app| check_events(open_kinds(Modules::of(app).contributions())?, &app.contract.policies))
        .part(|app| open_templates(Modules::of(app).contributions(), app.config.section()))
        .pages(preview::pages())
        .pages(pages::pages())
        .command::<Mail>()
        .due_rows::<UrgentMails>()
        .due_rows::<BulkMails>()
        .queue::<SendMail>()
        .every(
            HOUR,
            "forget_mails",
            "Removes mails after MAILS_KEPT, and bounces and unsubscriptions of addresses that no user has",
            jobs::forget_mails,
        )
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

/// Returns the URL of the front end, if there is one.
pub(crate) fn front_end(config: &Config) -> Option<&str> {
    config.section::<MailConfig>().brand.app_url.as_deref()
}

/// Returns the errors in the templates, so that they are reported together with all other configuration errors.
fn check_templates(all: &Contributions, config: &MailConfig) -> Vec<ConfigError> {
    let error = open_templates(all, config).err();
    let error = error.map(|error| ConfigError::new("MAIL_TEMPLATES", format!("{error:#}")));
    error.into_iter().collect()
}

/// Collects the kinds of mail that the modules declare.
fn open_kinds(all: &Contributions) -> anyhow::Result<Kinds> {
    Kinds::new(all.all::<&'static Kind>().copied())
        .map_err(|faults| anyhow::anyhow!("the kinds of mail are not usable:\n  {}", faults.join("\n  ")))
}

/// Checks that each event that causes mail is declared: no other would ever be published.
fn check_events(kinds: Kinds, policies: &Policies) -> anyhow::Result<Kinds> {
    let causes = kinds.iter().filter_map(|kind| Some((kind.name, kind.event?)));
    let unknown = causes.filter(|(_, event)| policies.event(event).is_none());
    let faults: Vec<_> = unknown.map(|(kind, event)| format!("{kind}: no module declares the event {event}")).collect();
    anyhow::ensure!(faults.is_empty(), "the kinds of mail are not usable:\n  {}", faults.join("\n  "));
    Ok(kinds)
}

/// Opens the templates.
///
/// # Errors
/// All errors in the templates.
fn open_templates(all: &Contributions, config: &MailConfig) -> anyhow::Result<Templates> {
    Templates::open(open_kinds(all)?, &config.brand, config.templates.as_deref())
        .map_err(|faults| anyhow::anyhow!("the templates of mail are not usable:\n  {}", faults.join("\n  ")))
}
