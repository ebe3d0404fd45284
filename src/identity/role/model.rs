//! Roles: sets of scopes, built in or composed by an account or the staff.

use chrono::{DateTime, Utc};
use mainstay_kernel::{
    contract::{Policies, policy::BuiltInRole},
    error::{Error, Result},
    id::AccountId,
};

use crate::identity::role::{
    id::RoleId,
    limits::{LimitsPatch, SessionLimits},
};

/// The fault of the name of a scope that no module declares. A list of all scopes would not fit into the trailers of gRPC.
pub const UNKNOWN_SCOPE: &str = "must be a scope that the API reference lists";

/// The maximum number of custom roles of one owner.
pub const MAX_ROLES: i64 = 50;

/// The account that a role belongs to; `None` for the staff.
pub type Owner = Option<AccountId>;

/// A custom role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub id: RoleId,
    /// The account whose members may have the role; `None` for a role of agents.
    pub owner: Owner,
    /// The name, unique for the owner regardless of case.
    pub name: String,
    /// What the role is for; may be empty.
    pub description: String,
    /// The names of the scopes, sorted. A scope that no module declares any more grants nothing.
    pub scopes: Vec<String>,
    /// How long sessions last in the role.
    pub limits: SessionLimits,
    /// The version, which each change increments by one.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last updated.
    pub updated_at: DateTime<Utc>,
}

/// A custom role to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    pub name: String,
    pub description: String,
    /// The names of the scopes.
    pub scopes: Vec<String>,
    pub limits: SessionLimits,
}

/// New values for some of a role's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    pub name: Option<String>,
    pub description: Option<String>,
    pub scopes: Option<Vec<String>>,
    pub limits: LimitsPatch,
}

impl Role {
    /// Creates a role.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for the name of a built-in role, and for a scope that the owner's roles can't have.
    pub fn new(policies: &Policies, owner: Owner, draft: Draft, now: DateTime<Utc>) -> Result<Self> {
        let Draft { name, description, mut scopes, limits } = draft;
        check_name(owner, &name, "name")?;
        check_scopes(policies, owner, &scopes, "scopes")?;
        scopes.sort_unstable();
        let id = RoleId::generate(now);
        Ok(Self { id, owner, name, description, scopes, limits, version: 1, created_at: now, updated_at: now })
    }

    /// Returns the next version, or `None` if nothing changes.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for the name of a built-in role, and for a scope that the owner's roles can't have.
    pub fn apply(&self, policies: &Policies, patch: Patch, now: DateTime<Utc>) -> Result<Option<Self>> {
        let mut next = self.clone();
        if let Some(name) = patch.name {
            check_name(self.owner, &name, "role.name")?;
            next.name = name;
        }
        if let Some(mut scopes) = patch.scopes {
            check_scopes(policies, self.owner, &scopes, "role.scopes")?;
            scopes.sort_unstable();
            next.scopes = scopes;
        }
        next.description = patch.description.unwrap_or(next.description);
        next.limits = next.limits.apply(patch.limits);
        let has_changed = next != *self;
        Ok(has_changed.then(|| Self { version: self.version + 1, updated_at: now, ..next }))
    }

    /// Returns whether access tokens with an earlier version of the role grant something else, or last longer.
    pub fn outdates(&self, earlier: &Self) -> bool {
        (&self.scopes, self.limits) != (&earlier.scopes, earlier.limits)
    }

    /// Returns the names of the scopes that grant something: those that the contract has, and has for accounts if the role
    /// belongs to one.
    pub fn declared<'a>(&'a self, policies: &'a Policies) -> impl Iterator<Item = &'a str> {
        let granted = move |name: &&str| {
            policies
                .scopes()
                .any(|scope| scope.name.as_str() == *name && (self.owner.is_none() || scope.is_of_accounts()))
        };
        self.scopes.iter().map(String::as_str).filter(granted)
    }
}

/// Refuses the name of a built-in role, with which a custom role could be confused.
fn check_name(owner: Owner, name: &str, field: &str) -> Result<()> {
    let is_taken = built_in(owner).iter().any(|role| role.name().eq_ignore_ascii_case(name));
    if is_taken { Err(Error::field(field, "must not be the name of a built-in role")) } else { Ok(()) }
}

/// Refuses scopes that no module declares and, for a role of an account, those that only the staff may have.
pub(crate) fn check_scopes(policies: &Policies, owner: Owner, scopes: &[String], field: &str) -> Result<()> {
    let declared: Vec<_> = policies.scopes().collect();
    let fault = |name: &String| match declared.iter().find(|scope| scope.name.as_str() == name) {
        None => Some(UNKNOWN_SCOPE.to_owned()),
        Some(scope) if owner.is_some() && !scope.is_of_accounts() => Some("is a scope of the staff".to_owned()),
        Some(_) => None,
    };
    let faults =
        scopes.iter().enumerate().filter_map(|(index, name)| Some((format!("{field}[{index}]"), fault(name)?)));
    let faults: Vec<_> = faults.collect();
    if faults.is_empty() { Ok(()) } else { Err(Error::validation(faults)) }
}

/// Returns the built-in roles of an account or of the staff.
pub fn built_in(owner: Owner) -> &'static [BuiltInRole] {
    if owner.is_some() { &BuiltInRole::OF_ACCOUNTS } else { &BuiltInRole::OF_STAFF }
}

/// The role that a user or a member has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assigned {
    /// A built-in role.
    BuiltIn(BuiltInRole),
    /// A custom role of the account or of the staff.
    Custom(RoleId),
}

/// What a role grants at the time when an access token is issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Granted {
    /// Nothing: a customer is a member of no account.
    Nothing,
    /// The rights to prove and to add a second factor, whatever the role.
    UntilSecondFactor,
    /// The scopes of a built-in role, which every instance knows from the contract.
    BuiltIn(BuiltInRole),
    /// The scopes of a version of a custom role.
    Custom {
        id: RoleId,
        version: i64,
        /// The names of the scopes.
        scopes: Vec<String>,
    },
}

impl From<Role> for Granted {
    fn from(role: Role) -> Self {
        Self::Custom { id: role.id, version: role.version, scopes: role.scopes }
    }
}

#[cfg(test)]
mod tests {
    use mainstay_kernel::clock::Clock;
    use uuid::Uuid;

    use super::*;

    fn policies() -> &'static Policies {
        &crate::product().modules().expect("they fit together").contract.policies
    }

    fn draft(name: &str, scopes: &[&str]) -> Draft {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        Draft { name: name.to_owned(), description: String::new(), scopes, limits: SessionLimits::default() }
    }

    #[test]
    fn a_role_of_an_account_has_no_scope_of_the_staff() {
        let (now, account) = (Clock::default().now(), Some(AccountId(Uuid::nil())));
        let fault = |owner, scope: &str| {
            let new = Role::new(policies(), owner, draft("Desk", &["support.tickets.read", scope]), now);
            new.err().map(|error| error.fields().to_vec())
        };
        assert_eq!(fault(account, "support.tickets.write"), None);
        assert_eq!(fault(None, "payments.refunds.create"), None);
        let refused = vec![("scopes[1]".to_owned(), "is a scope of the staff".to_owned())];
        for scope in ["payments.refunds.create", "identity.users.read", "identity.staff_roles.manage"] {
            assert_eq!(fault(account, scope), Some(refused.clone()), "{scope}");
        }
        let unknown = fault(None, "support.everything").expect("a fault");
        assert!(unknown[0].1.starts_with("must be a scope"), "{unknown:?}");
    }

    #[test]
    fn a_custom_role_has_no_name_of_a_built_in_one() {
        let (now, account) = (Clock::default().now(), Some(AccountId(Uuid::nil())));
        let new = |owner, name| Role::new(policies(), owner, draft(name, &["support.tickets.read"]), now);
        new(account, "Owner").expect_err("a built-in role of accounts");
        new(None, "AGENT").expect_err("a built-in role of the staff");
        let role = new(account, "Agent").expect("no role of accounts");
        let patch = Patch { name: Some("viewer".to_owned()), ..Patch::default() };
        role.apply(policies(), patch, now).expect_err("a built-in role of accounts");
    }

    #[test]
    fn the_order_of_scopes_does_not_matter() {
        let now = Clock::default().now();
        let scopes = ["support.tickets.write", "support.tickets.read"];
        let role = Role::new(policies(), None, draft("Desk", &scopes), now).expect("a role");
        assert_eq!(role.scopes, ["support.tickets.read", "support.tickets.write"]);
        let same = Patch { scopes: Some(scopes.map(str::to_owned).to_vec()), ..Patch::default() };
        assert_eq!(role.apply(policies(), same, now).expect("a patch"), None);
        let less = Patch { scopes: Some(vec![scopes[0].to_owned()]), ..Patch::default() };
        let next = role.apply(policies(), less, now).expect("a patch").expect("a change");
        assert_eq!((next.version, &*next.scopes), (2, &[scopes[0].to_owned()][..]));
    }
}
