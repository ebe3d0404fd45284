//! The kinds of operations of all modules.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;
use mainstay_kernel::{
    caller::Permit,
    contract::Policies,
    error::{Error, Reason, Result},
    module::Module,
    queue,
    unit_of_work::Work,
};

use super::{
    job::{RunOperation, end},
    kind::OperationKind,
};
use crate::operations::model::Operation;

/// A declared [`OperationKind`].
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    name: &'static str,
    scope: &'static str,
    read_scope: &'static str,
    pub(super) cancel: for<'c> fn(&'c mut Work, &'c Operation) -> BoxFuture<'c, Result<()>>,
}

impl Kind {
    fn of<K: OperationKind>() -> Self {
        Self {
            name: K::NAME,
            scope: K::SCOPE,
            read_scope: K::READ_SCOPE,
            // A worker that runs the operation notices at its next step.
            cancel: |work, canceled| {
                Box::pin(async move {
                    queue::cancel::<RunOperation<K>>(work.connection().await?, canceled.id.0).await?;
                    end::<K>(work, canceled).await
                })
            },
        }
    }
}

/// A module that carries out operations.
pub trait CarriesOut {
    /// Declares a kind of operation, with the job that carries it out.
    #[must_use]
    fn operation<K: OperationKind>(self) -> Self;
}

impl CarriesOut for Module {
    fn operation<K: OperationKind>(self) -> Self {
        self.needs(&["operations"])
            .kind("operation", K::NAME, &["support"])
            .contribute(Kind::of::<K>())
            .queue::<RunOperation<K>>()
    }
}

/// The kinds of operations of all modules, by name.
#[derive(Debug, Clone)]
pub struct Kinds(BTreeMap<&'static str, Kind>);

impl Kinds {
    /// Collects the kinds.
    ///
    /// # Errors
    /// Every scope of a kind that no module declares.
    pub(crate) fn new(all: impl Iterator<Item = Kind>, policies: &Policies) -> anyhow::Result<Self> {
        let kinds: BTreeMap<_, _> = all.map(|kind| (kind.name, kind)).collect();
        let scopes = kinds.values().flat_map(|kind| [(kind.name, kind.scope), (kind.name, kind.read_scope)]);
        let undeclared: BTreeSet<_> = scopes.filter(|(_, scope)| policies.scope(scope).is_none()).collect();
        let faults =
            undeclared.into_iter().map(|(kind, scope)| format!("{kind}: no module declares the scope {scope}"));
        let faults = faults.collect::<Vec<_>>();
        anyhow::ensure!(faults.is_empty(), "the kinds of operations are not usable:\n  {}", faults.join("\n  "));
        Ok(Self(kinds))
    }

    /// Returns the names of the kinds whose operations the caller may not read.
    pub(crate) fn hidden(&self, permit: &Permit) -> Vec<&'static str> {
        let holds = |scope| permit.check_scope(scope).is_ok();
        let hidden = self.0.values().filter(|kind| !holds(kind.scope) && !holds(kind.read_scope));
        hidden.map(|kind| kind.name).collect()
    }

    /// Returns the names.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }

    /// Checks that the caller may cancel operations of a kind.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` if the caller lacks the scope of the kind.
    pub(crate) fn check_cancel(&self, name: &str, permit: &Permit) -> Result<()> {
        self.0.get(name).map_or(Ok(()), |kind| permit.check_scope(kind.scope))
    }

    /// Returns a kind.
    ///
    /// # Errors
    /// `UNAVAILABLE` if no module of this program declares it; another version of the program may.
    pub(crate) fn of(&self, name: &str) -> Result<Kind> {
        let unknown = || format!("This server does not carry out operations of the kind {name}.");
        self.0.get(name).copied().ok_or_else(|| Error::with_message(Reason::Unavailable, unknown()))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::operations::ops::{End, Run};

    #[derive(Debug, Serialize, Deserialize)]
    struct Unscoped {}

    impl OperationKind for Unscoped {
        const NAME: &'static str = "fleet.unscoped";
        const SCOPE: &'static str = "fleet.nothing";

        async fn run(&self, _: &mut Run<'_>) -> Result<End> {
            Ok(End::Succeeded)
        }
    }

    #[test]
    fn a_kind_has_scopes_that_some_module_declares() {
        let policies = &crate::product().modules().expect("they fit").contract.policies;
        let fault = Kinds::new([Kind::of::<Unscoped>()].into_iter(), policies).expect_err("a fault").to_string();
        assert!(fault.ends_with("\n  fleet.unscoped: no module declares the scope fleet.nothing"), "{fault}");
    }
}
