//! The built-in roles of users, and the scopes that each holds by the contract.

use std::sync::Arc;

use super::{DeclaredScope, Holder, Role, Scope};

/// A built-in role of an account or of the staff.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BuiltInRole {
    /// An owner of an account.
    Owner,
    /// An admin of an account.
    AccountAdmin,
    /// A member of an account who works with its tickets, files and orders.
    Member,
    /// A member of an account who pays.
    Billing,
    /// A member of an account who only reads.
    Viewer,
    /// An agent of the platform.
    Agent,
    /// An admin of the platform, who holds every scope.
    Admin,
}

impl BuiltInRole {
    /// The roles within an account.
    pub const OF_ACCOUNTS: [Self; 5] = [Self::Owner, Self::AccountAdmin, Self::Member, Self::Billing, Self::Viewer];
    /// The roles of the staff.
    pub const OF_STAFF: [Self; 2] = [Self::Agent, Self::Admin];

    /// Returns every built-in role.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::OF_ACCOUNTS.into_iter().chain(Self::OF_STAFF)
    }

    /// Returns the name, which is unique among the roles of accounts and among those of the staff.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::AccountAdmin | Self::Admin => "admin",
            Self::Member => "member",
            Self::Billing => "billing",
            Self::Viewer => "viewer",
            Self::Agent => "agent",
        }
    }

    /// Returns the name, which is unique among all built-in roles: the platform's admin is the `staff_admin`.
    pub fn full_name(self) -> &'static str {
        if self == Self::Admin { "staff_admin" } else { self.name() }
    }

    /// Returns the platform's role of a user with this role, which the grants of a policy name.
    pub fn role(self) -> Role {
        match self {
            Self::Agent => Role::Agent,
            Self::Admin => Role::Admin,
            Self::Owner | Self::AccountAdmin | Self::Member | Self::Billing | Self::Viewer => Role::Customer,
        }
    }

    fn holds(self, scope: &DeclaredScope) -> bool {
        let holder = match self {
            Self::Owner => Holder::Owner,
            Self::AccountAdmin => Holder::Admin,
            Self::Member => Holder::Member,
            Self::Billing => Holder::Billing,
            Self::Viewer => Holder::Viewer,
            Self::Agent => Holder::Agent,
            Self::Admin => return true,
        };
        scope.holders.contains(&holder)
    }
}

/// The scopes of all built-in roles. Each list is shared by the callers with the role.
#[derive(Debug)]
pub(super) struct BuiltInScopes(Vec<(BuiltInRole, Arc<[Scope]>)>);

impl BuiltInScopes {
    pub(super) fn of<'a>(declared: impl Iterator<Item = &'a DeclaredScope> + Clone) -> Self {
        let held = |role: BuiltInRole| declared.clone().filter(move |scope| role.holds(scope));
        Self(BuiltInRole::all().map(|role| (role, held(role).map(|scope| scope.name.clone()).collect())).collect())
    }

    pub(super) fn get(&self, role: BuiltInRole) -> Arc<[Scope]> {
        let entry = self.0.iter().find(|(other, _)| *other == role);
        entry.map_or_else(|| Arc::from([]), |(_, scopes)| scopes.clone())
    }
}
