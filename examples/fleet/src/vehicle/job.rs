//! The job that recharges a vehicle.

use mainstay_kernel::queue::Job;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::model::VehicleId;

/// Recharges a vehicle after a lease.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Recharge {
    /// The vehicle.
    pub vehicle: VehicleId,
}

impl Job for Recharge {
    const NAME: &'static str = "fleet.recharge";
    const MAX_ATTEMPTS: i32 = 8;

    fn subject(&self) -> Uuid {
        self.vehicle.0
    }
}
