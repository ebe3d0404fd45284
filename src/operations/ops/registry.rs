//! The kinds of operations of all modules.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use mainstay_kernel::{
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
    pub(super) cancel: for<'c> fn(&'c mut Work, &'c Operation) -> BoxFuture<'c, Result<()>>,
}

impl Kind {
    fn of<K: OperationKind>() -> Self {
        Self {
            name: K::NAME,
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
        self.needs(&["operations"]).contribute(Kind::of::<K>()).queue::<RunOperation<K>>()
    }
}

/// The kinds of operations of all modules, by name.
#[derive(Debug, Clone)]
pub struct Kinds(BTreeMap<&'static str, Kind>);

impl Kinds {
    pub(crate) fn new(all: impl Iterator<Item = Kind>) -> Self {
        Self(all.map(|kind| (kind.name, kind)).collect())
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
