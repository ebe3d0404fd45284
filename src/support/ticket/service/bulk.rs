//! Handlers of bulk changes.

use std::collections::HashSet;

use tonic::Request;

use super::convert;
use crate::{
    operations::{self, id::OperationId, ops::Kinds},
    proto::support::v1 as pb,
    support::{
        id::TicketId,
        ticket::{
            model::{
                Kind, Priority,
                bulk::{BulkChange, BulkPatch, Preview, Selection},
            },
            ops,
        },
    },
};
use mainstay_kernel::{
    app::App,
    error::{Error, Result},
    grpc::{Call, Reply},
    id::UserId,
    unit_of_work::Work,
};

/// Handles `BulkChangeTickets`.
pub(crate) async fn change(
    app: &App,
    request: Request<pb::BulkChangeTicketsRequest>,
) -> Reply<pb::BulkChangeTicketsResponse> {
    let call = Call::admit(request)?;
    let (selection, change) = (selection(&call.message)?, bulk_change(&call.message)?);
    if call.message.validate_only {
        let (permit, now, undoable) = (call.permit()?, app.clock.now(), change != BulkChange::Delete);
        let read = async move |connection: &_| ops::preview(connection, permit, selection, change, now).await;
        let preview = render(app.database.query(call.reach(), read).await?, undoable);
        return call.read(pb::BulkChangeTicketsResponse { data: None, preview: Some(preview) });
    }
    let begin = async move |work: &mut Work| ops::begin_bulk_change(work, selection, change).await;
    let response = |operation| pb::BulkChangeTicketsResponse { data: Some(operation), preview: None };
    operations::write(&call, app, begin, response).await
}

/// Handles `UndoBulkChange`.
pub(crate) async fn undo(app: &App, request: Request<pb::UndoBulkChangeRequest>) -> Reply<pb::UndoBulkChangeResponse> {
    let call = Call::admit(request)?;
    let (id, kinds) = (OperationId::parse(&call.message.operation_id)?, app.part::<Kinds>());
    let begin = async move |work: &mut Work| ops::undo_bulk_change(work, kinds, id).await;
    operations::write(&call, app, begin, |operation| pb::UndoBulkChangeResponse { data: Some(operation) }).await
}

fn selection(message: &pb::BulkChangeTicketsRequest) -> Result<Selection> {
    match (message.ids.as_slice(), message.filter.clone()) {
        ([], Some(filter)) => Ok(Selection::Filter(convert::filter(filter)?)),
        ([], None) => Err(Error::field("ids", "must have an id, or there must be a filter")),
        (_, Some(_)) => Err(Error::field("filter", "must be absent if there are ids")),
        (ids, None) => {
            let mut ids: Vec<TicketId> = ids.iter().map(|id| TicketId::parse(id)).collect::<Result<_>>()?;
            // Ids that differ in case are the same.
            let mut seen = HashSet::new();
            ids.retain(|id| seen.insert(*id));
            Ok(Selection::Ids(ids))
        }
    }
}

fn bulk_change(message: &pb::BulkChangeTicketsRequest) -> Result<BulkChange> {
    use pb::TicketBulkAction as Action;
    let action = message.action();
    if message.patch.is_some() && action != Action::Update {
        return Err(Error::field("patch", "must be absent except in an update"));
    }
    if message.assignee_id.is_some() && action != Action::Assign {
        return Err(Error::field("assigneeId", "must be absent except in an assignment"));
    }
    match action {
        Action::Update => Ok(BulkChange::Update(patch(message.patch.clone().unwrap_or_default())?)),
        Action::Assign => {
            let assignee = message.assignee_id.as_deref().map(UserId::parse).transpose()?;
            Ok(BulkChange::Assign { assignee })
        }
        Action::Resolve => Ok(BulkChange::Resolve),
        Action::Delete => Ok(BulkChange::Delete),
        Action::Unspecified => Err(Error::field("action", "is required")),
    }
}

/// # Errors
/// `VALIDATION_FAILED` for a patch without a new value, and for a tag that is both added and removed.
fn patch(message: pb::TicketBulkPatch) -> Result<BulkPatch> {
    let pb::TicketBulkPatch { kind, priority, queue, add_tags, remove_tags } = message;
    let kind = kind.and_then(Kind::from_number).map(Kind::number);
    let priority = priority.and_then(Priority::from_number).map(Priority::number);
    if add_tags.iter().any(|tag| remove_tags.contains(tag)) {
        return Err(Error::field("patch.addTags", "must not have a tag to remove"));
    }
    let patch = BulkPatch { kind, priority, queue, add_tags, remove_tags };
    if patch == BulkPatch::default() {
        return Err(Error::field("patch", "must have a new value"));
    }
    Ok(patch)
}

fn render(preview: Preview, undoable: bool) -> pb::BulkChangePreview {
    let skipped = preview.skipped.into_iter().map(|skip| pb::BulkChangeSkip {
        code: skip.code.to_owned(),
        tickets: skip.tickets,
        example_ids: skip.examples.iter().map(ToString::to_string).collect(),
    });
    pb::BulkChangePreview {
        tickets_changed: preview.changed,
        tickets_unchanged: preview.unchanged,
        skipped: skipped.collect(),
        undoable,
    }
}
