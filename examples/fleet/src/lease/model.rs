//! The lease and its transitions.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    error::Result,
    id::{AccountId, ids},
    page::Key,
};
use uuid::Uuid;

use crate::{Reason, vehicle::model::VehicleId};

ids! {
    /// A lease.
    LeaseId
}

/// The use of a vehicle by an account, for a limited time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are documented in lease.proto")]
pub struct Lease {
    pub id: LeaseId,
    pub vehicle: VehicleId,
    pub account: AccountId,
    pub order: Option<Uuid>,
    pub expires_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Lease {
    /// Begins a lease.
    pub fn new(
        vehicle: VehicleId,
        account: AccountId,
        order: Option<Uuid>,
        duration: TimeDelta,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: LeaseId::generate(now),
            vehicle,
            account,
            order,
            expires_at: now + duration,
            ended_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Ends the lease.
    ///
    /// # Errors
    /// `LEASE_ENDED`.
    pub fn end(self, now: DateTime<Utc>) -> Result<Self> {
        if self.ended_at.is_some() {
            return Err(Reason::LeaseEnded.into());
        }
        Ok(Self { ended_at: Some(now), version: self.version + 1, updated_at: now, ..self })
    }

    /// Returns the position in a list.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}
