//! `mainstay.identity.v1.AccountDomainService`.

use tonic::Request;

use crate::{
    identity::{
        account_domain::{
            id::AccountDomainId,
            model::{AccountDomain, DomainName, Draft},
            ops,
        },
        member::{
            model::AccountRole,
            service::{render as render_member, render_role},
        },
    },
    proto::identity::v1::{self as pb, account_domain_service_server::AccountDomainService},
};
use mainstay_kernel::{
    app::App,
    audit::Audited,
    error::{Error, Result},
    grpc::{Call, Reply, render::time},
    id::AccountId,
    page::Key,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct AccountDomains {
    pub app: App,
}

impl Audited for AccountDomain {
    type Message = pb::AccountDomain;

    fn message(self) -> pb::AccountDomain {
        pb::AccountDomain {
            id: Some(self.id.to_string()),
            account_id: Some(self.account.to_string()),
            role: Some(render_role(self.member_role()).0),
            state: Some(self.state.number().into()),
            record_name: Some(self.domain.record_name()),
            record_value: Some(self.record_value()),
            domain: Some(self.domain.as_str().to_owned()),
            failed_checks: Some(self.failures.into()),
            version: Some(self.version),
            create_time: Some(time(self.created_at)),
            update_time: Some(time(self.updated_at)),
            verify_time: self.verified_at.map(time),
        }
    }
}

fn draft(message: &pb::CreateAccountDomainRequest) -> Result<Draft> {
    let role = AccountRole::from_number(message.role);
    Ok(Draft {
        account: message.account_id.as_deref().map(AccountId::parse).transpose()?,
        domain: DomainName::parse(&message.domain)?,
        role: role.ok_or_else(|| Error::field("role", "must be a role of members"))?,
    })
}

#[tonic::async_trait]
impl AccountDomainService for AccountDomains {
    async fn create_account_domain(
        &self,
        request: Request<pb::CreateAccountDomainRequest>,
    ) -> Reply<pb::CreateAccountDomainResponse> {
        let call = Call::admit(request)?;
        let (draft, policies) = (draft(&call.message)?, &self.app.contract.policies);
        call.write(&self.app, async move |work: &mut Work| {
            let domain = ops::create(work, policies, draft).await?;
            Ok(pb::CreateAccountDomainResponse { data: Some(domain.message()) })
        })
        .await
    }

    async fn list_account_domains(
        &self,
        request: Request<pb::ListAccountDomainsRequest>,
    ) -> Reply<pb::ListAccountDomainsResponse> {
        let call = Call::admit(request)?;
        let (permit, pager) = (call.permit()?, call.pager(&self.app)?);
        let account = call.message.account_id.as_deref().map(AccountId::parse).transpose()?;
        let list = async move |connection: &_| ops::list(connection, permit, account, pager.page).await;
        let (domains, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListAccountDomainsResponse { data: domains.into_iter().map(Audited::message).collect(), meta })
    }

    async fn get_account_domain(
        &self,
        request: Request<pb::GetAccountDomainRequest>,
    ) -> Reply<pb::GetAccountDomainResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, AccountDomainId::parse(&call.message.account_domain_id)?);
        let domain = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetAccountDomainResponse { data: Some(domain.message()) })
    }

    async fn verify_account_domain(
        &self,
        request: Request<pb::VerifyAccountDomainRequest>,
    ) -> Reply<pb::VerifyAccountDomainResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (AccountDomainId::parse(&call.message.account_domain_id)?, call.if_match.clone());
        let permit = call.permit()?;
        ops::count_look_up(&self.app, &permit).await?;
        let texts = ops::look_up(&self.app, &permit, id).await?;
        let policies = &self.app.contract.policies;
        call.write(&self.app, async move |work: &mut Work| {
            let domain = ops::verify(work, policies, id, expected, &texts).await?;
            Ok(pb::VerifyAccountDomainResponse { data: Some(domain.message()) })
        })
        .await
    }

    async fn delete_account_domain(
        &self,
        request: Request<pb::DeleteAccountDomainRequest>,
    ) -> Reply<pb::DeleteAccountDomainResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (AccountDomainId::parse(&call.message.account_domain_id)?, call.if_match.clone());
        call.write(&self.app, async move |work: &mut Work| {
            ops::delete(work, id, expected).await?;
            Ok(pb::DeleteAccountDomainResponse {})
        })
        .await
    }

    async fn join_account(&self, request: Request<pb::JoinAccountRequest>) -> Reply<pb::JoinAccountResponse> {
        let call = Call::admit(request)?;
        ops::renew_of_caller(&self.app, &call.permit()?).await?;
        call.write(&self.app, async move |work: &mut Work| {
            let member = ops::join(work).await?;
            Ok(pb::JoinAccountResponse { data: Some(render_member(member)) })
        })
        .await
    }
}
