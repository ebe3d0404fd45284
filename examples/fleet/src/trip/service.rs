//! Handlers of `fleet.v1.TripService`.

use chrono::TimeDelta;
use mainstay_kernel::{
    contract::proto::google::r#type::Money,
    grpc::{Call, Reply},
};
use prost_types::Duration;
use tonic::Request;

use super::{
    model::{Charge, Estimate, Trip},
    ops,
};
use crate::proto::fleet::v1::{self as pb, estimate_trip_request, trip_service_server::TripService};

/// The RPC handlers.
#[derive(Debug)]
pub struct Trips;

fn render(estimate: Estimate, request: pb::EstimateTripRequest) -> pb::TripEstimate {
    let (units, nanos) = estimate.cost;
    pb::TripEstimate {
        duration: Some(Duration { seconds: estimate.duration.num_seconds(), nanos: estimate.duration.subsec_nanos() }),
        energy_wh: estimate.energy_wh,
        loads_kg: request.loads_kg,
        notes: request.notes,
        cost: Some(Money { currency_code: "EUR".to_owned(), units, nanos }),
        date: request.date,
        first_stop: request.first_stop,
    }
}

/// Reads a trip. Validation has rejected a request without a charge.
fn trip(request: &pb::EstimateTripRequest) -> Trip {
    let pause = request.pause.unwrap_or_default();
    Trip {
        distance_km: request.distance_km,
        passengers: request.passengers,
        pause: TimeDelta::seconds(pause.seconds) + TimeDelta::nanoseconds(pause.nanos.into()),
        load_kg: request.loads_kg.values().copied().map(f64::from).sum(),
        charge: match request.charge {
            Some(estimate_trip_request::Charge::BatteryPercent(percent)) => Charge::Percent(percent),
            Some(estimate_trip_request::Charge::EnergyWh(energy)) => Charge::WattHours(energy),
            None => Charge::WattHours(0),
        },
    }
}

#[tonic::async_trait]
impl TripService for Trips {
    async fn estimate_trip(&self, request: Request<pb::EstimateTripRequest>) -> Reply<pb::EstimateTripResponse> {
        let call = Call::admit(request)?;
        let estimate = ops::estimate(&call.permit()?, &trip(&call.message));
        let data = render(estimate, call.message.clone());
        call.read(pb::EstimateTripResponse { data: Some(data) })
    }

    async fn get_consumption(&self, request: Request<pb::GetConsumptionRequest>) -> Reply<pb::GetConsumptionResponse> {
        let call = Call::admit(request)?;
        let wh_per_km = ops::consumption_of(&call.permit()?, call.message.passengers);
        call.read(pb::GetConsumptionResponse { wh_per_km })
    }
}
