//! `mainstay.identity.v1.RoleService`.

use mainstay_kernel::{
    app::App,
    audit::Audited,
    contract::{
        Policies,
        policy::{BuiltInRole, Scope},
    },
    error::{Error, Result},
    grpc::{Call, Reply, mask, render::time},
    id::AccountId,
    unit_of_work::Work,
};
use tonic::Request;

use crate::{
    identity::{
        role::{
            id::RoleId,
            limits::SessionLimits,
            model::{Draft, Owner, Patch, Role, built_in},
            ops,
        },
        tokens::Tokens,
    },
    proto::identity::v1::{self as pb, role_service_server::RoleService},
};

#[derive(Debug, Clone)]
pub struct Roles {
    pub app: App,
}

impl Audited for Role {
    type Message = pb::Role;

    fn message(self) -> pb::Role {
        pb::Role {
            id: Some(self.id.to_string()),
            account_id: self.owner.map(|account| account.to_string()),
            name: Some(self.name),
            description: Some(self.description),
            scopes: self.scopes,
            session_idle_seconds: self.limits.idle_seconds,
            session_max_age_seconds: self.limits.max_age_seconds,
            built_in: Some(false),
            version: Some(self.version),
            create_time: Some(time(self.created_at)),
            update_time: Some(time(self.updated_at)),
        }
    }
}

fn render_built_in(policies: &Policies, role: BuiltInRole) -> pb::Role {
    let description = match role {
        BuiltInRole::Owner => "Owns the account.",
        BuiltInRole::AccountAdmin => "Manages the account and its members.",
        BuiltInRole::Member => "Works with tickets, files and orders.",
        BuiltInRole::Billing => "Orders and pays.",
        BuiltInRole::Viewer => "Reads.",
        BuiltInRole::Agent => "Works for every account.",
        BuiltInRole::Admin => "Has every scope.",
    };
    pb::Role {
        name: Some(role.name().to_owned()),
        description: Some(description.to_owned()),
        scopes: names(&policies.scopes_of(role)),
        built_in: Some(true),
        ..pb::Role::default()
    }
}

fn names(scopes: &[Scope]) -> Vec<String> {
    scopes.iter().map(Scope::to_string).collect()
}

/// Returns the built-in roles of an owner, then the custom ones.
fn render_all(policies: &Policies, owner: Owner, custom: Vec<Role>) -> Vec<pb::Role> {
    let built_in = built_in(owner).iter().map(|&role| render_built_in(policies, role));
    built_in.chain(custom.into_iter().map(Audited::message)).collect()
}

/// Reads the new values of the fields in `paths`.
///
/// # Errors
/// `VALIDATION_FAILED` for a field that can't be cleared.
fn patch(message: &pb::RolePatch, paths: &[String]) -> Result<Patch> {
    let mut patch = Patch::default();
    let required = |path: &str| Error::field(format!("role.{path}"), "can't be cleared");
    for path in paths {
        match path.as_str() {
            "name" => patch.name = Some(message.name.clone().ok_or_else(|| required(path))?),
            "description" => patch.description = Some(message.description.clone().unwrap_or_default()),
            "scopes" if message.scopes.is_empty() => return Err(required(path)),
            "scopes" => patch.scopes = Some(message.scopes.clone()),
            "session_idle_seconds" => patch.limits.idle_seconds = Some(message.session_idle_seconds),
            "session_max_age_seconds" => patch.limits.max_age_seconds = Some(message.session_max_age_seconds),
            other => return Err(mask::unhandled(other)),
        }
    }
    Ok(patch)
}

#[tonic::async_trait]
impl RoleService for Roles {
    async fn create_role(&self, request: Request<pb::CreateRoleRequest>) -> Reply<pb::CreateRoleResponse> {
        let mut call = Call::admit(request)?;
        let message = std::mem::take(&mut call.message);
        let limits = SessionLimits {
            idle_seconds: message.session_idle_seconds,
            max_age_seconds: message.session_max_age_seconds,
        };
        let pb::CreateRoleRequest { account_id, name, description, scopes, .. } = message;
        let account = account_id.as_deref().map(AccountId::parse).transpose()?;
        let (draft, policies) = (Draft { name, description, scopes, limits }, &self.app.contract.policies);
        call.write(&self.app, async move |work: &mut Work| {
            let role = ops::create(work, policies, account, draft).await?;
            Ok(pb::CreateRoleResponse { data: Some(role.message()) })
        })
        .await
    }

    async fn list_roles(&self, request: Request<pb::ListRolesRequest>) -> Reply<pb::ListRolesResponse> {
        let call = Call::admit(request)?;
        let named = call.message.account_id.as_deref().map(AccountId::parse).transpose()?;
        let permit = call.permit()?;
        let owner = ops::owner(&permit, named)?;
        let read = async move |connection: &_| ops::list(connection, permit, owner).await;
        let roles = self.app.database.query(call.reach(), read).await?;
        call.read(pb::ListRolesResponse { data: render_all(&self.app.contract.policies, owner, roles) })
    }

    async fn get_role(&self, request: Request<pb::GetRoleRequest>) -> Reply<pb::GetRoleResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, RoleId::parse(&call.message.role_id)?);
        let role = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetRoleResponse { data: Some(role.message()) })
    }

    async fn get_my_access(&self, request: Request<pb::GetMyAccessRequest>) -> Reply<pb::GetMyAccessResponse> {
        let call = Call::admit(request)?;
        let scopes = names(call.permit()?.caller().scopes());
        call.read(pb::GetMyAccessResponse { data: Some(pb::MyAccess { scopes }) })
    }

    async fn update_role(&self, request: Request<pb::UpdateRoleRequest>) -> Reply<pb::UpdateRoleResponse> {
        let mut call = Call::admit(request)?;
        let (id, expected) = (RoleId::parse(&call.message.role_id)?, call.if_match.clone());
        let (message, mask) = (call.message.role.take().unwrap_or_default(), call.message.update_mask.take());
        let patch = patch(&message, &call.update_paths("role", &message, mask)?)?;
        let policies = &self.app.contract.policies;
        let reply = call.write(&self.app, async move |work: &mut Work| {
            let role = ops::update(work, policies, id, expected, patch).await?;
            Ok(pb::UpdateRoleResponse { data: Some(role.message()) })
        });
        let response = reply.await?;
        self.app.part::<Tokens>().invalidate_role(id);
        Ok(response)
    }

    async fn delete_role(&self, request: Request<pb::DeleteRoleRequest>) -> Reply<pb::DeleteRoleResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (RoleId::parse(&call.message.role_id)?, call.if_match.clone());
        let policies = &self.app.contract.policies;
        call.write(&self.app, async move |work: &mut Work| {
            ops::delete(work, policies, id, expected).await?;
            Ok(pb::DeleteRoleResponse {})
        })
        .await
    }
}
