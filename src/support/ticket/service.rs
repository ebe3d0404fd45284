//! `mainstay.support.v1.TicketService`.

mod bulk;
mod convert;
mod export;
mod include;
mod watch;

use crate::support::config::SupportConfig;
use tonic::{Request, Response, metadata::MetadataValue};

use crate::files::id::FileId;
use crate::proto::support::v1::{self as pb, ticket_service_server::TicketService};
use crate::support::id::TicketId;
use crate::support::ticket::{
    model::labels::Labels,
    ops::{self, IncludedResources},
};
use mainstay_kernel::{
    app::App,
    contract::policy::Role,
    error::Result,
    grpc::{Call, Reply, page::Pager},
    id::UserId,
    unit_of_work::Work,
};

/// The comments, and the activities, that one ticket includes.
const INCLUDED: i64 = 20;
/// As above, of each ticket of a list.
const INCLUDED_IN_LISTS: i64 = 5;
/// The most tickets of a page with their comments: a page is then no larger than one of tickets alone.
const MAX_SIZE_WITH_COMMENTS: i64 = 20;

#[derive(Debug, Clone)]
pub struct Tickets {
    pub app: App,
}

/// Reads the target of a change: the ticket and its expected version.
fn target<M>(call: &Call<M>, ticket_id: &str) -> Result<ops::Target> {
    Ok(ops::Target { id: TicketId::parse(ticket_id)?, expected: call.if_match.clone() })
}

#[tonic::async_trait]
impl TicketService for Tickets {
    async fn create_ticket(&self, request: Request<pb::CreateTicketRequest>) -> Reply<pb::CreateTicketResponse> {
        let call = Call::admit(request)?;
        let permit = call.permit()?;
        let mut draft = convert::draft(convert::single_draft(call.message.clone()), "")?;
        draft.content.attachments = FileId::parse_all(&call.message.attachment_ids)?;
        let limit = self.app.config.section::<SupportConfig>().open_ticket_limit;
        // Each of these calls locks the customer, or the account of a key, to count the open tickets: they run serially.
        let _guard = match permit.caller().role() {
            Role::Customer => self.app.keyed_mutex.lock(permit.caller().limited_as()).await,
            _ => None,
        };
        call.write(&self.app, async move |work: &mut Work| {
            let ticket = ops::create(work, draft, limit).await?;
            Ok(pb::CreateTicketResponse { data: Some(convert::ticket(ticket)) })
        })
        .await
    }

    async fn get_ticket(&self, request: Request<pb::GetTicketRequest>) -> Reply<pb::GetTicketResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, TicketId::parse(&call.message.ticket_id)?);
        let (includes, texts) = (include::includes(&call, INCLUDED), call.asks_for("body"));
        let read = async move |connection: &_| ops::get_with(connection, &permit, id, includes, texts).await;
        let (ticket, included) = self.app.database.read(read).await?;
        let mut data = include::tickets(&self.app, call.method, includes, vec![ticket], included);
        call.read(pb::GetTicketResponse { data: data.pop() })
    }

    async fn batch_get_tickets(
        &self,
        request: Request<pb::BatchGetTicketsRequest>,
    ) -> Reply<pb::BatchGetTicketsResponse> {
        let call = Call::admit(request)?;
        let (permit, texts) = (call.permit()?, call.asks_for("body"));
        let ids = call.message.ids.iter().map(|id| TicketId::parse(id)).collect::<Result<_>>()?;
        let tickets = call
            .batch(&self.app, call.message.ids.len(), async move |connection| {
                ops::get_batch(connection, permit, ids, texts).await
            })
            .await?;
        call.read(pb::BatchGetTicketsResponse { data: tickets.into_iter().map(convert::ticket).collect() })
    }

    async fn list_tickets(&self, request: Request<pb::ListTicketsRequest>) -> Reply<pb::ListTicketsResponse> {
        let call = Call::admit(request)?;
        let (filter, order) = (convert::list_filter(&call.message)?, convert::order(call.message.order));
        let includes = include::includes(&call, INCLUDED_IN_LISTS);
        let max_size = if includes.comments { MAX_SIZE_WITH_COMMENTS } else { Pager::MAX_SIZE };
        let pager = call.pager_of_at_most(&self.app, max_size)?;
        let (permit, texts) = (call.permit()?, call.asks_for("body"));
        let reader = permit.clone();
        let (tickets, meta) = call
            .list(
                &self.app,
                pager,
                async move |connection| ops::list(connection, permit, filter, order, pager.page, texts).await,
                |ticket| ticket.key(order),
            )
            .await?;
        let rows = &tickets;
        let include = async move |connection: &_| ops::include(connection, &reader, rows, includes).await;
        let included = match includes.is_empty() {
            true => IncludedResources::default(),
            false => self.app.database.read(include).await?,
        };
        let data = include::tickets(&self.app, call.method, includes, tickets, included);
        call.read(pb::ListTicketsResponse { data, meta })
    }

    async fn get_ticket_labels(
        &self,
        request: Request<pb::GetTicketLabelsRequest>,
    ) -> Reply<pb::GetTicketLabelsResponse> {
        let call = Call::admit(request)?;
        let permit = call.permit()?;
        let read = async move |connection: &_| ops::labels(connection, permit).await;
        let Labels { queues, tags } = self.app.database.query(call.reach(), read).await?;
        call.read(pb::GetTicketLabelsResponse { data: Some(pb::TicketLabels { queues, tags }) })
    }

    async fn update_ticket(&self, request: Request<pb::UpdateTicketRequest>) -> Reply<pb::UpdateTicketResponse> {
        let mut call = Call::admit(request)?;
        let target = target(&call, &call.message.ticket_id)?;
        let (message, mask) = (call.message.ticket.take().unwrap_or_default(), call.message.update_mask.take());
        let paths = call.update_paths("ticket", &message, mask)?;
        let patch = convert::patch(message, &paths)?;
        call.write(&self.app, async move |work: &mut Work| {
            let ticket = ops::update(work, target, patch).await?;
            Ok(pb::UpdateTicketResponse { data: Some(convert::ticket(ticket)) })
        })
        .await
    }

    async fn delete_ticket(&self, request: Request<pb::DeleteTicketRequest>) -> Reply<pb::DeleteTicketResponse> {
        let call = Call::admit(request)?;
        let target = target(&call, &call.message.ticket_id)?;
        call.write(&self.app, async move |work: &mut Work| {
            ops::delete(work, target).await?;
            Ok(pb::DeleteTicketResponse {})
        })
        .await
    }

    async fn resolve_ticket(&self, request: Request<pb::ResolveTicketRequest>) -> Reply<pb::ResolveTicketResponse> {
        let call = Call::admit(request)?;
        let target = target(&call, &call.message.ticket_id)?;
        call.write(&self.app, async move |work: &mut Work| {
            let ticket = ops::resolve(work, target).await?;
            Ok(pb::ResolveTicketResponse { data: Some(convert::ticket(ticket)) })
        })
        .await
    }

    async fn reopen_ticket(&self, request: Request<pb::ReopenTicketRequest>) -> Reply<pb::ReopenTicketResponse> {
        let call = Call::admit(request)?;
        let target = target(&call, &call.message.ticket_id)?;
        let limit = self.app.config.section::<SupportConfig>().open_ticket_limit;
        call.write(&self.app, async move |work: &mut Work| {
            let ticket = ops::reopen(work, target, limit).await?;
            Ok(pb::ReopenTicketResponse { data: Some(convert::ticket(ticket)) })
        })
        .await
    }

    async fn assign_ticket(&self, request: Request<pb::AssignTicketRequest>) -> Reply<pb::AssignTicketResponse> {
        let call = Call::admit(request)?;
        let target = target(&call, &call.message.ticket_id)?;
        let assignee = call.message.assignee_id.as_deref().map(UserId::parse).transpose()?;
        call.write(&self.app, async move |work: &mut Work| {
            let ticket = ops::assign(work, target, assignee).await?;
            Ok(pb::AssignTicketResponse { data: Some(convert::ticket(ticket)) })
        })
        .await
    }

    async fn merge_ticket(&self, request: Request<pb::MergeTicketRequest>) -> Reply<pb::MergeTicketResponse> {
        let call = Call::admit(request)?;
        let source = target(&call, &call.message.ticket_id)?;
        let target = TicketId::parse(&call.message.target_id)?;
        call.write(&self.app, async move |work: &mut Work| {
            let ticket = ops::merge(work, source, target).await?;
            Ok(pb::MergeTicketResponse { data: Some(convert::ticket(ticket)) })
        })
        .await
    }

    async fn batch_create_tickets(
        &self,
        request: Request<pb::BatchCreateTicketsRequest>,
    ) -> Reply<pb::BatchCreateTicketsResponse> {
        let mut call = Call::admit(request)?;
        let drafts = std::mem::take(&mut call.message.tickets).into_iter().enumerate();
        let drafts = drafts.map(|(index, draft)| convert::draft(draft, &format!("tickets[{index}].")));
        let drafts = drafts.collect::<Result<Vec<_>>>()?;
        call.write(&self.app, async move |work: &mut Work| {
            let tickets = ops::create_batch(work, drafts).await?;
            Ok(pb::BatchCreateTicketsResponse { data: tickets.into_iter().map(convert::ticket).collect() })
        })
        .await
    }

    type ExportTicketsStream = export::Messages;

    async fn export_tickets(&self, request: Request<pb::ExportTicketsRequest>) -> Reply<Self::ExportTicketsStream> {
        let call = Call::admit(request)?;
        let permit = call.permit()?;
        let filter = convert::export_filter(call.message)?;
        Ok(Response::new(export::export(self.app.clone(), permit, filter).await?))
    }

    type ExportTicketsCsvStream = export::Pieces;

    async fn export_tickets_csv(
        &self,
        request: Request<pb::ExportTicketsCsvRequest>,
    ) -> Reply<Self::ExportTicketsCsvStream> {
        let call = Call::admit(request)?;
        let permit = call.permit()?;
        let filter = convert::export_filter(convert::same_export(call.message))?;
        let mut response = Response::new(export::export_csv(self.app.clone(), permit, filter).await?);
        // A browser saves it under this name.
        let name = MetadataValue::from_static("attachment; filename=\"tickets.csv\"");
        response.metadata_mut().insert("content-disposition", name);
        Ok(response)
    }

    type WatchTicketsStream = watch::Messages;

    async fn watch_tickets(&self, request: Request<pb::WatchTicketsRequest>) -> Reply<Self::WatchTicketsStream> {
        let call = Call::admit(request)?;
        Ok(watch::TICKETS.watch(&self.app, &call, &call.message.resume_token, watch::message).await?)
    }

    async fn import_tickets(
        &self,
        request: Request<tonic::Streaming<pb::ImportTicketsRequest>>,
    ) -> Reply<pb::ImportTicketsResponse> {
        crate::support::import::service::import(&self.app, request).await
    }

    async fn bulk_change_tickets(
        &self,
        request: Request<pb::BulkChangeTicketsRequest>,
    ) -> Reply<pb::BulkChangeTicketsResponse> {
        bulk::change(&self.app, request).await
    }

    async fn undo_bulk_change(&self, request: Request<pb::UndoBulkChangeRequest>) -> Reply<pb::UndoBulkChangeResponse> {
        bulk::undo(&self.app, request).await
    }
}
