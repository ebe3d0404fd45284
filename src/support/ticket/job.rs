//! The requests of the operations that change many tickets.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{operations::id::OperationId, support::ticket::model::bulk::BulkChange};

/// In which role, and by what, the owner of the operation acts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Requester {
    /// The number of the role.
    pub role: i16,
    /// The application that acts for the user.
    pub application: Option<Uuid>,
}

/// Changes the tickets that were selected for the operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChangeTickets {
    pub change: BulkChange,
    pub requester: Requester,
}

/// Restores what a bulk change replaced.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct UndoBulkChange {
    pub change: OperationId,
    pub requester: Requester,
}
