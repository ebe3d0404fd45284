//! `mainstay.identity.v1.InvitationService`.

use tonic::Request;

use crate::{
    identity::{
        invitation::{
            id::InvitationId,
            model::{Draft, Invitation, Preview},
            ops::{self, NewMember},
        },
        member::service::{parse_role, render as render_member, render_role},
        session::service::client_address,
        user::model::{EmailAddress, Language},
    },
    proto::identity::v1::{self as pb, invitation_service_server::InvitationService},
};
use mainstay_kernel::{
    app::App,
    audit::Audited,
    error::Result,
    grpc::{Call, Reply, render::time},
    id::AccountId,
    page::Key,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct Invitations {
    pub app: App,
}

impl Audited for Invitation {
    type Message = pb::Invitation;

    fn message(self) -> pb::Invitation {
        let (role, custom_role_id) = render_role(self.role);
        pb::Invitation {
            id: Some(self.id.to_string()),
            account_id: Some(self.account.to_string()),
            email: Some(self.email.into()),
            role: Some(role),
            custom_role_id,
            invited_by: Some(self.invited_by.to_string()),
            version: Some(self.version),
            create_time: Some(time(self.created_at)),
            update_time: Some(time(self.updated_at)),
            expire_time: Some(time(self.expires_at)),
        }
    }
}

fn render_preview(preview: Preview) -> pb::InvitationPreview {
    let Preview { invitation, account_name, inviter_name, is_registered } = preview;
    pb::InvitationPreview {
        account_name,
        inviter_name,
        role: render_role(invitation.role).0,
        email: invitation.email.into(),
        expire_time: Some(time(invitation.expires_at)),
        is_registered,
    }
}

fn draft(message: &pb::CreateInvitationRequest) -> Result<Draft> {
    Ok(Draft {
        account: message.account_id.as_deref().map(AccountId::parse).transpose()?,
        email: EmailAddress::parse(&message.email)?,
        role: parse_role(message.role, message.custom_role_id.as_deref(), "")?,
    })
}

#[tonic::async_trait]
impl InvitationService for Invitations {
    async fn create_invitation(
        &self,
        request: Request<pb::CreateInvitationRequest>,
    ) -> Reply<pb::CreateInvitationResponse> {
        let call = Call::admit(request)?;
        let draft = draft(&call.message)?;
        ops::count_mail(&self.app, &call.permit()?).await?;
        let policies = &self.app.contract.policies;
        call.write(&self.app, async move |work: &mut Work| {
            let invitation = ops::create(work, policies, draft).await?;
            Ok(pb::CreateInvitationResponse { data: Some(invitation.message()) })
        })
        .await
    }

    async fn list_invitations(
        &self,
        request: Request<pb::ListInvitationsRequest>,
    ) -> Reply<pb::ListInvitationsResponse> {
        let call = Call::admit(request)?;
        let (permit, pager) = (call.permit()?, call.pager(&self.app)?);
        let account = call.message.account_id.as_deref().map(AccountId::parse).transpose()?;
        let list = async move |connection: &_| ops::list(connection, permit, account, pager.page).await;
        let (invitations, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListInvitationsResponse { data: invitations.into_iter().map(Audited::message).collect(), meta })
    }

    async fn get_invitation(&self, request: Request<pb::GetInvitationRequest>) -> Reply<pb::GetInvitationResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, InvitationId::parse(&call.message.invitation_id)?);
        let read = async move |connection: &_| ops::get(connection, &permit, id).await;
        let invitation = self.app.database.read(read).await?;
        call.read(pb::GetInvitationResponse { data: Some(invitation.message()) })
    }

    async fn resend_invitation(
        &self,
        request: Request<pb::ResendInvitationRequest>,
    ) -> Reply<pb::ResendInvitationResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (InvitationId::parse(&call.message.invitation_id)?, call.if_match.clone());
        ops::count_mail(&self.app, &call.permit()?).await?;
        let policies = &self.app.contract.policies;
        call.write(&self.app, async move |work: &mut Work| {
            let invitation = ops::resend(work, policies, id, expected).await?;
            Ok(pb::ResendInvitationResponse { data: Some(invitation.message()) })
        })
        .await
    }

    async fn revoke_invitation(
        &self,
        request: Request<pb::RevokeInvitationRequest>,
    ) -> Reply<pb::RevokeInvitationResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (InvitationId::parse(&call.message.invitation_id)?, call.if_match.clone());
        call.write(&self.app, async move |work: &mut Work| {
            ops::revoke(work, id, expected).await?;
            Ok(pb::RevokeInvitationResponse {})
        })
        .await
    }

    async fn preview_invitation(
        &self,
        request: Request<pb::PreviewInvitationRequest>,
    ) -> Reply<pb::PreviewInvitationResponse> {
        let call = Call::admit(request)?;
        let preview = ops::preview(&self.app, &call.message.token).await?;
        call.read(pb::PreviewInvitationResponse { data: Some(render_preview(preview)) })
    }

    async fn accept_invitation(
        &self,
        request: Request<pb::AcceptInvitationRequest>,
    ) -> Reply<pb::AcceptInvitationResponse> {
        let call = Call::admit(request)?;
        let (token, policies) = (call.message.token.clone(), &self.app.contract.policies);
        call.write(&self.app, async move |work: &mut Work| {
            let member = ops::accept(work, policies, &token).await?;
            Ok(pb::AcceptInvitationResponse { data: Some(render_member(member)) })
        })
        .await
    }

    async fn accept_invitation_as_new_user(
        &self,
        request: Request<pb::AcceptInvitationAsNewUserRequest>,
    ) -> Reply<pb::AcceptInvitationAsNewUserResponse> {
        let from = client_address(&request);
        let mut call = Call::admit(request)?;
        let message = std::mem::take(&mut call.message);
        let pb::AcceptInvitationAsNewUserRequest { token, password, name, language } = message;
        let language = language.as_deref().map(Language::parse).transpose()?;
        let new = NewMember { password: password.into(), name, language };
        let member = ops::accept_as_new_user(&self.app, &token, new, from).await?;
        call.read(pb::AcceptInvitationAsNewUserResponse { data: Some(render_member(member)) })
    }
}
