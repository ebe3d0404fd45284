//! The requests of the operations that change many tickets.

use mainstay_kernel::queue::Lane;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    operations::id::OperationId,
    support::{config::SupportConfig, ticket::model::bulk::BulkChange},
};

/// The lane of imports and of bulk changes.
pub const BULK_LANE: Lane = Lane::new("imports", |config| config.section::<SupportConfig>().imports);

/// The role and the application in which the owner of the operation acts.
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

/// Deletes the tickets that were selected for the operation, which no undo restores.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct DeleteTickets {
    pub requester: Requester,
}

/// Restores what a bulk change replaced.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct UndoBulkChange {
    pub change: OperationId,
    pub requester: Requester,
}
