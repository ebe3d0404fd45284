//! Devices on which a user has proved a second factor, and on which further sign-ins need none.

use chrono::{DateTime, TimeDelta, Utc};

use crate::identity::{second_factor::id::RememberedDeviceId, session::model::Device, user::model::User};
use mainstay_kernel::id::UserId;

/// The maximum number of remembered devices per user; beyond it, the one that was remembered the longest ago is dropped.
pub const MAX_DEVICES: i64 = 20;

/// A device that a user has remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedDevice {
    pub id: RememberedDeviceId,
    pub user: UserId,
    /// The number of the user's epoch; the device is forgotten once the user has a later one.
    pub epoch: i32,
    pub device: Device,
    pub created_at: DateTime<Utc>,
    /// When a sign-in last needed no second factor because of it.
    pub used_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
}

impl RememberedDevice {
    /// Remembers the device of a user.
    pub fn new(user: &User, device: Device, now: DateTime<Utc>, life: TimeDelta) -> Self {
        let (id, epoch) = (RememberedDeviceId::generate(now), user.epoch.number);
        Self { id, user: user.id, epoch, device, created_at: now, used_at: None, expires_at: now + life }
    }
}
