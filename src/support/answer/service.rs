//! `mainstay.support.v1.CannedAnswerService`.

use tonic::Request;

use crate::proto::support::v1::{self as pb, canned_answer_service_server::CannedAnswerService};
use crate::support::{
    answer::{
        model::{CannedAnswer, Patch},
        ops,
    },
    id::{CannedAnswerId, TicketId},
};
use mainstay_kernel::{
    app::App,
    audit::Audited,
    error::{Error, Result},
    grpc::{Call, Reply, mask, render::time},
    page::Key,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct CannedAnswers {
    pub app: App,
}

impl Audited for CannedAnswer {
    type Message = pb::CannedAnswer;

    fn message(self) -> pb::CannedAnswer {
        pb::CannedAnswer {
            id: Some(self.id.to_string()),
            name: Some(self.name),
            body: Some(self.body),
            author_id: Some(self.author.to_string()),
            version: Some(self.version),
            create_time: Some(time(self.created_at)),
            update_time: Some(time(self.updated_at)),
        }
    }
}

/// Reads the new values of the fields in `paths`.
///
/// # Errors
/// `VALIDATION_FAILED` for a field that can't be cleared.
fn patch(message: &pb::CannedAnswerPatch, paths: &[String]) -> Result<Patch> {
    let mut patch = Patch::default();
    let required = |path: &str| Error::field(format!("cannedAnswer.{path}"), "can't be cleared");
    for path in paths {
        match path.as_str() {
            "name" => patch.name = Some(message.name.clone().ok_or_else(|| required(path))?),
            "body" => patch.body = Some(message.body.clone().ok_or_else(|| required(path))?),
            other => return Err(mask::unhandled(other)),
        }
    }
    Ok(patch)
}

#[tonic::async_trait]
impl CannedAnswerService for CannedAnswers {
    async fn create_canned_answer(
        &self,
        request: Request<pb::CreateCannedAnswerRequest>,
    ) -> Reply<pb::CreateCannedAnswerResponse> {
        let call = Call::admit(request)?;
        let pb::CreateCannedAnswerRequest { name, body } = call.message.clone();
        call.write(&self.app, async move |work: &mut Work| {
            let answer = ops::create(work, name, body).await?;
            Ok(pb::CreateCannedAnswerResponse { data: Some(answer.message()) })
        })
        .await
    }

    async fn get_canned_answer(
        &self,
        request: Request<pb::GetCannedAnswerRequest>,
    ) -> Reply<pb::GetCannedAnswerResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, CannedAnswerId::parse(&call.message.canned_answer_id)?);
        let texts = call.asks_for("body");
        let read = async move |connection: &_| ops::get(connection, &permit, id, texts).await;
        let answer = self.app.database.read(read).await?;
        call.read(pb::GetCannedAnswerResponse { data: Some(answer.message()) })
    }

    async fn list_canned_answers(
        &self,
        request: Request<pb::ListCannedAnswersRequest>,
    ) -> Reply<pb::ListCannedAnswersResponse> {
        let call = Call::admit(request)?;
        let (permit, pager, name) = (call.permit()?, call.pager(&self.app)?, call.message.name.clone());
        let texts = call.asks_for("body");
        let list = async move |connection: &_| ops::list(connection, permit, &name, pager.page, texts).await;
        let (answers, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListCannedAnswersResponse { data: answers.into_iter().map(Audited::message).collect(), meta })
    }

    async fn update_canned_answer(
        &self,
        request: Request<pb::UpdateCannedAnswerRequest>,
    ) -> Reply<pb::UpdateCannedAnswerResponse> {
        let mut call = Call::admit(request)?;
        let (id, expected) = (CannedAnswerId::parse(&call.message.canned_answer_id)?, call.if_match.clone());
        let (message, mask) = (call.message.canned_answer.take().unwrap_or_default(), call.message.update_mask.take());
        let paths = call.update_paths("canned_answer", &message, mask)?;
        let patch = patch(&message, &paths)?;
        call.write(&self.app, async move |work: &mut Work| {
            let answer = ops::update(work, id, expected, patch).await?;
            Ok(pb::UpdateCannedAnswerResponse { data: Some(answer.message()) })
        })
        .await
    }

    async fn delete_canned_answer(
        &self,
        request: Request<pb::DeleteCannedAnswerRequest>,
    ) -> Reply<pb::DeleteCannedAnswerResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (CannedAnswerId::parse(&call.message.canned_answer_id)?, call.if_match.clone());
        call.write(&self.app, async move |work: &mut Work| {
            ops::delete(work, id, expected).await?;
            Ok(pb::DeleteCannedAnswerResponse {})
        })
        .await
    }

    async fn render_canned_answer(
        &self,
        request: Request<pb::RenderCannedAnswerRequest>,
    ) -> Reply<pb::RenderCannedAnswerResponse> {
        let call = Call::admit(request)?;
        let (permit, ticket) = (call.permit()?, TicketId::parse(&call.message.ticket_id)?);
        let id = CannedAnswerId::parse(&call.message.canned_answer_id)?;
        let render = async move |connection: &_| ops::render(connection, &permit, id, ticket).await;
        let body = self.app.database.read(render).await?;
        call.read(pb::RenderCannedAnswerResponse { data: Some(pb::RenderedAnswer { body }) })
    }
}
