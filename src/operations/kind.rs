//! The kinds of operations, which the modules that carry them out contribute.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use mainstay_kernel::{
    database::Connection,
    error::{Error, Result},
};

use crate::operations::model::{Kind, Operation};

/// Ends a canceled operation, in the transaction that cancels it: stores it, and removes what waits for it.
pub type OnCancel = for<'c> fn(&'c mut Connection, &'c Operation, DateTime<Utc>) -> BoxFuture<'c, Result<()>>;

/// A kind of operation, which its module contributes.
#[derive(Debug, Clone, Copy)]
pub struct OperationKind {
    pub kind: Kind,
    /// What ends one that was canceled.
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
