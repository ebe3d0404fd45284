//! `mainstay.identity.v1.ImpersonationService`.

use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use tonic::Request;

use crate::{
    identity::{
        impersonation::{
            id::ImpersonationId,
            model::{Draft, Impersonation},
            ops,
        },
        tokens::Tokens,
    },
    proto::identity::v1::{self as pb, impersonation_service_server::ImpersonationService},
};
use mainstay_kernel::{
    app::App,
    audit::Audited,
    error::Result,
    grpc::{Call, Reply, render::time},
    id::{AccountId, SessionId, UserId},
    page::Key,
    unit_of_work::Work,
};

/// The lifetime of an access token, unless the request says otherwise.
const LIFE: TimeDelta = TimeDelta::minutes(15);

#[derive(Debug, Clone)]
pub struct Impersonations {
    pub app: App,
}

impl Audited for Impersonation {
    type Message = pb::Impersonation;

    fn message(self) -> pb::Impersonation {
        pb::Impersonation {
            id: self.id.to_string(),
            user_id: self.user.to_string(),
            account_id: self.account.to_string(),
            impersonator_id: self.impersonator.to_string(),
            reason: self.reason,
            allows_writes: self.allows_writes,
            create_time: Some(time(self.created_at)),
            expire_time: Some(time(self.expires_at)),
            end_time: self.ended_at.map(time),
        }
    }
}

fn draft(message: pb::StartImpersonationRequest) -> Result<Draft> {
    Ok(Draft {
        user: UserId::parse(&message.user_id)?,
        account: AccountId::parse(&message.account_id)?,
        reason: message.reason,
        life: message.minutes.map_or(LIFE, |minutes| TimeDelta::minutes(minutes.into())),
        allows_writes: message.allow_writes,
    })
}

#[tonic::async_trait]
impl ImpersonationService for Impersonations {
    async fn start_impersonation(
        &self,
        request: Request<pb::StartImpersonationRequest>,
    ) -> Reply<pb::StartImpersonationResponse> {
        let mut call = Call::admit(request)?;
        let draft = draft(std::mem::take(&mut call.message))?;
        call.write(&self.app, async move |work: &mut Work| {
            let (impersonation, token) = ops::start(&self.app, work, draft).await?;
            let access_token = token.expose_secret().to_owned();
            Ok(pb::StartImpersonationResponse { data: Some(impersonation.message()), access_token })
        })
        .await
    }

    async fn list_impersonations(
        &self,
        request: Request<pb::ListImpersonationsRequest>,
    ) -> Reply<pb::ListImpersonationsResponse> {
        let call = Call::admit(request)?;
        let (pager, permit) = (call.pager(&self.app)?, call.permit()?);
        let list = async move |connection: &_| ops::list(&self.app, connection, permit, pager.page).await;
        let (list, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListImpersonationsResponse { data: list.into_iter().map(Audited::message).collect(), meta })
    }

    async fn end_impersonation(
        &self,
        request: Request<pb::EndImpersonationRequest>,
    ) -> Reply<pb::EndImpersonationResponse> {
        let call = Call::admit(request)?;
        let id = ImpersonationId::parse(&call.message.impersonation_id)?;
        let reply = call.write(&self.app, async move |work: &mut Work| {
            Ok(pb::EndImpersonationResponse { data: Some(ops::end(work, id).await?.message()) })
        });
        let response = reply.await?;
        self.app.part::<Tokens>().invalidate_session(SessionId(id.0));
        Ok(response)
    }
}
