//! Operations on trips.

use mainstay_kernel::caller::Permit;

use super::model::{Estimate, Trip, consumption};

/// Returns what a trip needs.
pub fn estimate(_: &Permit, trip: &Trip) -> Estimate {
    trip.estimate()
}

/// Returns the consumption of a vehicle with these passengers and no load, in watt-hours per kilometer.
pub fn consumption_of(_: &Permit, passengers: u32) -> f64 {
    consumption(passengers, 0.0)
}
