//! Subscriptions of accounts to products that are paid each period.

mod convert;
pub mod events;
mod examples;
pub mod id;
pub mod job;
mod jobs;
mod mails;
pub mod model;
pub mod ops;
pub mod service;
pub mod settlement;
pub mod store;
pub mod stripe_events;

use std::sync::Arc;

use crate::mail::ops::SendsMail as _;
use mainstay_kernel::{
    config::Retention,
    module::Module,
    personal::{BOOKS, Personal},
    schedule::MINUTE,
};

use self::{
    job::{SettleSubscription, SyncSubscription},
    service::Subscriptions,
    stripe_events::SubscriptionEvents,
};
use crate::{
    proto::{DESCRIPTOR_SET, subscriptions::v1::subscription_service_server::SubscriptionServiceServer},
    webhooks::InboundEventHandler,
};

pub(crate) fn module() -> Module {
    Module::new("subscriptions", DESCRIPTOR_SET)
        .retention([
            Retention::without_age(&["subscriptions"], BOOKS),
            Retention::without_age(&["sandbox_subscriptions"], "kept: the books of the sandbox, not in production"),
        ])
        .needs(&["orders", "payments", "webhooks"])
        .personal([
            Personal::of_account("subscriptions", "account_id").kept(BOOKS).blocking_while("status <= 3"),
            Personal::of_account("subscriptions", "customer_id").matching("account_id = $1").kept(BOOKS).not_exported(),
            Personal::of_user("subscriptions", "subscribed_by").kept(BOOKS),
        ])
        .service(|app| SubscriptionServiceServer::new(Subscriptions { app: app.clone() }))
        .queue::<SettleSubscription>()
        .queue::<SyncSubscription>()
        .every(
            MINUTE,
            "ask_about_subscriptions",
            "Queries the gateway about subscriptions whose period ended or that no webhook reported",
            |app| async move { ops::query_due(&app).await },
        )
        .contribute::<Arc<dyn InboundEventHandler>>(Arc::new(SubscriptionEvents))
        .mail::<mails::SubscriptionReceipt>()
        .mail::<mails::SubscriptionUnpaid>()
        .examples(examples::by_name)
}
