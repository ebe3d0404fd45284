//! Operations on vehicles. Each function runs in its caller's transaction.

use mainstay_kernel::{
    caller::Permit,
    database::Connection,
    effects,
    error::Result,
    page::{Listed, Page},
    unit_of_work::Work,
    version::ExpectedVersions,
};

use super::{
    model::{Patch, Plate, Status, Vehicle, VehicleId},
    recharge::Recharge,
    store,
};

/// Adds a vehicle.
///
/// # Errors
/// `ALREADY_EXISTS` if another vehicle has the plate.
pub async fn create(work: &mut Work, plate: Plate, model: String) -> Result<Vehicle> {
    work.permit()?;
    let vehicle = Vehicle::new(plate, model, work.now());
    store::insert(work.connection().await?, &vehicle).await?;
    Ok(vehicle)
}

/// Returns a vehicle.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, _: Permit, id: VehicleId) -> Result<Vehicle> {
    store::get(connection, id).await
}

/// Returns a page of vehicles, plus one row if another page follows, and the total unless the page starts after a key.
///
/// # Errors
/// Any error of Postgres.
pub async fn list(connection: &Connection, _: Permit, status: Option<Status>, page: Page) -> Result<Listed<Vehicle>> {
    let total = page.total(store::total(connection, status)).await?;
    Ok((store::list(connection, status, page.and_next()).await?, total))
}

/// Updates a vehicle. A patch that changes nothing keeps the version.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`; `ALREADY_EXISTS` if another vehicle has the plate.
pub async fn update(
    work: &mut Work,
    id: VehicleId,
    expected: Option<ExpectedVersions>,
    patch: Patch,
) -> Result<Vehicle> {
    work.permit()?;
    let now = work.now();
    let connection = work.connection().await?;
    let vehicle = store::lock(connection, id).await?;
    ExpectedVersions::check(expected.as_ref(), vehicle.version)?;
    let Some(next) = vehicle.apply(patch, now) else { return Ok(vehicle) };
    store::update(connection, &next).await?;
    Ok(next)
}

/// Removes a vehicle and its leases.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `VEHICLE_LEASED`.
pub async fn delete(work: &mut Work, id: VehicleId, expected: Option<ExpectedVersions>) -> Result<()> {
    work.permit()?;
    let connection = work.connection().await?;
    let vehicle = store::lock(connection, id).await?;
    ExpectedVersions::check(expected.as_ref(), vehicle.version)?;
    vehicle.check_not_leased()?;
    store::delete(connection, id).await?;
    // A session that may have begun is left to its end.
    effects::cancel::<Recharge>(work, id.0).await.map(drop)
}
