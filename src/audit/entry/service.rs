//! `mainstay.audit.v1.AuditService`.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use mainstay_kernel::{
    app::App,
    caller::{APPLICATION, IMPERSONATOR, Permit},
    context,
    database::Reach,
    error::{Reason, Result},
    grpc::{Call, Reply, parse, render::time},
    id::AccountId,
    page::Key,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{
    audit::entry::{
        model::{Entry, FieldChange, Filter},
        ops,
    },
    proto::audit::v1::{self as pb, audit_service_server::AuditService, export_audit_entries_response::Item},
};

/// The entries of a page of an export. A reader that stops reading keeps one page in memory.
const EXPORT_PAGE: usize = 200;

#[derive(Debug, Clone)]
pub struct AuditEntries {
    pub app: App,
}

fn render(mut entry: Entry) -> pb::AuditEntry {
    let mut fact = |name: &str| Some(entry.changes.shift_remove(name)?.get("after")?.as_str()?.to_owned());
    let (impersonator_id, oauth_client_id) = (fact(IMPERSONATOR), fact(APPLICATION));
    let changes = entry.field_changes().map(|FieldChange { name, before, after }| {
        let is_withheld = before.is_none() && after.is_none();
        pb::FieldChange { name, before, after, is_withheld }
    });
    pb::AuditEntry {
        id: entry.id.to_string(),
        record_time: Some(time(entry.time())),
        changes: changes.collect(),
        method: entry.method,
        outcome: entry.outcome.into(),
        actor_kind: entry.actor_kind.into(),
        actor_id: entry.actor.map(|id| id.to_string()),
        account_id: entry.account.map(|id| id.to_string()),
        resource_kind: entry.resource_kind,
        resource_id: entry.resource.map(|id| id.to_string()),
        request_id: entry.request,
        client_address: entry.personal.client_address,
        user_agent: entry.personal.user_agent,
        reason: entry.personal.reason,
        impersonator_id,
        oauth_client_id,
    }
}

fn filter(message: pb::ExportAuditEntriesRequest) -> Result<Filter> {
    let id = |text: Option<String>| text.and_then(|text| text.parse::<Uuid>().ok());
    Ok(Filter {
        actor: id(message.actor_id),
        account: id(message.account_id).map(AccountId),
        resource_kind: message.resource_kind,
        resource: id(message.resource_id),
        method: message.method,
        from: message.start_time.map(|time| parse::time(time, "startTime")).transpose()?,
        until: message.end_time.map(|time| parse::time(time, "endTime")).transpose()?,
    })
}

/// Returns the request of an export with the filter of a list.
fn same_export(message: pb::ListAuditEntriesRequest) -> pb::ExportAuditEntriesRequest {
    let pb::ListAuditEntriesRequest { actor_id, account_id, resource_kind, resource_id, method, .. } = message;
    let (start_time, end_time) = (message.start_time, message.end_time);
    pb::ExportAuditEntriesRequest { actor_id, account_id, resource_kind, resource_id, method, start_time, end_time }
}

#[tonic::async_trait]
impl AuditService for AuditEntries {
    async fn list_audit_entries(
        &self,
        request: Request<pb::ListAuditEntriesRequest>,
    ) -> Reply<pb::ListAuditEntriesResponse> {
        let call = Call::admit(request)?;
        let (permit, pager) = (call.permit()?, call.pager(&self.app)?);
        let filter = filter(same_export(call.message.clone()))?;
        let list = async move |connection: &_| ops::list(connection, permit, filter, pager.page).await;
        let (entries, meta) = call.list(&self.app, pager, list, Entry::key).await?;
        call.read(pb::ListAuditEntriesResponse { data: entries.into_iter().map(render).collect(), meta })
    }

    type ExportAuditEntriesStream = Messages;

    async fn export_audit_entries(
        &self,
        request: Request<pb::ExportAuditEntriesRequest>,
    ) -> Reply<Self::ExportAuditEntriesStream> {
        let call = Call::admit(request)?;
        let permit = call.permit()?;
        let filter = filter(call.message)?;
        Ok(Response::new(export(self.app.clone(), permit, filter).await?))
    }
}

pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<pb::ExportAuditEntriesResponse, Status>> + Send>>;

/// The continuation of an export.
enum Next {
    Page(Vec<Entry>),
    After(Key),
    End,
}

/// Streams every matching entry, oldest first: only one page is in memory, and the next one is read once the caller has taken
/// it.
///
/// # Errors
/// The errors of the first page; a later error is the stream's last message.
async fn export(app: App, permit: Permit, filter: Filter) -> Result<Messages> {
    let deadline = context::remaining().map(|budget| tokio::time::Instant::now() + budget);
    let first = page(&app, &permit, &filter, None).await?;
    let pages = stream::unfold(Next::Page(first), move |next| {
        let (app, permit, filter) = (app.clone(), permit.clone(), filter.clone());
        async move {
            let entries = match next {
                Next::End => return None,
                Next::Page(entries) => Ok(entries),
                Next::After(key) => within(deadline, page(&app, &permit, &filter, Some(key))).await,
            };
            let last = entries.as_ref().ok().filter(|entries| entries.len() == EXPORT_PAGE);
            let next = last.and_then(|entries| entries.last()).map_or(Next::End, |last| Next::After(last.key()));
            Some((entries, next))
        }
    });
    Ok(Box::pin(pages.flat_map(|page| {
        let items = match page {
            Ok(entries) => entries.into_iter().map(|entry| Item::Data(Box::new(render(entry)))).collect(),
            Err(error) => vec![Item::Error((&error).into())],
        };
        stream::iter(items.into_iter().map(|item| Ok(pb::ExportAuditEntriesResponse { item: Some(item) })))
    })))
}

async fn page(app: &App, permit: &Permit, filter: &Filter, after: Option<Key>) -> Result<Vec<Entry>> {
    let (reach, permit, filter) = (Reach::of(permit), permit.clone(), filter.clone());
    let read = async move |connection: &_| ops::export(connection, permit, filter, after, EXPORT_PAGE as i64).await;
    app.database.query(reach, read).await
}

async fn within<T>(deadline: Option<tokio::time::Instant>, work: impl Future<Output = Result<T>>) -> Result<T> {
    match deadline {
        None => work.await,
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.unwrap_or(Err(Reason::DeadlineExceeded.into())),
    }
}
