//! `mainstay.identity.v1.MemberService`.

use tonic::Request;

use crate::{
    identity::{
        member::{
            id::MemberId,
            model::{Filter, Member, MemberDetails, MemberRole, Membership},
            ops,
        },
        session::ops as session,
        tokens::Tokens,
    },
    proto::identity::v1::{self as pb, member_service_server::MemberService},
};
use mainstay_kernel::{
    app::App,
    audit::Audited,
    error::{Error, Result},
    grpc::{Call, Reply, mask, render::time},
    id::{AccountId, UserId},
    page::Key,
    unit_of_work::Work,
};
use uuid::Uuid;

#[derive(Debug, Clone)]
pub struct Members {
    pub app: App,
}

/// The number of a custom role in the contract.
const CUSTOM: i32 = pb::MemberRole::Custom as i32;

/// Renders a role: its number, and the id of a custom role.
pub(crate) fn render_role(role: MemberRole) -> (i32, Option<String>) {
    let (built_in, custom) = role.columns();
    (built_in.map_or(CUSTOM, i32::from), custom.map(|id| id.to_string()))
}

/// Parses a role of a request, whose fields are below `prefix`.
///
/// # Errors
/// `VALIDATION_FAILED` unless the fields name exactly one role.
pub(crate) fn parse_role(role: i32, custom: Option<&str>, prefix: &str) -> Result<MemberRole> {
    let custom = custom.map(|id| id.parse::<Uuid>().map_err(|_| Error::not_found("role"))).transpose()?;
    let built_in = (role != CUSTOM).then(|| i16::try_from(role).unwrap_or_default());
    MemberRole::of_columns(built_in, custom).ok_or_else(|| {
        Error::field(format!("{prefix}customRoleId"), "is required with MEMBER_ROLE_CUSTOM, and only with it")
    })
}

/// Renders a member.
pub(crate) fn render(details: MemberDetails) -> pb::Member {
    let MemberDetails { member, person } = details;
    pb::Member {
        name: Some(person.name),
        email: Some(person.email),
        avatar_url: person.avatar.map(|avatar| avatar.url()),
        ..member.message()
    }
}

/// The message lacks the values of the person, which a change of the membership leaves as they are.
impl Audited for Member {
    type Message = pb::Member;

    fn message(self) -> pb::Member {
        let (role, custom_role_id) = render_role(self.role);
        pb::Member {
            id: Some(self.id.to_string()),
            account_id: Some(self.account.to_string()),
            user_id: Some(self.user.to_string()),
            role: Some(role),
            custom_role_id,
            version: Some(self.version),
            create_time: Some(time(self.created_at)),
            update_time: Some(time(self.updated_at)),
            ..pb::Member::default()
        }
    }
}

/// Renders a membership of the calling user.
pub(crate) fn render_membership(membership: Membership) -> pb::Membership {
    let Membership { member, account_name, .. } = membership;
    let (role, custom_role_id) = render_role(member.role);
    pb::Membership {
        member_id: member.id.to_string(),
        account_id: member.account.to_string(),
        account_name,
        role,
        custom_role_id,
        create_time: Some(time(member.created_at)),
    }
}

fn filter(message: &pb::ListMembersRequest) -> Result<Filter> {
    let (custom, built_in): (Vec<i32>, Vec<i32>) = message.roles.iter().partition(|&&role| role == CUSTOM);
    // The contract has validated the numbers.
    let mut roles: Vec<_> = built_in.into_iter().filter_map(|number| i16::try_from(number).ok()).collect();
    // Sorting makes filters with the same roles equal in any order, so that their page tokens remain valid.
    roles.sort_unstable();
    Ok(Filter {
        account: message.account_id.as_deref().map(AccountId::parse).transpose()?,
        user: message.user_id.as_deref().map(UserId::parse).transpose()?,
        roles,
        is_custom: !custom.is_empty(),
    })
}

/// Returns the new role, if `paths` has a field of it.
fn new_role(message: &pb::MemberPatch, paths: &[String]) -> Result<Option<MemberRole>> {
    if let Some(other) = paths.iter().find(|path| !["role", "custom_role_id"].contains(&path.as_str())) {
        return Err(mask::unhandled(other));
    }
    if paths.is_empty() {
        return Ok(None);
    }
    // A custom role needs no other field.
    let role = message.role.or(message.custom_role_id.is_some().then_some(CUSTOM));
    let role = role.ok_or_else(|| Error::field("member.role", "can't be cleared"))?;
    parse_role(role, message.custom_role_id.as_deref(), "member.").map(Some)
}

#[tonic::async_trait]
impl MemberService for Members {
    async fn list_members(&self, request: Request<pb::ListMembersRequest>) -> Reply<pb::ListMembersResponse> {
        let call = Call::admit(request)?;
        let (permit, pager, filter) = (call.permit()?, call.pager(&self.app)?, filter(&call.message)?);
        let list = async move |connection: &_| ops::list(connection, permit, filter, pager.page).await;
        let (members, meta) =
            call.list(&self.app, pager, list, |row| Key::new(row.member.created_at, row.member.id.0)).await?;
        call.read(pb::ListMembersResponse { data: members.into_iter().map(render).collect(), meta })
    }

    async fn get_member(&self, request: Request<pb::GetMemberRequest>) -> Reply<pb::GetMemberResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, MemberId::parse(&call.message.member_id)?);
        let member = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetMemberResponse { data: Some(render(member)) })
    }

    async fn update_member(&self, request: Request<pb::UpdateMemberRequest>) -> Reply<pb::UpdateMemberResponse> {
        let mut call = Call::admit(request)?;
        let (id, expected) = (MemberId::parse(&call.message.member_id)?, call.if_match.clone());
        let (message, mask) = (call.message.member.take().unwrap_or_default(), call.message.update_mask.take());
        let role = new_role(&message, &call.update_paths("member", &message, mask)?)?;
        let policies = &self.app.contract.policies;
        let reply = call.write(&self.app, async move |work: &mut Work| {
            let member = ops::change_role(work, policies, id, expected, role).await?;
            Ok(pb::UpdateMemberResponse { data: Some(render(member)) })
        });
        let response = reply.await?;
        self.app.part::<Tokens>().invalidate_member(id);
        Ok(response)
    }

    async fn remove_member(&self, request: Request<pb::RemoveMemberRequest>) -> Reply<pb::RemoveMemberResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (MemberId::parse(&call.message.member_id)?, call.if_match.clone());
        let mut person = None;
        let (removed, policies) = (&mut person, &self.app.contract.policies);
        let reply = call.write(&self.app, async move |work: &mut Work| {
            *removed = Some(ops::remove(work, policies, id, expected).await?);
            Ok(pb::RemoveMemberResponse {})
        });
        let response = reply.await?;
        if let Some(user) = person {
            session::remove_member(&self.app, user, id).await;
        }
        Ok(response)
    }

    async fn leave_account(&self, request: Request<pb::LeaveAccountRequest>) -> Reply<pb::LeaveAccountResponse> {
        let call = Call::admit(request)?;
        let id = MemberId::parse(&call.message.member_id)?;
        let mut person = None;
        let left = &mut person;
        let reply = call.write(&self.app, async move |work: &mut Work| {
            *left = Some(ops::leave(work, id).await?);
            Ok(pb::LeaveAccountResponse {})
        });
        let response = reply.await?;
        if let Some(user) = person {
            session::remove_member(&self.app, user, id).await;
        }
        Ok(response)
    }
}
