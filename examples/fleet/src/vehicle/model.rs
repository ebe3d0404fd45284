//! A vehicle and its transitions: available → leased → recharging → available.

use std::fmt;

use chrono::{DateTime, Utc};
use mainstay_kernel::{error::Result, id::ids, numbered::numbered, page::Key};

use crate::Reason;

ids! {
    /// A vehicle.
    VehicleId
}

numbered! {
    /// The status of a vehicle.
    Status {
        /// The vehicle can be leased.
        Available = 1,
        /// The vehicle is leased.
        Leased = 2,
        /// The vehicle is being recharged after a lease.
        Recharging = 3,
    }
}

/// A license plate, such as `M-AI 2036` of the region `M` with the number `AI 2036`. Its text is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are documented in vehicle.proto")]
pub struct Plate {
    pub region: Option<String>,
    pub number: String,
}

impl Plate {
    /// Reads the text of a plate. Every text is one, and is the text of what it is read as.
    pub fn parse(text: &str) -> Self {
        match text.rsplit_once('-').filter(|(region, _)| !region.is_empty()) {
            Some((region, number)) => Self { region: Some(region.to_owned()), number: number.to_owned() },
            None => Self { region: None, number: text.to_owned() },
        }
    }
}

impl fmt::Display for Plate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.region {
            Some(region) => write!(f, "{region}-{}", self.number),
            None => f.write_str(&self.number),
        }
    }
}

/// A vehicle of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are documented in vehicle.proto")]
pub struct Vehicle {
    pub id: VehicleId,
    pub plate: Plate,
    pub model: String,
    pub status: Status,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// New values of a vehicle's fields; `None` keeps the present one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in Vehicle")]
pub struct Patch {
    pub plate: Option<Plate>,
    pub model: Option<String>,
}

impl Vehicle {
    /// Creates an available vehicle.
    pub fn new(plate: Plate, model: String, now: DateTime<Utc>) -> Self {
        let id = VehicleId::generate(now);
        Self { id, plate, model, status: Status::Available, version: 1, created_at: now, updated_at: now }
    }

    /// Returns the next version, or `None` if nothing changes.
    pub fn apply(&self, patch: Patch, now: DateTime<Utc>) -> Option<Self> {
        let Patch { plate, model } = patch;
        let next = Self {
            plate: plate.unwrap_or_else(|| self.plate.clone()),
            model: model.unwrap_or_else(|| self.model.clone()),
            ..self.clone()
        };
        (next != *self).then(|| Self { version: self.version + 1, updated_at: now, ..next })
    }

    /// Checks that the vehicle is not leased.
    ///
    /// # Errors
    /// `VEHICLE_LEASED`.
    pub fn check_not_leased(&self) -> Result<()> {
        if self.status == Status::Leased { Err(Reason::VehicleLeased.into()) } else { Ok(()) }
    }

    /// Begins a lease.
    ///
    /// # Errors
    /// `VEHICLE_LEASED`, `VEHICLE_RECHARGING`.
    pub fn lease(self, now: DateTime<Utc>) -> Result<Self> {
        match self.status {
            Status::Available => Ok(self.with_status(Status::Leased, now)),
            Status::Leased => Err(Reason::VehicleLeased.into()),
            Status::Recharging => Err(Reason::VehicleRecharging.into()),
        }
    }

    /// Ends the lease; the vehicle then needs recharging.
    #[must_use]
    pub fn give_back(self, now: DateTime<Utc>) -> Self {
        self.with_status(Status::Recharging, now)
    }

    /// Ends the recharging; `None` if the vehicle is not being recharged.
    pub fn recharge(self, now: DateTime<Utc>) -> Option<Self> {
        (self.status == Status::Recharging).then(|| self.with_status(Status::Available, now))
    }

    fn with_status(self, status: Status, now: DateTime<Utc>) -> Self {
        Self { status, version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns the position in a list.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_of_a_plate_is_kept() {
        let parts = |text: &str| {
            let plate = Plate::parse(text);
            assert_eq!(plate.to_string(), text);
            (plate.region, plate.number)
        };
        assert_eq!(parts("M-AI 2036"), (Some("M".into()), "AI 2036".into()));
        assert_eq!(parts("1-ABC-234"), (Some("1-ABC".into()), "234".into()));
        for text in ["A 1", "-5", "5-", "-", "a--b"] {
            parts(text);
        }
    }

    #[test]
    fn only_an_available_vehicle_can_be_leased() {
        let now = DateTime::UNIX_EPOCH;
        let vehicle = Vehicle::new(Plate::parse("A 1"), "Volta".into(), now);
        let leased_vehicle = vehicle.lease(now).expect("it is available");
        assert_eq!(leased_vehicle.clone().lease(now).expect_err("it is leased").reason(), Reason::VehicleLeased);
        let recharging = leased_vehicle.give_back(now);
        assert_eq!(recharging.clone().lease(now).expect_err("it recharges").reason(), Reason::VehicleRecharging);
        let available = recharging.recharge(now).expect("it recharges");
        assert_eq!((available.status, available.version), (Status::Available, 4));
        assert_eq!(available.recharge(now), None, "a job may run twice");
    }
}
