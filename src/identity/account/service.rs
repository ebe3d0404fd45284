//! `mainstay.identity.v1.AccountService`.

use tonic::Request;

use crate::{
    identity::{
        account::{
            model::{Account, Patch},
            ops,
        },
        config::IdentityConfig,
        member::{id::MemberId, service::render as render_member},
        tokens::Tokens,
    },
    proto::identity::v1::{self as pb, account_service_server::AccountService},
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
pub struct Accounts {
    pub app: App,
}

impl Audited for Account {
    type Message = pb::Account;

    fn message(self) -> pb::Account {
        pb::Account {
            id: Some(self.id.to_string()),
            name: Some(self.name),
            version: Some(self.version),
            create_time: Some(time(self.created_at)),
            update_time: Some(time(self.updated_at)),
            require_second_factor: Some(self.requires_second_factor),
            deletion_time: self.deletion_at.map(time),
            session_idle_seconds: self.limits.idle_seconds,
            session_max_age_seconds: self.limits.max_age_seconds,
        }
    }
}

/// Parses the new values of the fields in `paths`.
fn patch(message: &pb::AccountPatch, paths: &[String]) -> Result<Patch> {
    let mut patch = Patch::default();
    for path in paths {
        match path.as_str() {
            "name" => {
                let name = message.name.clone();
                patch.name = Some(name.ok_or_else(|| Error::field("account.name", "can't be cleared"))?);
            }
            // Clearing it restores the default.
            "require_second_factor" => {
                patch.requires_second_factor = Some(message.require_second_factor.unwrap_or_default());
            }
            "session_idle_seconds" => patch.limits.idle_seconds = Some(message.session_idle_seconds),
            "session_max_age_seconds" => patch.limits.max_age_seconds = Some(message.session_max_age_seconds),
            other => return Err(mask::unhandled(other)),
        }
    }
    Ok(patch)
}

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn create_account(&self, request: Request<pb::CreateAccountRequest>) -> Reply<pb::CreateAccountResponse> {
        let call = Call::admit(request)?;
        let name = call.message.name.clone();
        ops::count_creation(&self.app, &call.permit()?).await?;
        let registration = &self.app.config.section::<IdentityConfig>().registration;
        call.write(&self.app, async move |work: &mut Work| {
            let account = ops::create(work, registration, name).await?;
            Ok(pb::CreateAccountResponse { data: Some(account.message()) })
        })
        .await
    }

    async fn list_accounts(&self, request: Request<pb::ListAccountsRequest>) -> Reply<pb::ListAccountsResponse> {
        let call = Call::admit(request)?;
        let (permit, pager, prefix) = (call.permit()?, call.pager(&self.app)?, call.message.name_prefix.clone());
        let list = async move |connection: &_| ops::list(connection, permit, prefix, pager.page).await;
        let (accounts, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListAccountsResponse { data: accounts.into_iter().map(Audited::message).collect(), meta })
    }

    async fn get_account(&self, request: Request<pb::GetAccountRequest>) -> Reply<pb::GetAccountResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, AccountId::parse(&call.message.account_id)?);
        let account = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetAccountResponse { data: Some(account.message()) })
    }

    async fn update_account(&self, request: Request<pb::UpdateAccountRequest>) -> Reply<pb::UpdateAccountResponse> {
        let mut call = Call::admit(request)?;
        let (id, expected) = (AccountId::parse(&call.message.account_id)?, call.if_match.clone());
        let (message, mask) = (call.message.account.take().unwrap_or_default(), call.message.update_mask.take());
        let patch = patch(&message, &call.update_paths("account", &message, mask)?)?;
        call.write(&self.app, async move |work: &mut Work| {
            let account = ops::update(work, id, expected, patch).await?;
            Ok(pb::UpdateAccountResponse { data: Some(account.message()) })
        })
        .await
    }

    async fn transfer_ownership(
        &self,
        request: Request<pb::TransferOwnershipRequest>,
    ) -> Reply<pb::TransferOwnershipResponse> {
        let call = Call::admit(request)?;
        let (id, to) = (AccountId::parse(&call.message.account_id)?, MemberId::parse(&call.message.member_id)?);
        let mut changed = Vec::new();
        let (outdated, policies) = (&mut changed, &self.app.contract.policies);
        let reply = call.write(&self.app, async move |work: &mut Work| {
            let (owner, members) = ops::transfer(work, policies, id, to).await?;
            *outdated = members;
            Ok(pb::TransferOwnershipResponse { data: Some(render_member(owner)) })
        });
        let response = reply.await?;
        changed.into_iter().for_each(|member| self.app.part::<Tokens>().invalidate_member(member));
        Ok(response)
    }
}
