//! The names of what a service key may be used for.

use std::{fmt, sync::Arc};

/// The name of what a service key or a client certificate may be used for, such as `support.tickets.read`. Cheap to
/// clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Arc<str>);

/// A scope as its module declares it.
#[derive(Debug, Clone)]
pub struct DeclaredScope {
    /// The name.
    pub name: Scope,
    /// What it permits, in one sentence.
    pub summary: String,
}

impl Scope {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names a scope without asking whether a module declares it; a name that no method asks for permits nothing.
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
