//! The grants of a method: the roles that may call, with the reach of each and the scope that it needs.

use super::{Reach, Role, Scope, pb};

/// A role and its reach.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// The resources that a caller of the role with the scope reaches.
    pub reach: Reach,
    /// The scope that a caller of the role needs; `None` if the method requires none.
    pub scope: Option<Scope>,
    /// The resources that a caller of the role without the scope reaches; `None` if such a caller is refused.
    pub reach_without_scope: Option<Reach>,
}

impl Grant {
    /// Reads a grant of a grant set. The method adds the scope.
    pub(super) fn without_scope(raw: &pb::Grant) -> Self {
        let less = Some(raw.reach_without_scope()).filter(|reach| *reach != Reach::Unspecified);
        Self { role: raw.role(), reach: raw.reach(), scope: None, reach_without_scope: less }
    }

    /// Returns the reach of a caller of the role with these scopes.
    ///
    /// # Errors
    /// The scope that the caller lacks.
    pub fn reach_with(&self, scopes: &[Scope]) -> Result<Reach, &Scope> {
        match (&self.scope, self.reach_without_scope) {
            (Some(scope), _) if scopes.contains(scope) => Ok(self.reach),
            (Some(_), Some(less)) => Ok(less),
            (Some(scope), None) => Err(scope),
            (None, _) => Ok(self.reach),
        }
    }

    /// Returns whether a method without a scope may have the grant: a user reaches only what is the user's own.
    pub(super) fn needs_no_scope(&self) -> bool {
        self.reach == Reach::OwnUser && self.role != Role::Service
    }
}

impl Reach {
    /// Returns the reach in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::OwnAccount => "own account",
            Self::OwnUser => "own user",
            Self::Any | Self::Unspecified => "any",
        }
    }
}
