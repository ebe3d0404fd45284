//! Webhooks: events received from providers, and events sent to endpoints.

pub mod config;
pub mod delivery;
pub mod endpoint;
mod examples;
pub mod id;
pub mod inbound;
pub mod inbound_event;
mod jobs;

use std::sync::Arc;

use futures_util::FutureExt as _;
use mainstay_kernel::{
    config::Config,
    module::{Module, Modules},
    outbound::Receivers,
    partitions::PartitionedTable,
    personal::Personal,
    queue::Job as _,
    schedule::HOUR,
    telemetry::metrics::Metric,
};

use self::{
    config::{PER_ENDPOINT, WebhooksConfig},
    delivery::{job::DeliverWebhook, removal_job::ForgetDeliveries},
    endpoint::service::Webhooks,
    inbound::{
        Declared, OUTCOMES, Verifiers, generic::Generic, github::Github, handlers::Handlers, sendgrid::SendGrid,
        standard::Standard,
    },
    inbound_event::{job::ProcessInboundEvent, service::InboundEvents},
};
use crate::proto::{
    DESCRIPTOR_SET,
    webhooks::v1::{
        inbound_event_service_server::InboundEventServiceServer,
        webhook_delivery_service_server::WebhookDeliveryServiceServer,
        webhook_endpoint_service_server::WebhookEndpointServiceServer,
    },
};

// The interface of a module that handles inbound events.
pub use config::{Keys, VerifyTokens};
pub use inbound::{
    Answer, Challenge, HeaderMap, InboundProvider, Parameters, ReceivesEvents, SignedEvent, Verifier, check_age,
    forged, handlers::InboundEventHandler, header, identifiers, malformed,
};

pub(crate) fn module() -> Module {
    Module::new("webhooks", DESCRIPTOR_SET)
        .needs(&["identity"])
        .personal([Personal::of_account("webhook_endpoints", "account_id")
            .erased_by(|connection, account, _| Box::pin(endpoint::ops::erase_of(connection, account)))])
        .retention(jobs::RETENTIONS)
        .config::<WebhooksConfig>()
        .production(config::PRODUCTION)
        .part(|app| {
            let config = app.config.section::<WebhooksConfig>();
            Receivers::new(config.allow_private, DeliverWebhook::LANE.max_running(&app.config) * PER_ENDPOINT)
        })
        .part(|app| Ok(verifiers(Modules::of(app), &app.config)))
        .part(|app| handlers(Modules::of(app), app.part::<Verifiers>()))
        .inbound::<Standard>()
        .inbound::<Github>()
        .inbound::<SendGrid>()
        .inbound::<Generic>()
        .service(|app| InboundEventServiceServer::new(InboundEvents { app: app.clone() }))
        .service(|app| WebhookEndpointServiceServer::new(Webhooks { app: app.clone() }))
        .service(|app| WebhookDeliveryServiceServer::new(Webhooks { app: app.clone() }))
        .on_every_event(|connection, events, now| endpoint::ops::deliveries_of(connection, events, now).boxed())
        .queue::<ProcessInboundEvent>()
        .queue::<DeliverWebhook>()
        .queue::<ForgetDeliveries>()
        .every(
            HOUR,
            "forget_inbound_events",
            "Removes inbound webhook events after INBOUND_EVENTS_KEPT, dead ones that long after they died",
            jobs::forget_inbound_events,
        )
        // A pending delivery (1) is still to be sent, at any age.
        .partitioned(
            PartitionedTable::by_month("webhook_deliveries")
                .retention(|config| jobs::DELIVERIES.kept(config))
                .unless("state = 1"),
        )
        .partitioned(
            PartitionedTable::by_month("webhook_attempts")
                .retention(|config| jobs::DELIVERIES.kept(config))
                // Attempts are removed together with their deliveries.
                .unless("EXISTS (SELECT FROM webhook_deliveries WHERE id = delivery_id AND state = 1)"),
        )
        .metrics([
            Metric::counter("mainstay_webhooks_received_total", "Inbound webhooks by provider and outcome")
                .labels(&[("provider", &[]), ("outcome", &OUTCOMES)]),
            Metric::counter("mainstay_inbound_events_dead_total", "Inbound webhook events that were given up"),
            Metric::gauge("mainstay_inbound_events_dead", "Inbound webhook events that are dead, up to 10,000"),
            Metric::counter("mainstay_webhook_attempts_total", "Attempts to deliver a webhook, by outcome")
                .labels(&[("outcome", &["accepted", "failed"])]),
            Metric::counter("mainstay_webhook_endpoints_disabled_total", "Endpoints disabled for their failures"),
        ])
        .measure(|app| inbound_event::ops::measure_dead(app).boxed())
        .examples(examples::by_name)
}

/// Opens the providers that modules declare.
fn verifiers(modules: &Modules, config: &Config) -> Verifiers {
    Verifiers::open(modules.contributions().all::<Declared>(), config)
}

/// Collects the handlers of inbound events from all modules.
fn handlers(modules: &Modules, verifiers: &Verifiers) -> anyhow::Result<Handlers> {
    Handlers::new(modules.contributions().all::<Arc<dyn InboundEventHandler>>().cloned())
        .and_then(|handlers| handlers.check_providers(&verifiers.names()))
        .map_err(anyhow::Error::msg)
}
