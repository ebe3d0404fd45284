//! The provider of an account, and the roles that it gives.

use chrono::{DateTime, Utc};

use crate::identity::{
    account_provider::{enforced::Enforced, id::AccountProviderId},
    member::model::{AccountRole, MemberRole},
};
use mainstay_kernel::id::AccountId;

/// The claim with the groups of a person, unless the account names another one.
pub const GROUPS_CLAIM: &str = "groups";

/// The role of the members of a group at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRole {
    pub group: String,
    pub role: MemberRole,
}

/// The provider of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountProvider {
    pub id: AccountProviderId,
    pub account: AccountId,
    /// The `iss` of its ID tokens.
    pub issuer: String,
    pub client_id: String,
    /// The sealed secret; `None` for a client that PKCE alone protects.
    pub client_secret: Option<Vec<u8>>,
    /// The name for people.
    pub display_name: String,
    /// Since when members must sign in with the provider; `None` if they need not.
    pub enforced_at: Option<DateTime<Utc>>,
    /// The claim with the groups of a person.
    pub groups_claim: String,
    /// The roles of groups. The first group of a person counts.
    pub groups: Vec<GroupRole>,
    /// The role of people in none of the groups.
    pub default_role: AccountRole,
    /// The version, which each change increments by one.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A provider with the URI to which it sends people back, as the configuration decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithRedirect {
    pub provider: AccountProvider,
    pub redirect_uri: String,
}

/// New values for some of a provider's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// The sealed secret, or none.
    pub client_secret: Option<Option<Vec<u8>>>,
    pub display_name: Option<String>,
    pub enforced: Option<bool>,
    pub groups_claim: Option<String>,
    pub groups: Option<Vec<GroupRole>>,
    pub default_role: Option<AccountRole>,
}

impl AccountProvider {
    /// Returns the label under which the secret is sealed.
    pub fn label(id: AccountProviderId) -> String {
        format!("account provider {id}")
    }

    /// Returns the rule about the sign-ins of members, if there is one.
    pub fn enforced(&self) -> Option<Enforced> {
        self.enforced_at.map(|since| Enforced { provider: self.id, since })
    }

    /// Returns the next version with a patch applied, or `None` if that changes nothing.
    pub fn apply(&self, patch: Patch, now: DateTime<Utc>) -> Option<Self> {
        let mut next = self.clone();
        next.client_secret = patch.client_secret.unwrap_or(next.client_secret);
        next.display_name = patch.display_name.unwrap_or(next.display_name);
        next.groups_claim = patch.groups_claim.unwrap_or(next.groups_claim);
        next.groups = patch.groups.unwrap_or(next.groups);
        next.default_role = patch.default_role.unwrap_or(next.default_role);
        next.enforced_at = match patch.enforced {
            Some(true) => next.enforced_at.or(Some(now)),
            Some(false) => None,
            None => next.enforced_at,
        };
        (next != *self).then(|| Self { version: self.version + 1, updated_at: now, ..next })
    }

    /// Returns the role of people in none of the groups.
    pub fn default_role(&self) -> MemberRole {
        MemberRole::BuiltIn(self.default_role)
    }

    /// Returns every role that people may get.
    pub fn roles(&self) -> impl Iterator<Item = MemberRole> {
        self.groups.iter().map(|one| one.role).chain([self.default_role()])
    }

    /// Returns the roles of a person in these groups, the first one that exists counts: those of the groups, and the default one.
    pub fn roles_of(&self, groups: &[String]) -> impl Iterator<Item = MemberRole> {
        let of_groups = self.groups.iter().filter(move |one| groups.contains(&one.group)).map(|one| one.role);
        of_groups.chain([self.default_role()])
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn provider() -> AccountProvider {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let group = |group: &str, role| GroupRole { group: group.to_owned(), role: MemberRole::BuiltIn(role) };
        AccountProvider {
            id: AccountProviderId(Uuid::from_u128(1)),
            account: AccountId(Uuid::from_u128(2)),
            issuer: "https://id.example".to_owned(),
            client_id: "mainstay".to_owned(),
            client_secret: None,
            display_name: "Engines".to_owned(),
            enforced_at: None,
            groups_claim: GROUPS_CLAIM.to_owned(),
            groups: vec![group("it", AccountRole::Admin), group("finance", AccountRole::Billing)],
            default_role: AccountRole::Viewer,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    #[test]
    fn the_first_group_counts() {
        let role = |groups: &[&str]| {
            let groups: Vec<_> = groups.iter().map(|&group| group.to_owned()).collect();
            provider().roles_of(&groups).next()
        };
        assert_eq!(role(&["finance", "it"]), Some(MemberRole::ADMIN));
        assert_eq!(role(&["finance"]), Some(MemberRole::BuiltIn(AccountRole::Billing)));
        for none in [&[][..], &["IT"], &["it "]] {
            assert_eq!(role(none), Some(MemberRole::BuiltIn(AccountRole::Viewer)), "{none:?}");
        }
    }

    #[test]
    fn the_time_of_the_enforcement_stays() {
        let (first, later) = (provider(), provider().created_at + chrono::TimeDelta::hours(1));
        let enforce = || Patch { enforced: Some(true), ..Patch::default() };
        let enforced = first.apply(enforce(), later).expect("a change");
        assert_eq!((enforced.enforced_at, enforced.version), (Some(later), 2));
        assert_eq!(enforced.apply(enforce(), later + chrono::TimeDelta::hours(1)), None);
        let not = Patch { enforced: Some(false), ..Patch::default() };
        assert_eq!(enforced.apply(not, later).expect("a change").enforced(), None);
    }
}
