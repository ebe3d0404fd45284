//! Members of accounts, and their roles.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    files::avatar::model::Avatar,
    identity::{
        account_provider::enforced::Enforced,
        member::id::MemberId,
        revocation::model::SubjectVersion,
        role::{id::RoleId, limits::SessionLimits, model::Assigned},
    },
};
use mainstay_kernel::{
    contract::policy::BuiltInRole,
    id::{AccountId, UserId},
    numbered::numbered,
};

/// The maximum number of accounts that a user may own or have created. A transfer thus makes no room for another one. The user
/// may be a member of more.
pub const MAX_OWN: i64 = 20;

/// The maximum number of memberships that the profile of a user lists.
pub const MAX_LISTED: i64 = 100;

numbered! {
    /// A built-in role of an account.
    AccountRole {
        /// Has every scope of the account, and transfers its ownership.
        Owner = 1 => "owner",
        /// Manages the account and its members.
        Admin = 2 => "admin",
        /// Works with the account's data.
        Member = 3 => "member",
        /// Pays, and reads what was paid.
        Billing = 4 => "billing",
        /// Reads the account's data.
        Viewer = 5 => "viewer",
    }
}

/// The role of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberRole {
    BuiltIn(AccountRole),
    /// A custom role of the account.
    Custom(RoleId),
}

impl MemberRole {
    pub const OWNER: Self = Self::BuiltIn(AccountRole::Owner);
    pub const ADMIN: Self = Self::BuiltIn(AccountRole::Admin);

    /// Returns the role as the role that an access token grants.
    pub fn assigned(self) -> Assigned {
        match self {
            Self::BuiltIn(AccountRole::Owner) => Assigned::BuiltIn(BuiltInRole::Owner),
            Self::BuiltIn(AccountRole::Admin) => Assigned::BuiltIn(BuiltInRole::AccountAdmin),
            Self::BuiltIn(AccountRole::Member) => Assigned::BuiltIn(BuiltInRole::Member),
            Self::BuiltIn(AccountRole::Billing) => Assigned::BuiltIn(BuiltInRole::Billing),
            Self::BuiltIn(AccountRole::Viewer) => Assigned::BuiltIn(BuiltInRole::Viewer),
            Self::Custom(id) => Assigned::Custom(id),
        }
    }

    /// Returns the columns of the built-in role and of the custom role.
    pub fn columns(self) -> (Option<i16>, Option<Uuid>) {
        match self {
            Self::BuiltIn(role) => (Some(role.number()), None),
            Self::Custom(id) => (None, Some(id.0)),
        }
    }

    /// Returns the role of these columns; `None` if they name none.
    pub fn of_columns(role: Option<i16>, custom: Option<Uuid>) -> Option<Self> {
        match (role, custom) {
            (Some(number), None) => AccountRole::from_number(number.into()).map(Self::BuiltIn),
            (None, Some(id)) => Some(Self::Custom(RoleId(id))),
            _ => None,
        }
    }
}

/// The membership of a person in an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: MemberId,
    pub account: AccountId,
    pub user: UserId,
    pub role: MemberRole,
    /// The version, which each change increments by one. Access tokens name it: those of an earlier version are refused.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Member {
    /// Creates a membership.
    pub fn new(account: AccountId, user: UserId, role: MemberRole, now: DateTime<Utc>) -> Self {
        Self { id: MemberId::generate(now), account, user, role, version: 1, created_at: now, updated_at: now }
    }

    /// Returns the member with another role.
    #[must_use]
    pub fn in_role(self, role: MemberRole, now: DateTime<Utc>) -> Self {
        Self { role, version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns whether the member is an owner of the account.
    pub fn is_owner(&self) -> bool {
        self.role == MemberRole::OWNER
    }

    /// Returns the version, which access tokens name.
    pub fn current(&self) -> SubjectVersion {
        SubjectVersion::new(self.id.0, self.version)
    }
}

/// What a member's colleagues see of the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub email: String,
    pub avatar: Option<Avatar>,
}

/// A member with the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDetails {
    pub member: Member,
    pub person: Person,
}

/// A membership with the name of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub member: Member,
    pub account_name: String,
    /// What the account requires of the sign-ins of its members.
    pub policy: SignInPolicy,
}

/// What an account requires of the sign-ins of its members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignInPolicy {
    pub requires_second_factor: bool,
    /// The provider of the account, if it is the only way to sign in.
    pub enforced: Option<Enforced>,
    /// How long sessions last in the account and in the role of the member, or of the staff.
    pub limits: SessionLimits,
}

/// A filter of members, in addition to the caller's visibility.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only members of this account.
    pub account: Option<AccountId>,
    /// Only memberships of this person.
    pub user: Option<UserId>,
    /// Only members with one of these built-in roles, or a custom role; all if both are absent.
    pub roles: Vec<i16>,
    pub is_custom: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_grants_what_the_built_in_role_of_its_name_grants() {
        for role in AccountRole::ALL {
            let Assigned::BuiltIn(granted) = MemberRole::BuiltIn(role).assigned() else { panic!("{role:?}") };
            assert!(granted.name() == role.name() && BuiltInRole::OF_ACCOUNTS.contains(&granted), "{role:?}");
        }
    }

    #[test]
    fn a_role_is_made_of_its_columns() {
        let custom = Uuid::from_u128(7);
        for role in AccountRole::ALL.map(MemberRole::BuiltIn).into_iter().chain([MemberRole::Custom(RoleId(custom))]) {
            let (built_in, custom) = role.columns();
            assert_eq!(MemberRole::of_columns(built_in, custom), Some(role));
        }
        for (built_in, custom) in [(None, None), (Some(1), Some(custom)), (Some(6), None)] {
            assert_eq!(MemberRole::of_columns(built_in, custom), None);
        }
    }
}
