//! `mainstay.identity.v1.ServiceKeyService`.

use chrono::TimeDelta;
use ipnet::IpNet;
use secrecy::ExposeSecret as _;
use tonic::Request;

use crate::identity::{
    service_key::{
        model::{Draft, Filter, Kind, ServiceKey},
        ops,
    },
    tokens::Tokens,
};
use crate::proto::identity::v1::{self as pb, service_key_service_server::ServiceKeyService};
use mainstay_kernel::{
    app::App,
    audit::Audited,
    error::{Error, Result},
    grpc::{Call, Reply, parse, render::time},
    id::{AccountId, ServiceKeyId, UserId},
    page::Key,
    unit_of_work::Work,
};

/// How long the previous secret is accepted, unless the request says otherwise.
const OVERLAP: TimeDelta = TimeDelta::days(1);

#[derive(Debug, Clone)]
pub struct ServiceKeys {
    pub app: App,
}

impl Audited for ServiceKey {
    type Message = pb::ServiceKey;

    fn message(self) -> pb::ServiceKey {
        pb::ServiceKey {
            id: self.id.to_string(),
            name: self.name,
            scopes: self.scopes,
            create_time: Some(time(self.created_at)),
            expire_time: self.expires_at.map(time),
            revoke_time: self.revoked_at.map(time),
            created_by: self.created_by.to_string(),
            kind: Some(self.holder.kind().number().into()),
            account_id: self.holder.account().map(|account| account.to_string()),
            user_id: self.holder.person().map(|(_, user)| user.to_string()),
            allowed_networks: self.allowed_networks.iter().map(ToString::to_string).collect(),
            last_use_time: self.last_used_at.map(time),
            earlier_secret_expire_time: self.earlier_expires_at.map(time),
        }
    }
}

fn draft(message: pb::CreateServiceKeyRequest) -> Result<Draft> {
    let network = |(index, text): (usize, String)| {
        // The contract's rule accepts what this reads.
        let fault = |message| Error::field(format!("allowedNetworks[{index}]"), message);
        match text.parse().map_err(|_| fault("must be an IP prefix"))? {
            // An address in it counts as an IPv4 address, which no IPv6 network contains.
            IpNet::V6(network) if network.addr().to_ipv4_mapped().is_some() => {
                Err(fault("must be written as an IPv4 prefix"))
            }
            network => Ok(network),
        }
    };
    Ok(Draft {
        kind: message.kind.and_then(Kind::from_number),
        account: message.account_id.as_deref().map(AccountId::parse).transpose()?,
        name: message.name,
        scopes: message.scopes,
        expires_at: message.expire_time.map(|time| parse::time(time, "expireTime")).transpose()?,
        allowed_networks: message.allowed_networks.into_iter().enumerate().map(network).collect::<Result<_>>()?,
    })
}

#[tonic::async_trait]
impl ServiceKeyService for ServiceKeys {
    async fn create_service_key(
        &self,
        request: Request<pb::CreateServiceKeyRequest>,
    ) -> Reply<pb::CreateServiceKeyResponse> {
        let mut call = Call::admit(request)?;
        let (policies, draft) = (&self.app.contract.policies, draft(std::mem::take(&mut call.message))?);
        if draft.kind == Some(Kind::Person) {
            call = call.across_accounts("the tokens of a person are counted in all accounts");
        }
        call.write(&self.app, async move |work: &mut Work| {
            let (key, secret) = ops::create(work, policies, draft).await?;
            let secret = secret.expose_secret().to_owned();
            Ok(pb::CreateServiceKeyResponse { data: Some(key.message()), secret })
        })
        .await
    }

    async fn list_service_keys(
        &self,
        request: Request<pb::ListServiceKeysRequest>,
    ) -> Reply<pb::ListServiceKeysResponse> {
        let call = Call::admit(request)?;
        let (pager, permit) = (call.pager(&self.app)?, call.permit()?);
        let filter = Filter {
            created_by: call.message.created_by.as_deref().map(UserId::parse).transpose()?,
            account: call.message.account_id.as_deref().map(AccountId::parse).transpose()?,
        };
        let list = async move |connection: &_| ops::list(connection, permit, filter, pager.page).await;
        let (keys, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListServiceKeysResponse { data: keys.into_iter().map(Audited::message).collect(), meta })
    }

    async fn get_service_key(&self, request: Request<pb::GetServiceKeyRequest>) -> Reply<pb::GetServiceKeyResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, ServiceKeyId::parse(&call.message.service_key_id)?);
        let key = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetServiceKeyResponse { data: Some(key.message()) })
    }

    async fn rotate_service_key(
        &self,
        request: Request<pb::RotateServiceKeyRequest>,
    ) -> Reply<pb::RotateServiceKeyResponse> {
        let call = Call::admit(request)?;
        let (policies, id) = (&self.app.contract.policies, ServiceKeyId::parse(&call.message.service_key_id)?);
        let overlap = call.message.overlap_seconds.map_or(OVERLAP, |seconds| TimeDelta::seconds(seconds.into()));
        let expires_at = call.message.expire_time.map(|time| parse::time(time, "expireTime")).transpose()?;
        let reply = call.write(&self.app, async move |work: &mut Work| {
            let (key, secret) = ops::rotate(work, policies, id, overlap, expires_at).await?;
            let secret = secret.expose_secret().to_owned();
            Ok(pb::RotateServiceKeyResponse { data: Some(key.message()), secret })
        });
        let response = reply.await?;
        self.app.part::<Tokens>().invalidate_key(id);
        Ok(response)
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
        self.app.part::<Tokens>().invalidate_key(id);
        Ok(response)
    }
}
