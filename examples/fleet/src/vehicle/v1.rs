//! `fleet.v1.VehicleService`, which is deprecated: the conversion from and to the present form of a vehicle, and the handlers.
//!
//! Both versions call the same operations. After the sunset, this file and `proto/fleet/v1/vehicle_service.proto` are deleted.

use mainstay_kernel::{
    app::App,
    error::{Error, Result},
    grpc::{Call, Reply, render::time},
    unit_of_work::Work,
};
use tonic::Request;

use super::{
    model::{Patch, Plate, Status, Vehicle, VehicleId},
    ops,
};
use crate::proto::fleet::v1::{self as pb, vehicle_service_server::VehicleService};

/// The RPC handlers.
#[derive(Debug)]
pub struct VehiclesV1 {
    app: App,
}

impl VehiclesV1 {
    /// Creates the service of an application.
    pub fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

fn render(vehicle: Vehicle) -> pb::Vehicle {
    let Vehicle { id, plate, model, status, version, created_at, updated_at } = vehicle;
    pb::Vehicle {
        id: Some(id.to_string()),
        plate: Some(plate.to_string()),
        model: Some(model),
        status: Some(status.number().into()),
        version: Some(version),
        create_time: Some(time(created_at)),
        update_time: Some(time(updated_at)),
    }
}

/// Reads the new values of the fields in `paths`. None of them can be cleared.
fn patch(message: pb::VehiclePatch, paths: &[String]) -> Result<Patch> {
    let pb::VehiclePatch { plate, model } = message;
    let has = |path: &str| paths.iter().any(|named| named == path);
    let value = |path: &str, value: Option<String>| match (has(path), value) {
        (false, _) => Ok(None),
        (true, Some(value)) => Ok(Some(value)),
        (true, None) => Err(Error::field(format!("vehicle.{path}"), "can't be cleared")),
    };
    Ok(Patch { plate: value("plate", plate)?.map(|text| Plate::parse(&text)), model: value("model", model)? })
}

#[tonic::async_trait]
impl VehicleService for VehiclesV1 {
    async fn create_vehicle(&self, request: Request<pb::CreateVehicleRequest>) -> Reply<pb::CreateVehicleResponse> {
        let call = Call::admit(request)?;
        let pb::CreateVehicleRequest { plate, model } = call.message.clone();
        call.write(&self.app, async move |work: &mut Work| {
            let vehicle = ops::create(work, Plate::parse(&plate), model).await?;
            Ok(pb::CreateVehicleResponse { data: Some(render(vehicle)) })
        })
        .await
    }

    async fn get_vehicle(&self, request: Request<pb::GetVehicleRequest>) -> Reply<pb::GetVehicleResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, VehicleId::parse(&call.message.vehicle_id)?);
        let vehicle = self
            .app
            .database
            .query(call.reach(), async move |connection| ops::get(connection, permit, id).await)
            .await?;
        call.read(pb::GetVehicleResponse { data: Some(render(vehicle)) })
    }

    async fn list_vehicles(&self, request: Request<pb::ListVehiclesRequest>) -> Reply<pb::ListVehiclesResponse> {
        let call = Call::admit(request)?;
        let pb::ListVehiclesRequest { status, .. } = &call.message;
        let status = status.and_then(Status::from_number);
        let pager = call.pager(&self.app)?;
        let permit = call.permit()?;
        let list = async move |connection: &_| ops::list(connection, permit, status, pager.page).await;
        let (vehicles, meta) = call.list(&self.app, pager, list, Vehicle::key).await?;
        call.read(pb::ListVehiclesResponse { data: vehicles.into_iter().map(render).collect(), meta })
    }

    async fn update_vehicle(&self, request: Request<pb::UpdateVehicleRequest>) -> Reply<pb::UpdateVehicleResponse> {
        let mut call = Call::admit(request)?;
        let (id, expected) = (VehicleId::parse(&call.message.vehicle_id)?, call.if_match.clone());
        let (message, mask) = (call.message.vehicle.take().unwrap_or_default(), call.message.update_mask.take());
        let paths = call.update_paths("vehicle", &message, mask)?;
        let patch = patch(message, &paths)?;
        call.write(&self.app, async move |work: &mut Work| {
            let vehicle = ops::update(work, id, expected, patch).await?;
            Ok(pb::UpdateVehicleResponse { data: Some(render(vehicle)) })
        })
        .await
    }

    async fn delete_vehicle(&self, request: Request<pb::DeleteVehicleRequest>) -> Reply<pb::DeleteVehicleResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (VehicleId::parse(&call.message.vehicle_id)?, call.if_match.clone());
        call.write(&self.app, async move |work: &mut Work| {
            ops::delete(work, id, expected).await?;
            Ok(pb::DeleteVehicleResponse {})
        })
        .await
    }
}
