//! The roles that groups give: that of the account with the name of the group. Nobody becomes an owner by a group, and an owner
//! keeps the role.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::Outdated;
use crate::identity::{
    account_domain::store as account_domains,
    member::{
        model::{AccountRole, Member, MemberRole},
        ops::assign,
        store as members,
    },
    role::store as roles,
    scim::{
        model::{MAX_CHANGES, Provisioned, too_many},
        store,
    },
    user::model::EmailAddress,
};
use mainstay_kernel::{
    audit::Record,
    contract::{Policies, policy::BuiltInRole},
    database::Connection,
    error::Result,
    id::{AccountId, UserId},
};

/// The roles that groups of an account give, the first ones before the later ones, by their names in lower case.
pub(super) struct Mapping(Vec<(String, MemberRole)>);

impl Mapping {
    /// Reads the roles of an account. A custom role with a scope that an admin lacks is none of them.
    pub(super) async fn read(connection: &Connection, policies: &Policies, account: AccountId) -> Result<Self> {
        let of_admin = policies.scopes_of(BuiltInRole::AccountAdmin);
        let built_in = |role: AccountRole| (role.name().to_owned(), MemberRole::BuiltIn(role));
        let mut roles = vec![built_in(AccountRole::Admin)];
        for role in roles::list(connection, Some(account)).await? {
            let scopes = policies.declared(role.declared(policies));
            if scopes.iter().all(|scope| of_admin.contains(scope)) {
                roles.push((role.name.to_lowercase(), MemberRole::Custom(role.id)));
            }
        }
        roles.extend([AccountRole::Member, AccountRole::Billing, AccountRole::Viewer].map(built_in));
        Ok(Self(roles))
    }

    /// Returns the role that a group with a name gives.
    pub(super) fn of_name(&self, name: &str) -> Option<MemberRole> {
        let name = name.to_lowercase();
        self.0.iter().find(|(other, _)| *other == name).map(|&(_, role)| role)
    }

    /// Returns the roles that the present groups of users give them.
    pub(super) async fn of_users(
        &self,
        connection: &Connection,
        account: AccountId,
        users: &[UserId],
    ) -> Result<HashMap<UserId, MemberRole>> {
        let mut names: HashMap<UserId, Vec<String>> = HashMap::new();
        for (user, name) in store::groups_of(connection, account, users).await? {
            names.entry(user).or_default().push(name.to_lowercase());
        }
        let first = |names: &[String]| self.0.iter().find(|(name, _)| names.contains(name)).map(|&(_, role)| role);
        Ok(names.into_iter().filter_map(|(user, names)| Some((user, first(&names)?))).collect())
    }
}

/// Returns the role of an address without a group: that of the mail domain, or else of a viewer.
pub(super) async fn usual(connection: &Connection, account: AccountId, email: &str) -> Result<MemberRole> {
    let viewer = MemberRole::BuiltIn(AccountRole::Viewer);
    let Ok(email) = EmailAddress::find(email) else { return Ok(viewer) };
    let domain = account_domains::verified(connection, email.domain()).await?;
    Ok(domain.filter(|domain| domain.account == account).map_or(viewer, |domain| domain.member_role()))
}

/// The roles that groups gave before a change, for the users whom the change may concern.
pub(super) struct Before {
    pub(super) users: Vec<UserId>,
    pub(super) roles: HashMap<UserId, MemberRole>,
}

/// Gives the users of a change the roles that their groups give them after it. A user without any such group has the usual
/// role again. Returns the entries of the audit log.
pub(super) async fn apply(
    connection: &mut Connection,
    policies: &Policies,
    account: AccountId,
    mapping: &Mapping,
    before: Before,
    now: DateTime<Utc>,
    outdated: &mut Outdated,
) -> Result<Vec<Record>> {
    let after = mapping.of_users(connection, account, &before.users).await?;
    let is_changed = |user: &&UserId| before.roles.get(*user) != after.get(*user);
    let changed: Vec<_> = before.users.iter().filter(is_changed).copied().collect();
    if changed.len() > MAX_CHANGES {
        return Err(too_many("changed roles", MAX_CHANGES));
    }
    let mut records = Vec::new();
    for user in changed {
        let Some(person) = store::find(connection, account, user).await? else { continue };
        let role = match after.get(&user) {
            Some(role) => *role,
            None => usual(connection, account, &person.email).await?,
        };
        match members::find(connection, account, user).await? {
            Some(member) => records.extend(give(connection, policies, member, role, now, outdated).await?),
            // The role of a suspended membership. One that has ended otherwise begins anew, after a look at the mail domain.
            None => {
                let known = store::provisioned(connection, account, user).await?;
                if let Some(known) = known.filter(|known| known.role.is_some()) {
                    let next = Provisioned { role: Some(role), ..known };
                    store::upsert(connection, account, user, &next, 1, now).await?;
                }
            }
        }
    }
    Ok(records)
}

/// Gives a role to a member who is no owner.
async fn give(
    connection: &mut Connection,
    policies: &Policies,
    member: Member,
    role: MemberRole,
    now: DateTime<Utc>,
    outdated: &mut Outdated,
) -> Result<Option<Record>> {
    if member.is_owner() || member.role == role {
        return Ok(None);
    }
    let member = members::lock(connection, member.id).await?;
    let changed = assign(connection, policies, member.clone(), role, now).await?;
    outdated.changed.push(changed.id);
    Ok(Some(Record::updated(&member, &changed)))
}
