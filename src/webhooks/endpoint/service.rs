//! `mainstay.webhooks.v1.WebhookEndpointService` and `WebhookDeliveryService`.

use crate::webhooks::config::WebhooksConfig;
use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use tonic::Request;
use uuid::Uuid;

use crate::proto::webhooks::v1::{
    self as pb, webhook_delivery_service_server::WebhookDeliveryService,
    webhook_endpoint_service_server::WebhookEndpointService,
};
use crate::webhooks::id::{WebhookDeliveryId, WebhookEndpointId};
use crate::webhooks::{
    delivery::{
        model::{Attempt, Delivery, DeliveryState},
        ops as delivery,
    },
    endpoint::{
        model::{Endpoint, Patch},
        ops::{self, Draft},
    },
};
use mainstay_kernel::{
    app::App,
    audit::Audited,
    contract::Policies,
    error::{Error, Result},
    grpc::{Call, Reply, render::time},
    id::AccountId,
    page::Key,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct Webhooks {
    pub app: App,
}

/// The default time for which the previous secret keeps signing after a rotation, in seconds.
const OVERLAP_SECONDS: i32 = 86_400;

impl Webhooks {
    fn context(&self) -> ops::EndpointContext {
        ops::EndpointContext {
            key: self.app.secret.clone(),
            allow_private: self.app.config.section::<WebhooksConfig>().allow_private,
        }
    }
}

impl Audited for Endpoint {
    type Message = pb::WebhookEndpoint;

    fn message(self) -> pb::WebhookEndpoint {
        pb::WebhookEndpoint {
            id: Some(self.id.to_string()),
            account_id: self.account.map(|account| account.to_string()),
            url: Some(self.url),
            description: Some(self.description),
            event_types: self.kinds,
            status: Some(self.status.number().into()),
            failing_since_time: self.failing_since.map(time),
            old_secret_expire_time: self.secrets.old.iter().map(|(_, until)| *until).max().map(time),
            version: Some(self.version),
            create_time: Some(time(self.created_at)),
            update_time: Some(time(self.updated_at)),
        }
    }
}

fn render_delivery((delivery, attempts): (Delivery, Vec<Attempt>)) -> pb::WebhookDelivery {
    pb::WebhookDelivery {
        id: Some(delivery.id.to_string()),
        endpoint_id: Some(delivery.endpoint.to_string()),
        event_id: Some(delivery.event.to_string()),
        event_type: Some(delivery.kind),
        payload: Some(delivery.payload),
        state: Some(delivery.state.number().into()),
        attempt_count: Some(delivery.attempts),
        attempts: attempts.into_iter().map(render_attempt).collect(),
        next_attempt_time: delivery.next_attempt_at.map(time),
        version: Some(delivery.version),
        create_time: Some(time(delivery.created_at)),
        update_time: Some(time(delivery.updated_at)),
    }
}

fn render_attempt(attempt: Attempt) -> pb::WebhookAttempt {
    pb::WebhookAttempt {
        number: attempt.number,
        start_time: Some(time(attempt.started_at)),
        duration_ms: i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
        status: attempt.status.map(i32::from),
        failure: attempt.failure,
    }
}

/// Checks that modules declare these types of events; `field` is the path of the list.
fn kinds(policies: &Policies, field: &str, names: &[String]) -> Result<Vec<String>> {
    let unknown = names.iter().enumerate().filter(|(_, name)| policies.event(name).is_none());
    let faults: Vec<_> = unknown
        .map(|(index, _)| (format!("{field}[{index}]"), format!("must be one of {}", policies.event_names())))
        .collect();
    if faults.is_empty() { Ok(names.to_vec()) } else { Err(Error::validation(faults)) }
}

/// Reads the new values of the fields in `paths`.
fn patch(policies: &Policies, message: &pb::WebhookEndpointPatch, paths: &[String]) -> Result<Patch> {
    let mut patch = Patch::default();
    for path in paths {
        match path.as_str() {
            "url" => {
                let required = || Error::field("endpoint.url", "can't be cleared");
                patch.url = Some(message.url.clone().ok_or_else(required)?);
            }
            "description" => patch.description = Some(message.description.clone().unwrap_or_default()),
            "event_types" => patch.kinds = Some(kinds(policies, "endpoint.eventTypes", &message.event_types)?),
            "enabled" => patch.enabled = Some(message.enabled.unwrap_or(false)),
            other => return Err(mainstay_kernel::grpc::mask::unhandled(other)),
        }
    }
    Ok(patch)
}

#[tonic::async_trait]
impl WebhookEndpointService for Webhooks {
    async fn create_webhook_endpoint(
        &self,
        request: Request<pb::CreateWebhookEndpointRequest>,
    ) -> Reply<pb::CreateWebhookEndpointResponse> {
        let (call, context) = (Call::admit(request)?, self.context());
        let pb::CreateWebhookEndpointRequest { url, description, event_types, account_id } = call.message.clone();
        let account = account_id.as_deref().map(AccountId::parse).transpose()?;
        let kinds = kinds(&self.app.contract.policies, "eventTypes", &event_types)?;
        let draft = Draft { url, description, kinds, account };
        let policies = &self.app.contract.policies;
        call.write(&self.app, async move |work: &mut Work| {
            let (endpoint, secret) = ops::create(work, policies, context, draft).await?;
            let secret = secret.expose_secret().to_owned();
            Ok(pb::CreateWebhookEndpointResponse { data: Some(endpoint.message()), secret })
        })
        .await
    }

    async fn get_webhook_endpoint(
        &self,
        request: Request<pb::GetWebhookEndpointRequest>,
    ) -> Reply<pb::GetWebhookEndpointResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, WebhookEndpointId::parse(&call.message.endpoint_id)?);
        let endpoint = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetWebhookEndpointResponse { data: Some(endpoint.message()) })
    }

    async fn list_webhook_endpoints(
        &self,
        request: Request<pb::ListWebhookEndpointsRequest>,
    ) -> Reply<pb::ListWebhookEndpointsResponse> {
        let call = Call::admit(request)?;
        let pager = call.pager(&self.app)?;
        let permit = call.permit()?;
        let list = async move |connection: &_| ops::list(connection, permit, pager.page).await;
        let (endpoints, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListWebhookEndpointsResponse {
            data: endpoints.into_iter().map(Audited::message).collect(),
            meta,
        })
    }

    async fn update_webhook_endpoint(
        &self,
        request: Request<pb::UpdateWebhookEndpointRequest>,
    ) -> Reply<pb::UpdateWebhookEndpointResponse> {
        let mut call = Call::admit(request)?;
        let (id, expected) = (WebhookEndpointId::parse(&call.message.endpoint_id)?, call.if_match.clone());
        let (message, mask) = (call.message.endpoint.take().unwrap_or_default(), call.message.update_mask.take());
        let paths = call.update_paths("endpoint", &message, mask)?;
        let policies = &self.app.contract.policies;
        let (patch, context) = (patch(policies, &message, &paths)?, self.context());
        call.write(&self.app, async move |work: &mut Work| {
            let endpoint = ops::update(work, policies, context, id, expected, patch).await?;
            Ok(pb::UpdateWebhookEndpointResponse { data: Some(endpoint.message()) })
        })
        .await
    }

    async fn delete_webhook_endpoint(
        &self,
        request: Request<pb::DeleteWebhookEndpointRequest>,
    ) -> Reply<pb::DeleteWebhookEndpointResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (WebhookEndpointId::parse(&call.message.endpoint_id)?, call.if_match.clone());
        call.write(&self.app, async move |work: &mut Work| {
            ops::delete(work, id, expected).await?;
            Ok(pb::DeleteWebhookEndpointResponse {})
        })
        .await
    }

    async fn test_webhook_endpoint(
        &self,
        request: Request<pb::TestWebhookEndpointRequest>,
    ) -> Reply<pb::TestWebhookEndpointResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, WebhookEndpointId::parse(&call.message.endpoint_id)?);
        let delivery::TestAnswer { status, duration } = delivery::send_test(&self.app, permit, id).await?;
        let duration_ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        call.read(pb::TestWebhookEndpointResponse {
            data: Some(pb::WebhookTest { status: status.into(), duration_ms }),
        })
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<pb::RotateWebhookSecretRequest>,
    ) -> Reply<pb::RotateWebhookSecretResponse> {
        let (call, context) = (Call::admit(request)?, self.context());
        let id = WebhookEndpointId::parse(&call.message.endpoint_id)?;
        let overlap = TimeDelta::seconds(call.message.overlap_seconds.unwrap_or(OVERLAP_SECONDS).into());
        call.write(&self.app, async move |work: &mut Work| {
            let (endpoint, secret) = ops::rotate(work, context, id, overlap).await?;
            let secret = secret.expose_secret().to_owned();
            Ok(pb::RotateWebhookSecretResponse { data: Some(endpoint.message()), secret })
        })
        .await
    }
}

#[tonic::async_trait]
impl WebhookDeliveryService for Webhooks {
    async fn get_webhook_delivery(
        &self,
        request: Request<pb::GetWebhookDeliveryRequest>,
    ) -> Reply<pb::GetWebhookDeliveryResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, WebhookDeliveryId::parse(&call.message.delivery_id)?);
        let (payload, policies) = (call.asks_for("payload"), &self.app.contract.policies);
        let read = async move |connection: &_| delivery::get(connection, permit, policies, id, payload).await;
        let delivery = self.app.database.query(call.reach(), read).await?;
        call.read(pb::GetWebhookDeliveryResponse { data: Some(render_delivery(delivery)) })
    }

    async fn list_webhook_deliveries(
        &self,
        request: Request<pb::ListWebhookDeliveriesRequest>,
    ) -> Reply<pb::ListWebhookDeliveriesResponse> {
        let call = Call::admit(request)?;
        let pb::ListWebhookDeliveriesRequest { endpoint_id, state, .. } = &call.message;
        let (endpoint, state) = (WebhookEndpointId::parse(endpoint_id)?, state.and_then(DeliveryState::from_number));
        let (pager, payloads) = (call.pager(&self.app)?, call.asks_for("payload"));
        let (permit, policies) = (call.permit()?, &self.app.contract.policies);
        let (deliveries, meta) = call
            .list(
                &self.app,
                pager,
                async move |connection| {
                    let filter = (endpoint, state);
                    delivery::list(connection, permit, policies, filter, pager.page, payloads).await
                },
                Delivery::key,
            )
            .await?;
        let data = deliveries.into_iter().map(|delivery| render_delivery((delivery, Vec::new()))).collect();
        call.read(pb::ListWebhookDeliveriesResponse { data, meta })
    }

    async fn resend_webhook_delivery(
        &self,
        request: Request<pb::ResendWebhookDeliveryRequest>,
    ) -> Reply<pb::ResendWebhookDeliveryResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, WebhookDeliveryId::parse(&call.message.delivery_id)?);
        let policies = &self.app.contract.policies;
        let committed = call.commit(&self.app, async move |work: &mut Work| {
            let delivery = delivery::resend(work, policies, id).await?;
            Ok(resend_response(delivery))
        });
        let current = committed.await?.resolve(async |id: Uuid| {
            let id = WebhookDeliveryId(id);
            let read = async move |connection: &mut _| delivery::get(connection, permit, policies, id, true).await;
            Ok(resend_response(self.app.database.autocommit(read).await?))
        });
        call.respond(current.await?)
    }
}

fn resend_response(delivery: (Delivery, Vec<Attempt>)) -> pb::ResendWebhookDeliveryResponse {
    pb::ResendWebhookDeliveryResponse { data: Some(render_delivery(delivery)) }
}
