//! `mainstay.support.v1.CommentService` and `ActivityService`.

use tonic::Request;

use crate::files::id::FileId;
use crate::proto::support::v1::{
    self as pb, activity_service_server::ActivityService, comment_service_server::CommentService,
};
use crate::support::comment::{
    model::{Activity, Comment, Draft, Patch},
    ops,
};
use crate::support::id::{CommentId, TicketId};
use mainstay_kernel::{
    app::App,
    audit::Audited,
    error::{Error, Result},
    grpc::{Call, Reply, mask, render::time},
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct Comments {
    pub app: App,
}

pub(crate) fn comment(comment: Comment) -> pb::Comment {
    pb::Comment {
        id: comment.id.to_string(),
        ticket_id: comment.ticket.to_string(),
        author_id: comment.author.map(|id| id.to_string()),
        author_role: comment.author_role.into(),
        body: comment.body,
        attachment_ids: comment.attachments.iter().map(ToString::to_string).collect(),
        create_time: Some(time(comment.created_at)),
        edit_time: comment.edited_at.map(time),
        internal: comment.is_internal,
    }
}

impl Audited for Comment {
    type Message = pb::Comment;

    fn message(self) -> pb::Comment {
        comment(self)
    }
}

pub(crate) fn activity(activity: Activity) -> pb::Activity {
    pb::Activity {
        id: activity.id.to_string(),
        ticket_id: activity.ticket.to_string(),
        actor_id: activity.actor.map(|id| id.to_string()),
        actor_role: activity.actor_role.into(),
        kind: activity.kind.number().into(),
        detail: activity.detail,
        create_time: Some(time(activity.created_at)),
    }
}

/// Reads the new values of the fields in `paths`.
///
/// # Errors
/// `VALIDATION_FAILED` for a field that can't be cleared.
fn read_patch(message: pb::CommentPatch, paths: &[String]) -> Result<Patch> {
    let mut patch = Patch::default();
    for path in paths {
        match path.as_str() {
            "body" => {
                let missing = || Error::field("comment.body", "can't be cleared");
                patch.body = Some(message.body.clone().ok_or_else(missing)?);
            }
            "attachment_ids" => patch.attachments = Some(FileId::parse_all(&message.attachment_ids)?),
            other => return Err(mask::unhandled(other)),
        }
    }
    Ok(patch)
}

#[tonic::async_trait]
impl CommentService for Comments {
    async fn create_comment(&self, request: Request<pb::CreateCommentRequest>) -> Reply<pb::CreateCommentResponse> {
        let mut call = Call::admit(request)?;
        let ticket = TicketId::parse(&call.message.ticket_id)?;
        let attachments = FileId::parse_all(&call.message.attachment_ids)?;
        let body = std::mem::take(&mut call.message.body);
        let draft = Draft { body, attachments, is_internal: call.message.internal };
        call.write(&self.app, async move |work: &mut Work| {
            let value = ops::create(work, ticket, draft).await?;
            Ok(pb::CreateCommentResponse { data: Some(comment(value)) })
        })
        .await
    }

    async fn get_comment(&self, request: Request<pb::GetCommentRequest>) -> Reply<pb::GetCommentResponse> {
        let call = Call::admit(request)?;
        let (permit, ticket) = (call.permit()?, TicketId::parse(&call.message.ticket_id)?);
        let (id, texts) = (CommentId::parse(&call.message.comment_id)?, call.asks_for("body"));
        let read = async move |connection: &_| ops::get(connection, &permit, ticket, id, texts).await;
        let value = self.app.database.read(read).await?;
        call.read(pb::GetCommentResponse { data: Some(comment(value)) })
    }

    async fn list_comments(&self, request: Request<pb::ListCommentsRequest>) -> Reply<pb::ListCommentsResponse> {
        let call = Call::admit(request)?;
        let (permit, ticket) = (call.permit()?, TicketId::parse(&call.message.ticket_id)?);
        let (pager, texts) = (call.pager(&self.app)?, call.asks_for("body"));
        let list = async move |connection: &_| ops::list(connection, permit, ticket, pager.page, texts).await;
        let (rows, meta) = call.list(&self.app, pager, list, Comment::key).await?;
        call.read(pb::ListCommentsResponse { data: rows.into_iter().map(comment).collect(), meta })
    }

    async fn update_comment(&self, request: Request<pb::UpdateCommentRequest>) -> Reply<pb::UpdateCommentResponse> {
        let mut call = Call::admit(request)?;
        let ticket = TicketId::parse(&call.message.ticket_id)?;
        let id = CommentId::parse(&call.message.comment_id)?;
        let (patch, mask) = (call.message.comment.take().unwrap_or_default(), call.message.update_mask.take());
        let paths = call.update_paths("comment", &patch, mask)?;
        let patch = read_patch(patch, &paths)?;
        call.write(&self.app, async move |work: &mut Work| {
            let value = ops::update(work, ticket, id, patch).await?;
            Ok(pb::UpdateCommentResponse { data: Some(comment(value)) })
        })
        .await
    }

    async fn delete_comment(&self, request: Request<pb::DeleteCommentRequest>) -> Reply<pb::DeleteCommentResponse> {
        let call = Call::admit(request)?;
        let ticket = TicketId::parse(&call.message.ticket_id)?;
        let id = CommentId::parse(&call.message.comment_id)?;
        call.write(&self.app, async move |work: &mut Work| {
            ops::delete(work, ticket, id).await?;
            Ok(pb::DeleteCommentResponse {})
        })
        .await
    }
}

#[tonic::async_trait]
impl ActivityService for Comments {
    async fn list_activities(&self, request: Request<pb::ListActivitiesRequest>) -> Reply<pb::ListActivitiesResponse> {
        let call = Call::admit(request)?;
        let (permit, ticket) = (call.permit()?, TicketId::parse(&call.message.ticket_id)?);
        let pager = call.pager(&self.app)?;
        let list = async move |connection: &_| ops::activities(connection, permit, ticket, pager.page).await;
        let (rows, meta) = call.list(&self.app, pager, list, Activity::key).await?;
        call.read(pb::ListActivitiesResponse { data: rows.into_iter().map(activity).collect(), meta })
    }
}
