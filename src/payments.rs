//! Payments: charges, refunds, the ledger, and the payment gateways.

pub mod config;
pub mod customer;
pub mod events;
mod examples;
pub mod gateway;
pub mod id;
mod jobs;
pub mod ledger;
mod mails;
pub mod payment;
pub mod refund;
pub mod settlement;
pub mod stripe_events;

use std::{sync::Arc, time::Duration};

use crate::mail::ops::SendsMail as _;
use mainstay_kernel::{
    app::App,
    breaker::Circuit,
    clock::Clock,
    config::Retention,
    http::health::Dependency,
    module::Module,
    personal::{BOOKS, Personal},
    schedule::{HOUR, MINUTE},
    telemetry::metrics::Metric,
};

use self::{
    config::{PaymentsConfig, SANDBOX},
    gateway::{
        TakesPayments as _,
        sandbox::Sandbox,
        stripe::{PRODUCTION, Stripe, StripeConfig, webhooks::StripeWebhooks},
    },
    ledger::{check_job::CheckLedger, command::Ledger},
    payment::{dispute_job::FindDisputed, model::Payment, refund_job::FindRefunded, service::Payments},
    refund::{ops::RefundIntent, search_job::FindRefunds, service::Refunds, sync_job::SyncRefunds},
    stripe_events::PaymentEvents,
};
use crate::{
    proto::{
        DESCRIPTOR_SET,
        payments::v1::{payment_service_server::PaymentServiceServer, refund_service_server::RefundServiceServer},
    },
    webhooks::{InboundEventHandler, ReceivesEvents as _},
};

// The interface of modules that take payments through the gateway.
pub(crate) use gateway::stripe::{NAME as STRIPE, metadata, webhooks::object};
pub use gateway::{Cancel, Gateway, Lookup, Outcome, Subscribe};
pub use settlement::call;

/// The alerts about payments, with the provider `gateway`, in the order of docs/operations.md.
const ALERTS: [&str; 12] = [
    "other_gateway",
    "unsettled",
    "moved_twice",
    "mismatch",
    "unknown_payment",
    "refunds_differ",
    "ledger_differs",
    "refund_returned",
    "customer_missing",
    "cancellation_refused",
    "disputed",
    "subscribed_twice",
];

pub(crate) fn module() -> Module {
    Module::new("payments", DESCRIPTOR_SET)
        .personal([
            Personal::of_account("payments", "account_id").kept(BOOKS).blocking_while("status = 1"),
            Personal::of_account("refunds", "account_id").kept(BOOKS).blocking_while("status = 1"),
            Personal::of_account("payments", "customer_id").matching("account_id = $1").kept(BOOKS).not_exported(),
            Personal::of_account("gateway_customers", "account_id").erased(),
            Personal::of_account("gateway_customers", "customer_id")
                .matching("account_id = $1")
                .erased()
                .not_exported(),
            Personal::of_user("payments", "charged_by").kept(BOOKS).not_exported(),
            Personal::of_user("refunds", "refunded_by").kept(BOOKS).not_exported(),
        ])
        .retention([
            Retention::without_age(&["payments", "refunds", "ledger_transactions", "ledger_sums"], BOOKS),
            Retention::without_age(&["ledger_unsummed"], "until it is added to the sums, within seconds"),
            Retention::without_age(&["gateway_customers"], "until the erasure of the account"),
            Retention::without_age(&["sandbox_movements"], "kept: the books of the sandbox, not in production"),
        ])
        .needs(&["orders", "webhooks"])
        .config::<PaymentsConfig>()
        .config::<StripeConfig>()
        .warning(|config| config.section::<PaymentsConfig>().warning())
        .warning(|config| config::warn_of_certificates(config.server.tls.as_ref()))
        .production(PRODUCTION)
        .check(gateway::check)
        .part(gateway::open)
        .gateway::<Sandbox>()
        .gateway::<Stripe>()
        .inbound::<StripeWebhooks>()
        .service(|app| PaymentServiceServer::new(Payments { app: app.clone() }))
        .service(|app| RefundServiceServer::new(Refunds { app: app.clone() }))
        .due_rows::<Payment>()
        .due_rows::<RefundIntent>()
        .queue::<SyncRefunds>()
        .queue::<FindRefunds>()
        .queue::<FindDisputed>()
        .queue::<FindRefunded>()
        .queue::<CheckLedger>()
        .every(Duration::from_secs(5), "sum_ledger", "Adds what was booked to the sums of the ledger", jobs::sum_ledger)
        .every(10 * MINUTE, "find_refunds", "Finds refunds at the gateway that no webhook reported", jobs::find_refunds)
        .every(
            24 * HOUR,
            "find_returned_refunds",
            "Finds refunds of the last 60 days that the bank returned and no webhook reported",
            jobs::find_returned_refunds,
        )
        .every(
            24 * HOUR,
            "check_ledger",
            "Compares what was booked in the last 3 days with the gateway's books",
            jobs::check_ledger,
        )
        .command::<Ledger>()
        .contribute::<Arc<dyn InboundEventHandler>>(Arc::new(PaymentEvents))
        .dependency(Dependency { name: "gateway", is_available: |app| Box::pin(gateway_is_available(app)) })
        .alerts(ALERTS.map(|cause| ("gateway", cause)))
        .alerts([("stripe", "auth")])
        .metrics([
            Metric::counter(
                "mainstay_gateway_unknown_total",
                "Postponements of payments, refunds and subscriptions whose outcome is unknown",
            ),
            Metric::gauge(
                "mainstay_payments_oldest_unsettled_seconds",
                "How long the oldest payment has waited for its outcome",
            ),
        ])
        .measure(|app| Box::pin(payment::ops::measure_unsettled(app)))
        .mail::<mails::PaymentReceipt>()
        .mail::<mails::Refund>()
        .examples(examples::by_name)
}

/// Returns the payment gateway.
pub(crate) fn gateway(app: &App) -> &Arc<dyn Gateway> {
    app.part()
}

/// Returns the application with another clock, which the sandbox gateway then uses too; `None` for any other gateway,
/// which uses the real time.
pub(crate) fn with_clock(app: &App, clock: Clock) -> Option<App> {
    let is_sandbox = gateway(app).name() == SANDBOX;
    let sandbox = || Arc::new(Sandbox::new(app.database.clone(), clock.clone())) as Arc<dyn Gateway>;
    is_sandbox.then(|| app.clone().with_part(sandbox()).with_clock(clock.clone()))
}

/// If the gateway was unavailable and may be back, probes it, because an idle instance makes no other call. The circuit
/// lets one probe through at a time and waits longer after each failure.
async fn gateway_is_available(app: App) -> bool {
    let gateway = gateway(&app);
    if gateway.circuit() == Circuit::HalfOpen {
        gateway.probe().await;
    }
    gateway.circuit() == Circuit::Closed
}

#[cfg(test)]
mod tests {
    use super::ALERTS;

    #[test]
    fn every_alert_is_documented() {
        let document = include_str!("../docs/operations.md");
        for cause in ALERTS {
            assert!(document.contains(&format!("| `gateway`, `{cause}` |")), "{cause}");
        }
        let documented = document.matches("\n| `gateway`, `").count();
        assert_eq!(documented, ALERTS.len(), "a documented alert is not registered");
    }
}
