//! `mainstay.identity.v1.DeletionService`.

use mainstay_kernel::{
    app::App,
    error::{Error, Result},
    grpc::{Call, Reply, render::time},
    id::{AccountId, UserId},
    page::Key,
    unit_of_work::Work,
};
use tonic::Request;

use crate::{
    identity::{
        auth::ops as auth,
        deletion::{
            id::DeletionId,
            model::{Deletion, ErasedRows, Filter, State, Subject},
            ops,
        },
        session::{ops as session, service::client_address},
    },
    proto::identity::v1::{self as pb, deletion_service_server::DeletionService},
};

#[derive(Debug, Clone)]
pub struct Deletions {
    pub app: App,
}

fn render((deletion, rows): (Deletion, Vec<ErasedRows>)) -> pb::Deletion {
    let table = |rows: ErasedRows| pb::ErasedTable {
        table: Some(rows.table),
        action: Some(rows.action.number().into()),
        rows: Some(rows.rows),
        reason: Some(rows.reason),
    };
    pb::Deletion {
        id: Some(deletion.id.to_string()),
        user_id: deletion.subject.user().map(|user| user.to_string()),
        account_id: deletion.subject.account().map(|account| account.to_string()),
        state: Some(deletion.state.number().into()),
        requested_by: Some(deletion.requested_by.to_string()),
        erase_time: Some(time(deletion.erase_at)),
        create_time: Some(time(deletion.created_at)),
        finish_time: deletion.finished_at.map(time),
        tables: rows.into_iter().map(table).collect(),
    }
}

/// Renders a deletion without its report.
fn render_alone(deletion: Deletion) -> pb::Deletion {
    render((deletion, Vec::new()))
}

/// Parses the subject; `None` if neither id is present.
fn subject(user: Option<&str>, account: Option<&str>) -> Result<Option<Subject>> {
    match (user, account) {
        (None, None) => Ok(None),
        (Some(user), None) => Ok(Some(Subject::User(UserId::parse(user)?))),
        (None, Some(account)) => Ok(Some(Subject::Account(AccountId::parse(account)?))),
        (Some(_), Some(_)) => Err(Error::field("accountId", "must be absent if userId is present")),
    }
}

#[tonic::async_trait]
impl DeletionService for Deletions {
    async fn create_deletion(&self, request: Request<pb::CreateDeletionRequest>) -> Reply<pb::CreateDeletionResponse> {
        let from = client_address(&request);
        let mut call = Call::admit(request)?;
        let permit = call.permit()?;
        let pb::CreateDeletionRequest { user_id, account_id, current_password } = std::mem::take(&mut call.message);
        let subject = subject(user_id.as_deref(), account_id.as_deref())?
            .ok_or_else(|| Error::field("userId", "is required unless accountId is present"))?;
        auth::prove(&self.app, &permit, current_password.into(), from).await?;
        let reply = call.write(&self.app, async move |work: &mut Work| {
            let deletion = ops::request(&self.app, work, subject).await?;
            Ok(pb::CreateDeletionResponse { data: Some(render_alone(deletion)) })
        });
        let response = reply.await?;
        if let Subject::User(user) = subject {
            session::remove_outdated(&self.app, user).await;
        }
        Ok(response)
    }

    async fn get_deletion(&self, request: Request<pb::GetDeletionRequest>) -> Reply<pb::GetDeletionResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, DeletionId::parse(&call.message.deletion_id)?);
        let deletion = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetDeletionResponse { data: Some(render(deletion)) })
    }

    async fn list_deletions(&self, request: Request<pb::ListDeletionsRequest>) -> Reply<pb::ListDeletionsResponse> {
        let call = Call::admit(request)?;
        let pager = call.pager(&self.app)?;
        let permit = call.permit()?;
        let subject = subject(call.message.user_id.as_deref(), call.message.account_id.as_deref())?;
        let filter = Filter { state: call.message.state.and_then(State::from_number), subject };
        let list = async move |connection: &_| ops::list(connection, permit, filter, pager.page).await;
        let (deletions, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListDeletionsResponse { data: deletions.into_iter().map(render_alone).collect(), meta })
    }

    async fn cancel_deletion(&self, request: Request<pb::CancelDeletionRequest>) -> Reply<pb::CancelDeletionResponse> {
        let call = Call::admit(request)?;
        let id = DeletionId::parse(&call.message.deletion_id)?;
        call.write(&self.app, async move |work: &mut Work| {
            let deletion = ops::cancel(work, id).await?;
            Ok(pb::CancelDeletionResponse { data: Some(render_alone(deletion)) })
        })
        .await
    }

    async fn cancel_deletion_by_token(
        &self,
        request: Request<pb::CancelDeletionByTokenRequest>,
    ) -> Reply<pb::CancelDeletionByTokenResponse> {
        let call = Call::admit(request)?;
        ops::cancel_by_token(&self.app, &call.message.token).await?;
        call.read(pb::CancelDeletionByTokenResponse {})
    }
}
