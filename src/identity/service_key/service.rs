//! `mainstay.identity.v1.ServiceKeyService`.

use crate::identity::service_key::cache::ServiceKeyCache;
use secrecy::ExposeSecret as _;
use tonic::Request;

use crate::identity::role::model::UNKNOWN_SCOPE;
use crate::identity::service_key::{
    model::{Draft, ServiceKey},
    ops,
};
use crate::proto::identity::v1::{self as pb, service_key_service_server::ServiceKeyService};
use mainstay_kernel::{
    app::App,
    contract::Policies,
    error::{Error, Result},
    grpc::{Call, Reply, parse, render::time},
    id::{ServiceKeyId, UserId},
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct ServiceKeys {
    pub app: App,
}

fn render(key: ServiceKey) -> pb::ServiceKey {
    pb::ServiceKey {
        id: key.id.to_string(),
        name: key.name,
        scopes: key.scopes,
        create_time: Some(time(key.created_at)),
        expire_time: key.expires_at.map(time),
        revoke_time: key.revoked_at.map(time),
        created_by: key.created_by.to_string(),
    }
}

fn draft(policies: &Policies, message: pb::CreateServiceKeyRequest) -> Result<Draft> {
    let unknown = message.scopes.iter().enumerate().filter(|(_, name)| policies.scope(name).is_none());
    let faults: Vec<_> = unknown.map(|(index, _)| (format!("scopes[{index}]"), UNKNOWN_SCOPE.to_owned())).collect();
    if !faults.is_empty() {
        return Err(Error::validation(faults));
    }
    Ok(Draft {
        name: message.name,
        scopes: message.scopes,
        expires_at: message.expire_time.map(|time| parse::time(time, "expireTime")).transpose()?,
    })
}

#[tonic::async_trait]
impl ServiceKeyService for ServiceKeys {
    async fn create_service_key(
        &self,
        request: Request<pb::CreateServiceKeyRequest>,
    ) -> Reply<pb::CreateServiceKeyResponse> {
        let mut call = Call::admit(request)?;
        let policies = &self.app.contract.policies;
        let draft = draft(policies, std::mem::take(&mut call.message))?;
        call.write(&self.app, async move |work: &mut Work| {
            let (key, secret) = ops::create(work, policies, draft).await?;
            let secret = secret.expose_secret().to_owned();
            Ok(pb::CreateServiceKeyResponse { data: Some(render(key)), secret })
        })
        .await
    }

    async fn list_service_keys(
        &self,
        request: Request<pb::ListServiceKeysRequest>,
    ) -> Reply<pb::ListServiceKeysResponse> {
        let call = Call::admit(request)?;
        let pager = call.pager(&self.app)?;
        let permit = call.permit()?;
        let created_by = call.message.created_by.as_deref().map(UserId::parse).transpose()?;
        let (keys, meta) = call
            .list(
                &self.app,
                pager,
                async move |connection| ops::list(connection, permit, created_by, pager.start, pager.size).await,
                ServiceKey::key,
            )
            .await?;
        call.read(pb::ListServiceKeysResponse { data: keys.into_iter().map(render).collect(), meta })
    }

    async fn get_service_key(&self, request: Request<pb::GetServiceKeyRequest>) -> Reply<pb::GetServiceKeyResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, ServiceKeyId::parse(&call.message.service_key_id)?);
        let key = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetServiceKeyResponse { data: Some(render(key)) })
    }

    async fn revoke_service_key(
        &self,
        request: Request<pb::RevokeServiceKeyRequest>,
    ) -> Reply<pb::RevokeServiceKeyResponse> {
        let call = Call::admit(request)?;
        let id = ServiceKeyId::parse(&call.message.service_key_id)?;
        let reply = call.write(&self.app, async move |work: &mut Work| {
            ops::revoke(work, id).await?;
            Ok(pb::RevokeServiceKeyResponse {})
        });
        let response = reply.await?;
        self.app.part::<ServiceKeyCache>().invalidate(id);
        Ok(response)
    }
}
