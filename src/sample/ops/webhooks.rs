//! Webhook endpoints with their deliveries, and events received from a provider. No request is sent: the receivers do
//! not exist, and a [script](script) answers for them.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use mainstay_kernel::{
    database::{Connection, Reach},
    error::Result,
    outbound::Request,
    page::Page,
    unit_of_work::Work,
};
use tokio_util::sync::CancellationToken;

use super::Writer;
use crate::{
    sample::model::{DOMAIN, INBOUND, INBOUND_PREFIX, timeline::BUSY},
    webhooks::{
        delivery::{
            job::DeliverWebhook,
            model::{Delivery, DeliveryState},
            ops as delivery,
        },
        endpoint::ops::{self as endpoint, EndpointContext},
        id::WebhookEndpointId,
        inbound_event::{model::InboundEvent, ops as inbound_event},
    },
};

/// An endpoint of a busy customer.
pub(super) struct Plan {
    /// The index among the busy customers.
    busy: usize,
    host: &'static str,
    description: &'static str,
    kinds: &'static [&'static str],
    pub(super) days_ago: i64,
}

/// The prefix of the host that fails.
const FAILING: &str = "erp.";

/// The endpoints, the older one first.
pub(super) const PLANS: [Plan; 2] = [
    Plan { busy: 0, host: "hooks.", description: "Analytics of tickets and sales", kinds: &[], days_ago: 7 },
    Plan {
        busy: 1,
        host: FAILING,
        description: "Orders for the ERP, which is down",
        kinds: &["orders.order.created", "support.ticket.created"],
        days_ago: 3,
    },
];

/// The maximum number of deliveries of an endpoint.
const MAX_DELIVERIES: i64 = 500;
/// The times of the attempts of a failing delivery, in seconds, with the maximum waits.
const ATTEMPTS: [i64; 13] = [1, 12, 43, 134, 405, 1216, 3647, 10_938, 32_809, 76_010, 119_211, 162_412, 205_613];

/// Answers for the receivers: the status, and the duration.
pub(super) fn script(request: &Request) -> (StatusCode, Duration) {
    let fails = request.uri().host().is_some_and(|host| host.starts_with(FAILING));
    let millis = u64::try_from(request.body().len() % 17).unwrap_or(0) + 3;
    (if fails { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, Duration::from_millis(millis))
}

/// Creates an endpoint. Events from then on are delivered to it.
pub(super) async fn create(writer: &Writer, plan: &Plan) -> Result<WebhookEndpointId> {
    let permit = writer.cast.admin.permit("webhooks.v1.WebhookEndpointService/CreateWebhookEndpoint")?;
    let context = EndpointContext { key: writer.app.secret.clone(), allow_private: false };
    let draft = endpoint::Draft {
        url: format!("https://{}{DOMAIN}/mainstay", plan.host),
        description: plan.description.to_owned(),
        kinds: plan.kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        account: Some(writer.cast.customers[BUSY[plan.busy]].account()?),
    };
    let at = writer.now - TimeDelta::days(plan.days_ago);
    let create = writer.app.database.transaction(async move |work: &mut Work| {
        work.act_as(permit, at).await?;
        endpoint::create(work, &writer.app.contract.policies, context, draft).await
    });
    // The secret is discarded.
    create.await.map(|(endpoint, _)| endpoint.id)
}

/// Makes the delivery attempts of an endpoint until now, in chronological order.
pub(super) async fn deliver(writer: &Writer, plan: &Plan, endpoint: WebhookEndpointId) -> Result<()> {
    let permit = writer.cast.admin.permit("webhooks.v1.WebhookDeliveryService/ListWebhookDeliveries")?;
    let list = async move |connection: &Connection| {
        let (pending, page) = ((endpoint, Some(DeliveryState::Pending)), Page::first(MAX_DELIVERIES));
        let policies = &writer.app.contract.policies;
        delivery::list(connection, permit, policies, pending, page, false).await
    };
    let (pending, _) = writer.app.database.query(Reach::across_accounts("sample data"), list).await?;
    // A working receiver accepts the first attempt.
    let most = if plan.host == FAILING { ATTEMPTS.len() } else { 1 };
    let mut attempts: Vec<_> = pending.iter().flat_map(|delivery| attempts(delivery, writer.now).take(most)).collect();
    attempts.sort_by_key(|(at, _)| *at);
    let stop = CancellationToken::new();
    for (at, job) in attempts {
        delivery::deliver_due(&writer.at(at)?, job, &stop).await?;
    }
    Ok(())
}

fn attempts(delivery: &Delivery, now: DateTime<Utc>) -> impl Iterator<Item = (DateTime<Utc>, DeliverWebhook)> + use<> {
    let (job, since) = (DeliverWebhook::of(delivery), delivery.created_at);
    let times = ATTEMPTS.into_iter().map(move |seconds| since + TimeDelta::seconds(seconds));
    times.take_while(move |at| *at < now).map(move |at| (at, job))
}

/// Receives and processes the events of a provider.
pub(super) async fn receive(writer: &Writer) -> Result<()> {
    for (days_ago, (number, kind)) in (1..).zip(INBOUND).map(|(number, event)| (10 - 3 * number, event)) {
        let app = writer.at(writer.now - TimeDelta::days(days_ago))?;
        let body = format!(r#"{{"type":"{kind}","data":{{"parcel":"SAMPLE-{number}"}}}}"#);
        let id = format!("{INBOUND_PREFIX}{number}");
        let event = InboundEvent::new("standard", id, kind.to_owned(), Bytes::from(body), app.clock.now());
        let id = event.id;
        let receive = app.database.transaction(async move |work: &mut Work| inbound_event::receive(work, event).await);
        let is_new: Result<bool> = receive.await;
        is_new?;
        inbound_event::process(&app, id).await?;
    }
    Ok(())
}
