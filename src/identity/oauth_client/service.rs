//! `mainstay.identity.v1.OauthClientService`.

use chrono::TimeDelta;
use mainstay_kernel::{
    app::App,
    audit::Audited,
    error::{Error, Result},
    grpc::{Call, Reply, mask, render::time},
    id::AccountId,
    unit_of_work::Work,
};
use secrecy::ExposeSecret as _;
use tonic::Request;

use crate::{
    identity::oauth_client::{
        id::OauthClientId,
        model::{Draft, GrantType, OauthClient, Patch},
        ops,
    },
    proto::identity::v1::{self as pb, oauth_client_service_server::OauthClientService},
};

/// How long the previous secret is accepted, unless the request says otherwise.
const OVERLAP: TimeDelta = TimeDelta::days(1);

#[derive(Debug, Clone)]
pub struct OauthClients {
    pub app: App,
}

fn render(client: OauthClient) -> pb::OauthClient {
    pb::OauthClient {
        id: Some(client.id.to_string()),
        name: Some(client.name),
        redirect_uris: client.redirect_uris,
        post_logout_redirect_uris: client.post_logout_redirect_uris,
        grant_types: client.grant_types.iter().map(|grant| grant.number().into()).collect(),
        scopes: client.scopes,
        confidential: Some(client.is_confidential),
        first_party: Some(client.is_first_party),
        version: Some(client.version),
        create_time: Some(time(client.created_at)),
        update_time: Some(time(client.updated_at)),
        earlier_secret_expire_time: client.earlier_expires_at.map(time),
        account_id: client.account.map(|account| account.to_string()),
    }
}

impl Audited for OauthClient {
    type Message = pb::OauthClient;

    fn message(self) -> pb::OauthClient {
        render(self)
    }
}

/// The rule of the contract admits only known numbers.
fn grant_types(numbers: &[i32]) -> Vec<GrantType> {
    numbers.iter().filter_map(|number| GrantType::from_number(*number)).collect()
}

fn draft(message: pb::CreateOauthClientRequest) -> Result<Draft> {
    Ok(Draft {
        name: message.name,
        redirect_uris: message.redirect_uris,
        post_logout_redirect_uris: message.post_logout_redirect_uris,
        grant_types: grant_types(&message.grant_types),
        scopes: message.scopes,
        is_confidential: message.confidential,
        is_first_party: message.first_party,
        account: message.account_id.as_deref().map(AccountId::parse).transpose()?,
    })
}

/// Reads the new values of the fields in `paths`.
///
/// # Errors
/// `VALIDATION_FAILED` for a field that can't be cleared.
fn patch(message: &pb::OauthClientPatch, paths: &[String]) -> Result<Patch> {
    let mut patch = Patch::default();
    let required = |path: &str| Error::field(format!("oauthClient.{path}"), "can't be cleared");
    for path in paths {
        match path.as_str() {
            "name" => patch.name = Some(message.name.clone().ok_or_else(|| required("name"))?),
            "redirect_uris" => patch.redirect_uris = Some(message.redirect_uris.clone()),
            "post_logout_redirect_uris" => {
                patch.post_logout_redirect_uris = Some(message.post_logout_redirect_uris.clone());
            }
            "grant_types" if message.grant_types.is_empty() => return Err(required("grantTypes")),
            "grant_types" => patch.grant_types = Some(grant_types(&message.grant_types)),
            "scopes" => patch.scopes = Some(message.scopes.clone()),
            "first_party" => patch.is_first_party = Some(message.first_party.unwrap_or_default()),
            other => return Err(mask::unhandled(other)),
        }
    }
    Ok(patch)
}

#[tonic::async_trait]
impl OauthClientService for OauthClients {
    async fn create_oauth_client(
        &self,
        request: Request<pb::CreateOauthClientRequest>,
    ) -> Reply<pb::CreateOauthClientResponse> {
        let mut call = Call::admit(request)?;
        let (policies, draft) = (&self.app.contract.policies, draft(std::mem::take(&mut call.message))?);
        call.write(&self.app, async move |work: &mut Work| {
            let (client, secret) = ops::create(work, policies, draft).await?;
            let secret = secret.map(|secret| secret.expose_secret().to_owned());
            Ok(pb::CreateOauthClientResponse { data: Some(render(client)), secret })
        })
        .await
    }

    async fn list_oauth_clients(
        &self,
        request: Request<pb::ListOauthClientsRequest>,
    ) -> Reply<pb::ListOauthClientsResponse> {
        let call = Call::admit(request)?;
        let (pager, permit) = (call.pager(&self.app)?, call.permit()?);
        let list = async move |connection: &_| ops::list(connection, permit, pager.page).await;
        let (clients, meta) = call.list(&self.app, pager, list, OauthClient::key).await?;
        call.read(pb::ListOauthClientsResponse { data: clients.into_iter().map(render).collect(), meta })
    }

    async fn get_oauth_client(&self, request: Request<pb::GetOauthClientRequest>) -> Reply<pb::GetOauthClientResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, OauthClientId::parse(&call.message.oauth_client_id)?);
        let client = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetOauthClientResponse { data: Some(render(client)) })
    }

    async fn update_oauth_client(
        &self,
        request: Request<pb::UpdateOauthClientRequest>,
    ) -> Reply<pb::UpdateOauthClientResponse> {
        let mut call = Call::admit(request)?;
        let (id, expected) = (OauthClientId::parse(&call.message.oauth_client_id)?, call.if_match.clone());
        let message = call.message.oauth_client.take().unwrap_or_default();
        let mask = call.message.update_mask.take();
        let patch = patch(&message, &call.update_paths("oauth_client", &message, mask)?)?;
        let policies = &self.app.contract.policies;
        call.write(&self.app, async move |work: &mut Work| {
            let client = ops::update(work, policies, id, expected, patch).await?;
            Ok(pb::UpdateOauthClientResponse { data: Some(render(client)) })
        })
        .await
    }

    async fn rotate_oauth_client_secret(
        &self,
        request: Request<pb::RotateOauthClientSecretRequest>,
    ) -> Reply<pb::RotateOauthClientSecretResponse> {
        let call = Call::admit(request)?;
        let (policies, id) = (&self.app.contract.policies, OauthClientId::parse(&call.message.oauth_client_id)?);
        let overlap = call.message.overlap_seconds.map_or(OVERLAP, |seconds| TimeDelta::seconds(seconds.into()));
        call.write(&self.app, async move |work: &mut Work| {
            let (client, secret) = ops::rotate(work, policies, id, overlap).await?;
            let secret = secret.expose_secret().to_owned();
            Ok(pb::RotateOauthClientSecretResponse { data: Some(render(client)), secret })
        })
        .await
    }

    async fn delete_oauth_client(
        &self,
        request: Request<pb::DeleteOauthClientRequest>,
    ) -> Reply<pb::DeleteOauthClientResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (OauthClientId::parse(&call.message.oauth_client_id)?, call.if_match.clone());
        let policies = &self.app.contract.policies;
        call.write(&self.app, async move |work: &mut Work| {
            ops::delete(work, policies, id, expected).await?;
            Ok(pb::DeleteOauthClientResponse {})
        })
        .await
    }
}
