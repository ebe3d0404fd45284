//! `mainstay.identity.v1.AccountProviderService`.

use secrecy::SecretString;
use tonic::Request;

use crate::{
    identity::{
        account_provider::{
            id::AccountProviderId,
            model::{AccountProvider, GroupRole, Patch, WithRedirect},
            ops::{self, Draft},
        },
        member::{
            model::AccountRole,
            service::{parse_role, render_role},
        },
        tokens::Tokens,
    },
    proto::identity::v1::{self as pb, account_provider_service_server::AccountProviderService},
};
use mainstay_kernel::{
    app::App,
    audit::Audited,
    error::{Error, Result},
    grpc::{Call, Reply, mask, render::time},
    id::AccountId,
    page::Key,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct AccountProviders {
    pub app: App,
}

impl AccountProviders {
    fn render(&self, provider: AccountProvider) -> pb::AccountProvider {
        ops::with_redirect(&self.app, provider).message()
    }

    /// Checks the tokens of the provider's account again, because a provider that is enforced outdates them.
    fn forget(&self, provider: Option<&pb::AccountProvider>) {
        let account = provider.and_then(|provider| AccountId::parse(provider.account_id.as_deref()?).ok());
        if let Some(account) = account {
            self.app.part::<Tokens>().invalidate_account(account);
        }
    }
}

fn render_group(GroupRole { group, role }: GroupRole) -> pb::AccountProviderGroup {
    let (role, custom_role_id) = render_role(role);
    pb::AccountProviderGroup { group, role, custom_role_id }
}

impl Audited for WithRedirect {
    type Message = pb::AccountProvider;

    fn message(self) -> pb::AccountProvider {
        let Self { provider, redirect_uri } = self;
        pb::AccountProvider {
            id: Some(provider.id.to_string()),
            account_id: Some(provider.account.to_string()),
            default_role: Some(render_role(provider.default_role()).0),
            issuer: Some(provider.issuer),
            client_id: Some(provider.client_id),
            has_client_secret: Some(provider.client_secret.is_some()),
            display_name: Some(provider.display_name),
            enforced: Some(provider.enforced_at.is_some()),
            groups_claim: Some(provider.groups_claim),
            groups: provider.groups.into_iter().map(render_group).collect(),
            redirect_uri: Some(redirect_uri),
            version: Some(provider.version),
            create_time: Some(time(provider.created_at)),
            update_time: Some(time(provider.updated_at)),
        }
    }
}

fn groups(messages: &[pb::AccountProviderGroup], prefix: &str) -> Result<Vec<GroupRole>> {
    let group = |(index, message): (usize, &pb::AccountProviderGroup)| {
        let prefix = format!("{prefix}groups[{index}].");
        let role = parse_role(message.role, message.custom_role_id.as_deref(), &prefix)?;
        Ok(GroupRole { group: message.group.clone(), role })
    };
    messages.iter().enumerate().map(group).collect()
}

fn default_role(number: i32, field: &str) -> Result<AccountRole> {
    AccountRole::from_number(number).ok_or_else(|| Error::field(field, "must be a role of members"))
}

fn draft(message: pb::CreateAccountProviderRequest) -> Result<Draft> {
    Ok(Draft {
        account: message.account_id.as_deref().map(AccountId::parse).transpose()?,
        groups: groups(&message.groups, "")?,
        default_role: default_role(message.default_role, "defaultRole")?,
        issuer: message.issuer,
        client_id: message.client_id,
        client_secret: message.client_secret.map(SecretString::from),
        display_name: message.display_name,
        enforced: message.enforced,
        groups_claim: message.groups_claim,
    })
}

/// Reads the new values of the fields in `paths`.
fn patch(app: &App, id: AccountProviderId, message: pb::AccountProviderPatch, paths: &[String]) -> Result<Patch> {
    let mut patch = Patch::default();
    for path in paths {
        let required = || Error::field(format!("accountProvider.{path}"), "can't be cleared");
        match path.as_str() {
            "client_secret" => {
                let secret = message.client_secret.clone().map(SecretString::from);
                patch.client_secret = Some(ops::new_secret(app, id, secret)?);
            }
            "display_name" => patch.display_name = Some(message.display_name.clone().ok_or_else(required)?),
            "enforced" => patch.enforced = Some(message.enforced.unwrap_or(false)),
            "groups_claim" => patch.groups_claim = Some(message.groups_claim.clone().ok_or_else(required)?),
            "groups" => patch.groups = Some(groups(&message.groups, "accountProvider.")?),
            "default_role" => {
                let number = message.default_role.ok_or_else(required)?;
                patch.default_role = Some(default_role(number, "accountProvider.defaultRole")?);
            }
            other => return Err(mask::unhandled(other)),
        }
    }
    Ok(patch)
}

#[tonic::async_trait]
impl AccountProviderService for AccountProviders {
    async fn create_account_provider(
        &self,
        request: Request<pb::CreateAccountProviderRequest>,
    ) -> Reply<pb::CreateAccountProviderResponse> {
        let call = Call::admit(request)?;
        let draft = draft(call.message.clone())?;
        let reply = call.write(&self.app, async move |work: &mut Work| {
            let provider = ops::create(work, &self.app, draft).await?;
            Ok(pb::CreateAccountProviderResponse { data: Some(self.render(provider)) })
        });
        let response = reply.await?;
        self.forget(response.get_ref().data.as_ref());
        Ok(response)
    }

    async fn list_account_providers(
        &self,
        request: Request<pb::ListAccountProvidersRequest>,
    ) -> Reply<pb::ListAccountProvidersResponse> {
        let call = Call::admit(request)?;
        let (permit, pager) = (call.permit()?, call.pager(&self.app)?);
        let account = call.message.account_id.as_deref().map(AccountId::parse).transpose()?;
        let list = async move |connection: &_| ops::list(connection, permit, account, pager.page).await;
        let (providers, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        let data = providers.into_iter().map(|provider| self.render(provider)).collect();
        call.read(pb::ListAccountProvidersResponse { data, meta })
    }

    async fn get_account_provider(
        &self,
        request: Request<pb::GetAccountProviderRequest>,
    ) -> Reply<pb::GetAccountProviderResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, AccountProviderId::parse(&call.message.account_provider_id)?);
        let provider = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetAccountProviderResponse { data: Some(self.render(provider)) })
    }

    async fn update_account_provider(
        &self,
        request: Request<pb::UpdateAccountProviderRequest>,
    ) -> Reply<pb::UpdateAccountProviderResponse> {
        let mut call = Call::admit(request)?;
        let (id, expected) = (AccountProviderId::parse(&call.message.account_provider_id)?, call.if_match.clone());
        let (message, mask) =
            (call.message.account_provider.take().unwrap_or_default(), call.message.update_mask.take());
        let paths = call.update_paths("account_provider", &message, mask)?;
        let patch = patch(&self.app, id, message, &paths)?;
        let reply = call.write(&self.app, async move |work: &mut Work| {
            let provider = ops::update(work, &self.app, id, expected, patch).await?;
            Ok(pb::UpdateAccountProviderResponse { data: Some(self.render(provider)) })
        });
        let response = reply.await?;
        self.forget(response.get_ref().data.as_ref());
        Ok(response)
    }

    async fn delete_account_provider(
        &self,
        request: Request<pb::DeleteAccountProviderRequest>,
    ) -> Reply<pb::DeleteAccountProviderResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (AccountProviderId::parse(&call.message.account_provider_id)?, call.if_match.clone());
        let reply = call.write(&self.app, async move |work: &mut Work| {
            ops::delete(work, &self.app, id, expected).await?;
            Ok(pb::DeleteAccountProviderResponse {})
        });
        let response = reply.await?;
        self.app.part::<Tokens>().invalidate_confined();
        Ok(response)
    }
}
