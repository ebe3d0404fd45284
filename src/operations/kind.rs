//! The kinds of operations, contributed by the modules that carry them out.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use mainstay_kernel::{
    error::{Error, Result},
    unit_of_work::Work,
};

use crate::operations::model::{Kind, Operation};

/// Ends a canceled operation, in the transaction that cancels it: stores the operation, and removes its waiting work.
pub type OnCancel = for<'c> fn(&'c mut Work, &'c Operation) -> BoxFuture<'c, Result<()>>;

/// A kind of operation, contributed by its module.
#[derive(Debug, Clone, Copy)]
pub struct OperationKind {
    pub kind: Kind,
    /// The function that ends a canceled operation of this kind.
    pub on_cancel: OnCancel,
}

/// All kinds of operations. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Kinds(Arc<[OperationKind]>);

impl Kinds {
    pub(crate) fn new(all: impl Iterator<Item = OperationKind>) -> Self {
        Self(all.collect())
    }

    pub(crate) fn of(&self, kind: Kind) -> Result<OperationKind> {
        let entry = self.0.iter().find(|entry| entry.kind == kind).copied();
        entry.ok_or_else(|| Error::internal(anyhow::anyhow!("no module carries out operations of the kind {kind:?}")))
    }
}
