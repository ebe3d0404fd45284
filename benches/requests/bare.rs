//! The bare server: the same messages, statements and table, without the middleware stack and the layers around them. With
//! [`Checks`], it is the careful server.

use std::sync::Arc;

use diesel_async::{
    AsyncConnection as _, AsyncPgConnection,
    pooled_connection::{AsyncDieselConnectionManager, bb8::Pool},
};
use mainstay::identity::user::model::Language;
use mainstay::proto::support::v1::{
    self as pb,
    ticket_service_server::{TicketService, TicketServiceServer},
};
use mainstay::support::id::TicketId;
use mainstay::support::ticket::{
    model::{ActivityKind, Content, Filter, Kind, Order, Priority, Ticket},
    store as ticket,
};
use mainstay_kernel::{
    caller::{Caller, SignIn, Visibility},
    clock::Clock,
    contract::{policy::Role, proto::common::v1::PageMeta},
    id::{AccountId, SessionId, UserId},
    page::Page,
};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::careful::{Careful, Checks};

/// Serves until the process is killed.
pub(crate) async fn serve(url: &str, pool: u32, port: u16, checks: Option<Checks>) -> anyhow::Result<()> {
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(url);
    let pool = Pool::builder().max_size(pool).test_on_check_out(false).build(manager).await?;
    let server = tonic::transport::Server::builder().tcp_nodelay(true);
    let checks = checks.map(Arc::new);
    let layer = tower::layer::layer_fn(move |inner| Careful { inner, checks: checks.clone() });
    let mut server = server.http2_adaptive_window(Some(true)).layer(layer);
    let service = TicketServiceServer::new(Bare { pool, clock: Clock::default() });
    Ok(server.add_service(service).serve(([127, 0, 0, 1], port).into()).await?)
}

struct Bare {
    pool: Pool<AsyncPgConnection>,
    clock: Clock,
}

type Reply<T> = Result<Response<T>, Status>;

fn failed(error: impl std::fmt::Debug) -> Status {
    Status::internal(format!("{error:?}"))
}

fn left_out<T>() -> Reply<T> {
    Err(Status::unimplemented("not measured"))
}

/// The visibility that the server's own operation passes for an admin.
fn admin() -> Caller {
    let id = Uuid::nil();
    let (account, session) = (Some(AccountId(id)), SessionId(id));
    let sign_in = SignIn::at(chrono::DateTime::UNIX_EPOCH);
    Caller::User { id: UserId(id), account, role: Role::Admin, session, scopes: [].into(), sign_in }
}

#[tonic::async_trait]
impl TicketService for Bare {
    async fn get_ticket(&self, request: Request<pb::GetTicketRequest>) -> Reply<pb::GetTicketResponse> {
        let id = TicketId::parse(&request.get_ref().ticket_id).map_err(failed)?;
        let connection = self.pool.get().await.map_err(failed)?;
        let ticket = ticket::get(&connection, Visibility::All, id, true).await.map_err(failed)?;
        Ok(Response::new(pb::GetTicketResponse { data: Some(render(ticket)) }))
    }

    async fn list_tickets(&self, _: Request<pb::ListTicketsRequest>) -> Reply<pb::ListTicketsResponse> {
        let (filter, all, size) = (Filter::default(), Visibility::All, 20);
        let connection = self.pool.get().await.map_err(failed)?;
        let total = ticket::total(&connection, all, &filter).await.map_err(failed)?;
        let listed = ticket::list(&connection, all, &filter, Order::CreateTimeDesc, Page::first(size + 1), true);
        let listed = listed.await.map_err(failed)?;
        let meta = PageMeta { page: Some(1), page_size: 20, total: Some(total.rows), ..PageMeta::default() };
        let data = listed.into_iter().take(20).map(render).collect();
        Ok(Response::new(pb::ListTicketsResponse { data, meta: Some(meta) }))
    }

    async fn create_ticket(&self, request: Request<pb::CreateTicketRequest>) -> Reply<pb::CreateTicketResponse> {
        let request = request.into_inner();
        let account = AccountId::parse(request.account_id.as_deref().unwrap_or_default()).map_err(failed)?;
        let content = Content {
            subject: request.subject,
            body: request.body,
            kind: Kind::Request,
            priority: Priority::Medium,
            queue: "General Inquiry".to_owned(),
            language: Language::default(),
            tags: request.tags,
            attachments: Vec::new(),
        };
        let now = self.clock.now();
        let ticket = Ticket::new(account, None, content, now);
        let mut connection = self.pool.get().await.map_err(failed)?;
        let transaction = connection.transaction::<_, BareError, _>(async |connection| {
            ticket::insert(connection, std::slice::from_ref(&ticket)).await?;
            ticket::record(connection, Some(&admin()), [ticket.id], ActivityKind::Created, "", now).await?;
            Ok(())
        });
        transaction.await.map_err(failed)?;
        Ok(Response::new(pb::CreateTicketResponse { data: Some(render(ticket)) }))
    }

    async fn update_ticket(&self, _: Request<pb::UpdateTicketRequest>) -> Reply<pb::UpdateTicketResponse> {
        left_out()
    }

    async fn delete_ticket(&self, _: Request<pb::DeleteTicketRequest>) -> Reply<pb::DeleteTicketResponse> {
        left_out()
    }

    async fn resolve_ticket(&self, _: Request<pb::ResolveTicketRequest>) -> Reply<pb::ResolveTicketResponse> {
        left_out()
    }

    async fn reopen_ticket(&self, _: Request<pb::ReopenTicketRequest>) -> Reply<pb::ReopenTicketResponse> {
        left_out()
    }

    async fn merge_ticket(&self, _: Request<pb::MergeTicketRequest>) -> Reply<pb::MergeTicketResponse> {
        left_out()
    }

    async fn assign_ticket(&self, _: Request<pb::AssignTicketRequest>) -> Reply<pb::AssignTicketResponse> {
        left_out()
    }

    async fn get_ticket_labels(&self, _: Request<pb::GetTicketLabelsRequest>) -> Reply<pb::GetTicketLabelsResponse> {
        left_out()
    }

    async fn batch_get_tickets(&self, _: Request<pb::BatchGetTicketsRequest>) -> Reply<pb::BatchGetTicketsResponse> {
        left_out()
    }

    async fn batch_create_tickets(
        &self,
        _: Request<pb::BatchCreateTicketsRequest>,
    ) -> Reply<pb::BatchCreateTicketsResponse> {
        left_out()
    }

    type ExportTicketsStream = tokio_stream::Empty<Result<pb::ExportTicketsResponse, Status>>;

    async fn export_tickets(&self, _: Request<pb::ExportTicketsRequest>) -> Reply<Self::ExportTicketsStream> {
        left_out()
    }

    type ExportTicketsCsvStream = tokio_stream::Empty<Result<pb::ExportTicketsCsvResponse, Status>>;

    async fn export_tickets_csv(&self, _: Request<pb::ExportTicketsCsvRequest>) -> Reply<Self::ExportTicketsCsvStream> {
        left_out()
    }

    type WatchTicketsStream = tokio_stream::Empty<Result<pb::WatchTicketsResponse, Status>>;

    async fn watch_tickets(&self, _: Request<pb::WatchTicketsRequest>) -> Reply<Self::WatchTicketsStream> {
        left_out()
    }

    async fn import_tickets(
        &self,
        _: Request<Streaming<pb::ImportTicketsRequest>>,
    ) -> Reply<pb::ImportTicketsResponse> {
        left_out()
    }

    async fn bulk_change_tickets(
        &self,
        _: Request<pb::BulkChangeTicketsRequest>,
    ) -> Reply<pb::BulkChangeTicketsResponse> {
        left_out()
    }

    async fn undo_bulk_change(&self, _: Request<pb::UndoBulkChangeRequest>) -> Reply<pb::UndoBulkChangeResponse> {
        left_out()
    }
}

/// The reason why a transaction was rolled back. Diesel requires that its own errors convert into it.
#[derive(Debug)]
struct BareError(#[expect(dead_code, reason = "shown by Debug")] mainstay_kernel::error::Error);

impl From<mainstay_kernel::error::Error> for BareError {
    fn from(error: mainstay_kernel::error::Error) -> Self {
        Self(error)
    }
}

impl From<diesel::result::Error> for BareError {
    fn from(error: diesel::result::Error) -> Self {
        Self(error.into())
    }
}

fn render(ticket: Ticket) -> pb::Ticket {
    let time = mainstay_kernel::grpc::render::time;
    let Ticket { content, state, .. } = ticket;
    pb::Ticket {
        id: Some(ticket.id.to_string()),
        account_id: Some(ticket.account.to_string()),
        requester_id: ticket.requester.map(|id| id.to_string()),
        subject: Some(content.subject),
        body: Some(content.body),
        kind: Some(content.kind.number().into()),
        status: Some(state.status().number().into()),
        priority: Some(content.priority.number().into()),
        queue: Some(content.queue),
        language: Some(content.language.into()),
        tags: content.tags,
        assignee_id: state.assignee().map(|id| id.to_string()),
        version: Some(ticket.version),
        create_time: Some(time(ticket.created_at)),
        update_time: Some(time(ticket.updated_at)),
        resolve_time: state.resolved_at().map(time),
        ..pb::Ticket::default()
    }
}
