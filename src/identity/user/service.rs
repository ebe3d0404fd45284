//! `mainstay.identity.v1.UserService`.

mod avatar;

use tonic::{Request, Streaming};

use crate::identity::{
    member::service::render_membership,
    role::id::RoleId,
    second_factor::{ops as second_factor, service::render as render_factor},
    session::ops as session,
    user::{
        model::{EmailAddress, Filter, Language, Patch, Role, StaffRole, State, User},
        ops,
    },
};
use crate::proto::identity::v1::{self as pb, user_service_server::UserService};
use mainstay_kernel::{
    app::App,
    audit::Audited,
    error::{Error, Result},
    grpc::{Call, Reply, render::time},
    id::{AccountId, UserId},
    page::Key,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct Users {
    pub app: App,
}

impl Audited for User {
    type Message = pb::User;

    fn message(self) -> pb::User {
        let state = self.state().number();
        let (deactivate_time, deactivation_reason) =
            self.deactivation.map(|deactivation| (time(deactivation.at), deactivation.reason)).unzip();
        pb::User {
            id: Some(self.id.to_string()),
            email: Some(self.email.into()),
            name: Some(self.name),
            role: Some(self.role.number().into()),
            staff_role_id: self.staff_role.map(|role| role.to_string()),
            language: Some(self.language.into()),
            avatar_url: self.avatar.map(|avatar| avatar.url()),
            state: Some(state.into()),
            deactivate_time,
            deactivation_reason,
            deletion_time: self.deletion_at.map(time),
            version: Some(self.version),
            create_time: Some(time(self.created_at)),
            update_time: Some(time(self.updated_at)),
            second_factor_time: self.second_factor_at.map(time),
        }
    }
}

/// Parses the new values of the fields in `paths`.
fn patch(message: pb::UserPatch, paths: &[String]) -> Result<Patch> {
    let mut patch = Patch::default();
    for path in paths {
        match path.as_str() {
            "name" => {
                let name = message.name.clone().ok_or_else(|| Error::field("user.name", "can't be cleared"))?;
                patch.name = Some(name);
            }
            // Clearing the language restores the default.
            "language" => patch.language = Some(Language::of_field("user.language", message.language.as_deref())?),
            other => return Err(mainstay_kernel::grpc::mask::unhandled(other)),
        }
    }
    Ok(patch)
}

fn filter(message: &pb::ListUsersRequest) -> Result<Filter> {
    let account = message.account_id.as_deref().map(AccountId::parse).transpose()?;
    // The contract has validated the numbers.
    let mut roles: Vec<_> = message.roles.iter().filter_map(|&number| i16::try_from(number).ok()).collect();
    // Sorting makes filters with the same roles equal in any order, so that their page tokens remain valid.
    roles.sort_unstable();
    // In a query, `+` is a space, and no address that is accepted has a space.
    let email = message.email.as_deref().map(|email| EmailAddress::find(&email.trim_ascii().replace(' ', "+")));
    let email = email.transpose()?;
    Ok(Filter { account, roles, email, state: message.state.and_then(State::from_number) })
}

#[tonic::async_trait]
impl UserService for Users {
    async fn get_me(&self, request: Request<pb::GetMeRequest>) -> Reply<pb::GetMeResponse> {
        let call = Call::admit(request)?;
        let permit = call.permit()?;
        let account_id = permit.user().and_then(|(_, account, _)| account).map(|account| account.to_string());
        let me = self.app.database.read(async move |connection| ops::me(connection, &permit).await);
        let (user, memberships) = me.await?;
        let memberships = memberships.into_iter().map(render_membership).collect();
        call.read(pb::GetMeResponse { data: Some(user.message()), account_id, memberships })
    }

    async fn list_users(&self, request: Request<pb::ListUsersRequest>) -> Reply<pb::ListUsersResponse> {
        let call = Call::admit(request)?;
        let filter = filter(&call.message)?;
        let pager = call.pager(&self.app)?;
        let permit = call.permit()?;
        let list = async move |connection: &_| ops::list(connection, permit, filter, pager.page).await;
        let (users, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListUsersResponse { data: users.into_iter().map(Audited::message).collect(), meta })
    }

    async fn get_user(&self, request: Request<pb::GetUserRequest>) -> Reply<pb::GetUserResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, UserId::parse(&call.message.user_id)?);
        let user = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetUserResponse { data: Some(user.message()) })
    }

    async fn batch_get_users(&self, request: Request<pb::BatchGetUsersRequest>) -> Reply<pb::BatchGetUsersResponse> {
        let call = Call::admit(request)?;
        let permit = call.permit()?;
        let ids = call.message.ids.iter().map(|id| UserId::parse(id)).collect::<Result<_>>()?;
        let users = call
            .batch(&self.app, call.message.ids.len(), async move |connection| {
                ops::get_batch(connection, permit, ids).await
            })
            .await?;
        call.read(pb::BatchGetUsersResponse { data: users.into_iter().map(Audited::message).collect() })
    }

    async fn update_user(&self, request: Request<pb::UpdateUserRequest>) -> Reply<pb::UpdateUserResponse> {
        let mut call = Call::admit(request)?;
        let (id, expected) = (UserId::parse(&call.message.user_id)?, call.if_match.clone());
        let (message, mask) = (call.message.user.take().unwrap_or_default(), call.message.update_mask.take());
        let patch = patch(message.clone(), &call.update_paths("user", &message, mask)?)?;
        let policies = &self.app.contract.policies;
        call.write(&self.app, async move |work: &mut Work| {
            let user = ops::update(work, policies, id, expected, patch).await?;
            Ok(pb::UpdateUserResponse { data: Some(user.message()) })
        })
        .await
    }

    async fn set_user_role(&self, request: Request<pb::SetUserRoleRequest>) -> Reply<pb::SetUserRoleResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (UserId::parse(&call.message.user_id)?, call.if_match.clone());
        let role = Role::from_number(call.message.role)
            .ok_or_else(|| Error::field("role", "is not a role that a user can have"))?;
        let custom = call.message.staff_role_id.as_deref().map(RoleId::parse).transpose()?;
        let (new, policies) = (StaffRole { role, custom }, &self.app.contract.policies);
        let reply = call.write(&self.app, async move |work: &mut Work| {
            let user = ops::set_role(work, policies, id, expected, new).await?;
            Ok(pb::SetUserRoleResponse { data: Some(user.message()) })
        });
        let response = reply.await?;
        session::remove_outdated(&self.app, id).await;
        Ok(response)
    }

    async fn deactivate_user(&self, request: Request<pb::DeactivateUserRequest>) -> Reply<pb::DeactivateUserResponse> {
        let mut call = Call::admit(request)?;
        let (id, expected) = (UserId::parse(&call.message.user_id)?, call.if_match.clone());
        let (reason, policies) = (std::mem::take(&mut call.message.reason), &self.app.contract.policies);
        let reply = call.write(&self.app, async move |work: &mut Work| {
            let user = ops::deactivate(work, policies, id, expected, reason).await?;
            Ok(pb::DeactivateUserResponse { data: Some(user.message()) })
        });
        let response = reply.await?;
        session::remove_outdated(&self.app, id).await;
        Ok(response)
    }

    async fn reactivate_user(&self, request: Request<pb::ReactivateUserRequest>) -> Reply<pb::ReactivateUserResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (UserId::parse(&call.message.user_id)?, call.if_match.clone());
        let policies = &self.app.contract.policies;
        call.write(&self.app, async move |work: &mut Work| {
            let user = ops::reactivate(work, policies, id, expected).await?;
            Ok(pb::ReactivateUserResponse { data: Some(user.message()) })
        })
        .await
    }

    async fn reset_second_factor(
        &self,
        request: Request<pb::ResetSecondFactorRequest>,
    ) -> Reply<pb::ResetSecondFactorResponse> {
        let call = Call::admit(request)?;
        let (id, policies) = (UserId::parse(&call.message.user_id)?, &self.app.contract.policies);
        call.write(&self.app, async move |work: &mut Work| {
            let factor = second_factor::request_reset(work, policies, id).await?;
            Ok(pb::ResetSecondFactorResponse { data: Some(render_factor(factor)) })
        })
        .await
    }

    async fn set_user_avatar(
        &self,
        request: Request<Streaming<pb::SetUserAvatarRequest>>,
    ) -> Reply<pb::SetUserAvatarResponse> {
        avatar::set(&self.app, request).await
    }

    async fn delete_user_avatar(
        &self,
        request: Request<pb::DeleteUserAvatarRequest>,
    ) -> Reply<pb::DeleteUserAvatarResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (UserId::parse(&call.message.user_id)?, call.if_match.clone());
        let policies = &self.app.contract.policies;
        call.write(&self.app, async move |work: &mut Work| {
            ops::set_avatar(work, policies, id, expected, None).await?;
            Ok(pb::DeleteUserAvatarResponse {})
        })
        .await
    }
}
