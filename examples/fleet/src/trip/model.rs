//! The energy and the cost of a trip.

use chrono::TimeDelta;

/// The capacity of a battery in watt-hours.
const CAPACITY_WH: f64 = 75_000.0;
/// The price of a watt-hour in billionths of a euro.
const NANOS_PER_WH: i64 = 400_000;
const BILLION: i64 = 1_000_000_000;
const KM_PER_HOUR: f64 = 80.0;

/// A planned trip.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are documented in trip_service.proto")]
pub struct Trip {
    pub distance_km: f64,
    pub passengers: u32,
    pub pause: TimeDelta,
    pub load_kg: f64,
    pub charge: Charge,
}

/// The charge at the start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Charge {
    /// A part of the battery.
    Percent(f32),
    /// In watt-hours.
    WattHours(u64),
}

/// What a trip needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The time with the pause.
    pub duration: TimeDelta,
    /// The energy in watt-hours.
    pub energy_wh: u64,
    /// The cost in whole euros and billionths of one, both with the sign of the cost.
    pub cost: (i64, i32),
}

/// Returns the consumption of a vehicle in watt-hours per kilometer.
pub fn consumption(passengers: u32, load_kg: f64) -> f64 {
    150.0 + 2.0 * f64::from(passengers) + 0.03 * load_kg
}

impl Trip {
    /// Returns what the trip needs.
    pub fn estimate(&self) -> Estimate {
        let seconds = (self.distance_km / KM_PER_HOUR * 3600.0).ceil();
        let needed = (consumption(self.passengers, self.load_kg) * self.distance_km).ceil();
        let available = match self.charge {
            Charge::Percent(percent) => f64::from(percent) / 100.0 * CAPACITY_WH,
            Charge::WattHours(energy) => energy as f64,
        };
        let missing = (needed - available).round() as i64;
        let cost = missing * NANOS_PER_WH;
        Estimate {
            duration: TimeDelta::seconds(seconds as i64) + self.pause,
            energy_wh: needed as u64,
            cost: (cost / BILLION, (cost % BILLION) as i32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_that_is_left_has_a_negative_cost() {
        let trip = Trip {
            distance_km: 100.0,
            passengers: 0,
            pause: TimeDelta::minutes(5),
            load_kg: 0.0,
            charge: Charge::WattHours(10_000),
        };
        let estimate = trip.estimate();
        assert_eq!((estimate.duration, estimate.energy_wh), (TimeDelta::minutes(80), 15_000));
        assert_eq!(estimate.cost, (2, 0));
        let full = Trip { charge: Charge::Percent(21.0), ..trip };
        assert_eq!(full.estimate().cost, (0, -300_000_000));
    }
}
