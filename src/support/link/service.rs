//! `mainstay.support.v1.TicketLinkService`.

use tonic::Request;

use crate::proto::support::v1::{self as pb, ticket_link_service_server::TicketLinkService};
use crate::support::{
    id::{TicketId, TicketLinkId},
    link::{
        model::{Link, LinkKind},
        ops,
    },
};
use mainstay_kernel::{
    app::App,
    audit::Audited,
    error::Error,
    grpc::{Call, Reply, render::time},
    page::Key,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct TicketLinks {
    pub app: App,
}

impl Audited for Link {
    type Message = pb::TicketLink;

    fn message(self) -> pb::TicketLink {
        pb::TicketLink {
            id: self.id.to_string(),
            ticket_id: self.ticket.to_string(),
            other_id: self.other.to_string(),
            kind: Some(self.kind.number().into()),
            author_id: self.author.to_string(),
            create_time: Some(time(self.created_at)),
        }
    }
}

#[tonic::async_trait]
impl TicketLinkService for TicketLinks {
    async fn create_ticket_link(
        &self,
        request: Request<pb::CreateTicketLinkRequest>,
    ) -> Reply<pb::CreateTicketLinkResponse> {
        let call = Call::admit(request)?;
        let ids = [TicketId::parse(&call.message.ticket_id)?, TicketId::parse(&call.message.other_id)?];
        let kind = LinkKind::from_number(call.message.kind).ok_or_else(|| Error::field("kind", "is required"))?;
        call.write(&self.app, async move |work: &mut Work| {
            let link = ops::create(work, ids, kind).await?;
            Ok(pb::CreateTicketLinkResponse { data: Some(link.message()) })
        })
        .await
    }

    async fn get_ticket_link(&self, request: Request<pb::GetTicketLinkRequest>) -> Reply<pb::GetTicketLinkResponse> {
        let call = Call::admit(request)?;
        let (permit, ticket) = (call.permit()?, TicketId::parse(&call.message.ticket_id)?);
        let id = TicketLinkId::parse(&call.message.link_id)?;
        let read = async move |connection: &_| ops::get(connection, &permit, ticket, id).await;
        let link = self.app.database.read(read).await?;
        call.read(pb::GetTicketLinkResponse { data: Some(link.message()) })
    }

    async fn list_ticket_links(
        &self,
        request: Request<pb::ListTicketLinksRequest>,
    ) -> Reply<pb::ListTicketLinksResponse> {
        let call = Call::admit(request)?;
        let (permit, ticket) = (call.permit()?, TicketId::parse(&call.message.ticket_id)?);
        let pager = call.pager(&self.app)?;
        let list = async move |connection: &_| ops::list(connection, permit, ticket, pager.page).await;
        let (links, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListTicketLinksResponse { data: links.into_iter().map(Audited::message).collect(), meta })
    }

    async fn delete_ticket_link(
        &self,
        request: Request<pb::DeleteTicketLinkRequest>,
    ) -> Reply<pb::DeleteTicketLinkResponse> {
        let call = Call::admit(request)?;
        let ticket = TicketId::parse(&call.message.ticket_id)?;
        let id = TicketLinkId::parse(&call.message.link_id)?;
        call.write(&self.app, async move |work: &mut Work| {
            ops::delete(work, ticket, id).await?;
            Ok(pb::DeleteTicketLinkResponse {})
        })
        .await
    }
}
