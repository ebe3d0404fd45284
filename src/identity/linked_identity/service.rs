//! `mainstay.identity.v1.LinkedIdentityService`.

use tonic::Request;

use crate::{
    identity::{
        linked_identity::{id::LinkedIdentityId, model::LinkedIdentity, ops},
        provider::client::Providers,
    },
    proto::identity::v1::{self as pb, linked_identity_service_server::LinkedIdentityService},
};
use mainstay_kernel::{
    app::App,
    grpc::{Call, Reply, render::time},
    id::UserId,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct LinkedIdentities {
    pub app: App,
}

impl LinkedIdentities {
    fn render(&self, identity: LinkedIdentity) -> pb::LinkedIdentity {
        let configured = || {
            let provider = self.app.part::<Providers>().all().find(|provider| provider.issuer == identity.issuer);
            provider.map(|provider| provider.name.clone())
        };
        pb::LinkedIdentity {
            id: identity.id.to_string(),
            provider: identity.provider.map(|id| id.to_string()).or_else(configured),
            issuer: identity.issuer,
            email: identity.email,
            create_time: Some(time(identity.created_at)),
        }
    }
}

#[tonic::async_trait]
impl LinkedIdentityService for LinkedIdentities {
    async fn list_linked_identities(
        &self,
        request: Request<pb::ListLinkedIdentitiesRequest>,
    ) -> Reply<pb::ListLinkedIdentitiesResponse> {
        let call = Call::admit(request)?;
        let permit = call.permit()?;
        let list = self.app.database.read(async move |connection| ops::list_own(connection, &permit).await).await?;
        let data = list.into_iter().map(|identity| self.render(identity)).collect();
        call.read(pb::ListLinkedIdentitiesResponse { data })
    }

    async fn delete_linked_identity(
        &self,
        request: Request<pb::DeleteLinkedIdentityRequest>,
    ) -> Reply<pb::DeleteLinkedIdentityResponse> {
        let call = Call::admit(request)?;
        let id = LinkedIdentityId::parse(&call.message.linked_identity_id)?;
        let issuers = self.app.part::<Providers>().issuers();
        call.write(&self.app, async move |work: &mut Work| {
            ops::delete(work, id, &issuers).await?;
            Ok(pb::DeleteLinkedIdentityResponse {})
        })
        .await
    }

    async fn list_user_linked_identities(
        &self,
        request: Request<pb::ListUserLinkedIdentitiesRequest>,
    ) -> Reply<pb::ListUserLinkedIdentitiesResponse> {
        let call = Call::admit(request)?;
        let (permit, user) = (call.permit()?, UserId::parse(&call.message.user_id)?);
        let list = self.app.database.read(async move |connection| ops::list(connection, &permit, user).await).await?;
        let data = list.into_iter().map(|identity| self.render(identity)).collect();
        call.read(pb::ListUserLinkedIdentitiesResponse { data })
    }
}
