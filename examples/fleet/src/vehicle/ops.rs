//! Operations on vehicles. Each function runs in its caller's transaction.

use mainstay_kernel::{
    caller::Permit,
    context,
    database::{Connection, after_commit},
    effects,
    error::{Reason, Result},
    page::{Listed, Page},
    queue::ignore_not_found,
    unit_of_work::Work,
    version::ExpectedVersions,
};
use uuid::Uuid;

use super::{
    model::{Patch, Plate, Status, Vehicle, VehicleId},
    recharge::{Recharge, Session},
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

/// Makes a recharged vehicle available. Does nothing if it is not being recharged, or was removed.
///
/// # Errors
/// Any error of Postgres.
pub(super) async fn recharged(work: &mut Work, id: VehicleId) -> Result<()> {
    let now = work.now();
    let connection = work.connection().await?;
    let vehicle = match store::lock(connection, id).await {
        Err(error) if error.reason() == Reason::NotFound => return Ok(()),
        vehicle => vehicle?,
    };
    match vehicle.recharge(now) {
        Some(vehicle) => store::update(connection, &vehicle).await,
        None => Ok(()),
    }
}

/// Stores that a station has charged a vehicle, and ends the effect that ordered the session. `reference` is the key of that
/// effect; a session that was begun at the station has none. The end of an earlier session changes nothing.
///
/// # Errors
/// Any error of Postgres.
pub(super) async fn charged(work: &mut Work, id: VehicleId, reference: Option<Uuid>, session: Session) -> Result<()> {
    // While the vehicle is locked, no other effect begins.
    ignore_not_found(store::lock(work.connection().await?, id).await.map(drop))?;
    match effects::pending::<Recharge>(work, id.0).await? {
        None => {
            recharged(work, id).await?;
            let alerts = context::alerts();
            after_commit::run(move || alerts.resolve("fleet", "not_recharged", id));
            Ok(())
        }
        Some(key) if reference.is_some_and(|reference| reference != key) => Ok(()),
        Some(_) => effects::settle::<Recharge>(work, id.0, Ok(session)).await.map(drop),
    }
}

/// Raises an alert about a vehicle that was not recharged. The vehicle stays out of use until a station reports a charge.
///
/// # Errors
/// None so far.
pub(super) async fn not_recharged(_: &mut Work, id: VehicleId, why: String) -> Result<()> {
    let alerts = context::alerts();
    after_commit::run(move || alerts.raise("fleet", "not_recharged", id, &why));
    Ok(())
}
