//! Scopes: named permissions of roles, service keys and client certificates.

use std::{fmt, sync::Arc};

use super::Holder;

/// A permission of a role, a service key or a client certificate, such as `support.tickets.read`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Arc<str>);

/// A scope as its module declares it.
#[derive(Debug, Clone)]
pub struct DeclaredScope {
    /// The name.
    pub name: Scope,
    /// The permission in one sentence.
    pub summary: String,
    /// The name for people; empty in the descriptor set of an earlier version.
    pub title: Title,
    /// The built-in roles that hold it, beside the platform's admins.
    pub holders: Vec<Holder>,
}

/// A short text in each language of the pages and the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title {
    /// English.
    pub en: String,
    /// German.
    pub de: String,
}

impl DeclaredScope {
    /// Returns whether custom roles of accounts may have the scope; others are for the staff and for services only.
    pub fn is_of_accounts(&self) -> bool {
        self.holders.iter().any(|holder| *holder != Holder::Agent)
    }
}

impl Scope {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Makes a scope without a check that a module declares it. An undeclared one grants nothing: no method requires it.
impl From<&str> for Scope {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
