//! `mainstay.webhooks.v1.InboundEventService`.

use std::mem;

use crate::webhooks::inbound::{Answer, Challenge, Parameters, SignedEvent, Verifiers, count, forged, malformed};
use tonic::Request;
use uuid::Uuid;

use crate::proto::webhooks::v1::{self as pb, inbound_event_service_server::InboundEventService};
use crate::webhooks::id::InboundEventId;
use crate::webhooks::inbound_event::{
    model::{Filter, InboundEvent, Provider, State},
    ops,
};
use mainstay_kernel::{
    app::App,
    contract::proto::google::api::HttpBody,
    error::{Error, Reason, Result},
    grpc::{Call, Reply, render::time},
    page::Key,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct InboundEvents {
    pub app: App,
}

fn render(event: InboundEvent) -> pb::InboundEvent {
    // The verified payload is JSON, and therefore UTF-8.
    let payload = Some(String::from_utf8_lossy(&event.payload).into_owned()).filter(|payload| !payload.is_empty());
    pb::InboundEvent {
        id: Some(event.id.to_string()),
        provider: Some(Provider::from_name(&event.provider).map_or(0, Provider::number).into()),
        provider_name: Some(event.provider.into_owned()),
        provider_event_id: Some(event.provider_event_id),
        r#type: Some(event.kind),
        state: Some(event.state.number().into()),
        attempts: Some(event.attempts),
        failure: event.failure,
        payload,
        version: Some(event.version),
        receive_time: Some(time(event.received_at)),
        update_time: Some(time(event.updated_at)),
        finish_time: event.finished_at.map(time),
    }
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Rejects a form from a provider that sends none. Every other body is read as JSON regardless of its media type: providers
/// name JSON in many ways or not at all, and the signature decides.
fn check_media_type(content_type: &str, takes_forms: bool) -> Result<()> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if takes_forms || !essence.eq_ignore_ascii_case(FORM) {
        return Ok(());
    }
    let message = format!("The body must be {JSON}.");
    Err(Error::with_message(Reason::UnsupportedMediaType, message).with("accepted", JSON))
}

/// Returns the body of the response to a challenge. A longer answer repeats too much of the request.
fn answer(provider: &'static str, answer: Answer) -> Result<Option<HttpBody>> {
    if answer.text.len() > Answer::MAX_BYTES {
        count(provider, "refused", 1);
        return Err(malformed("the challenge is too long"));
    }
    count(provider, "challenge", 1);
    let content_type = answer.media_type.to_owned();
    Ok(Some(HttpBody { content_type, data: answer.text.into(), ..HttpBody::default() }))
}

/// Returns the name of the provider that a request names, by its number or by its name.
fn named(number: Option<i32>, name: Option<&str>) -> Option<String> {
    name.or_else(|| number.and_then(Provider::from_number).map(Provider::name)).map(str::to_owned)
}

fn redrive_response(event: InboundEvent) -> pb::RedriveInboundEventResponse {
    pb::RedriveInboundEventResponse { data: Some(render(event)) }
}

#[tonic::async_trait]
impl InboundEventService for InboundEvents {
    async fn receive_webhook(&self, request: Request<pb::ReceiveWebhookRequest>) -> Reply<pb::ReceiveWebhookResponse> {
        let headers = request.metadata().clone().into_headers();
        let mut call = Call::admit(request)?;
        let (provider, verifier) = self.app.part::<Verifiers>().of(&call.message.provider)?;
        let body = call.message.body.take().unwrap_or_default();
        let refused = |_: &Error| count(provider, "refused", 1);
        let validation_token = mem::take(&mut call.message.validation_token);
        if !validation_token.is_empty() {
            let parameters = Parameters { validation_token, ..Parameters::default() };
            if let Some(given) = verifier.challenge(Challenge::Unsigned(&parameters)) {
                return call.read(pb::ReceiveWebhookResponse { body: answer(provider, given)? });
            }
        }
        check_media_type(&body.content_type, verifier.takes_forms()).inspect_err(refused)?;
        let now = self.app.clock.now();
        let event = verifier.verify(&headers, &body.data, now).and_then(SignedEvent::check).inspect_err(refused)?;
        if let Some(given) = verifier.challenge(Challenge::Signed { kind: &event.kind, body: &body.data }) {
            return call.read(pb::ReceiveWebhookResponse { body: answer(provider, given)? });
        }
        let event = InboundEvent::new(provider, event.event_id, event.kind, verifier.event(body.data), now);
        let mut outcome = "known";
        let response = call.write(&self.app, async |work: &mut Work| {
            if ops::receive(work, event).await? {
                outcome = "new";
            }
            Ok(pb::ReceiveWebhookResponse { body: None })
        });
        let response = response.await?;
        count(provider, outcome, 1);
        Ok(response)
    }

    async fn answer_webhook_challenge(
        &self,
        request: Request<pb::AnswerWebhookChallengeRequest>,
    ) -> Reply<pb::AnswerWebhookChallengeResponse> {
        let mut call = Call::admit(request)?;
        let (provider, verifier) = self.app.part::<Verifiers>().of(&call.message.provider)?;
        let pb::AnswerWebhookChallengeRequest { hub, challenge, crc_token, .. } = mem::take(&mut call.message);
        let hub = hub.unwrap_or_default();
        let challenge = if hub.challenge.is_empty() { challenge } else { hub.challenge };
        // A browser or a monitor that opens the address sends no challenge: an attempt with one is worth an alert.
        let is_attempt = !(challenge.is_empty() && crc_token.is_empty() && hub.verify_token.is_empty());
        let parameters = Parameters {
            mode: hub.mode,
            verify_token: hub.verify_token,
            challenge,
            crc_token,
            ..Parameters::default()
        };
        match verifier.challenge(Challenge::Unsigned(&parameters)) {
            Some(given) => call.read(pb::AnswerWebhookChallengeResponse { body: answer(provider, given)? }),
            None => {
                count(provider, "refused", is_attempt.into());
                Err(forged("the provider sends no such challenge, or another token").into())
            }
        }
    }

    async fn get_inbound_event(
        &self,
        request: Request<pb::GetInboundEventRequest>,
    ) -> Reply<pb::GetInboundEventResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, InboundEventId::parse(&call.message.event_id)?);
        let payload = call.asks_for("payload");
        let read = async move |connection: &_| ops::get(connection, permit, id, payload).await;
        let event = self.app.database.query(call.reach(), read).await?;
        call.read(pb::GetInboundEventResponse { data: Some(render(event)) })
    }

    async fn list_inbound_events(
        &self,
        request: Request<pb::ListInboundEventsRequest>,
    ) -> Reply<pb::ListInboundEventsResponse> {
        let call = Call::admit(request)?;
        let pb::ListInboundEventsRequest { provider, provider_name, state, .. } = &call.message;
        let filter =
            Filter { provider: named(*provider, provider_name.as_deref()), state: state.and_then(State::from_number) };
        let pager = call.pager(&self.app)?;
        let permit = call.permit()?;
        let list = async move |connection: &_| ops::list(connection, permit, filter, pager.page).await;
        let (events, meta) = call.list(&self.app, pager, list, |row| Key::new(row.received_at, row.id.0)).await?;
        let provider_names = self.app.part::<Verifiers>().names().into_iter().map(str::to_owned).collect();
        let data = events.into_iter().map(render).collect();
        call.read(pb::ListInboundEventsResponse { data, meta, provider_names })
    }

    async fn redrive_inbound_event(
        &self,
        request: Request<pb::RedriveInboundEventRequest>,
    ) -> Reply<pb::RedriveInboundEventResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, InboundEventId::parse(&call.message.event_id)?);
        let committed = call.commit(&self.app, async move |work: &mut Work| {
            let event = ops::redrive(work, id).await?;
            Ok(redrive_response(event))
        });
        let current = committed.await?.resolve(async |id: Uuid| {
            let read = async move |connection: &mut _| ops::get(connection, permit, InboundEventId(id), false).await;
            Ok(redrive_response(self.app.database.autocommit(read).await?))
        });
        call.respond(current.await?)
    }

    async fn redrive_inbound_events(
        &self,
        request: Request<pb::RedriveInboundEventsRequest>,
    ) -> Reply<pb::RedriveInboundEventsResponse> {
        let call = Call::admit(request)?;
        let provider = named(call.message.provider, call.message.provider_name.as_deref());
        call.write(&self.app, async move |work: &mut Work| {
            let (count, more) = ops::redrive_dead(work, provider).await?;
            let count = i32::try_from(count).unwrap_or(i32::MAX);
            Ok(pb::RedriveInboundEventsResponse { data: Some(pb::RedrivenEvents { count, more }) })
        })
        .await
    }
}
