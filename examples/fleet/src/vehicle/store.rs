//! SQL of vehicles.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, result::Error as DieselError};
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    database::{
        Connection, count,
        integrity::{corrupt, one_row},
        seek::newest_first,
        violated_unique,
    },
    error::{Error, Reason, Result},
    page::{Page, Total},
};

use super::model::{Plate, Status, Vehicle, VehicleId};
use crate::schema::vehicles;

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = vehicles, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    id: VehicleId,
    plate: String,
    model: String,
    status: i16,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&Vehicle> for Row {
    fn from(vehicle: &Vehicle) -> Self {
        let Vehicle { id, plate, model, status, version, created_at, updated_at } = vehicle.clone();
        let plate = plate.to_string();
        Self { id, plate, model, status: status.number(), version, created_at, updated_at }
    }
}

impl TryFrom<Row> for Vehicle {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let Row { id, plate, model, status, version, created_at, updated_at } = row;
        let status = Status::from_number(status.into()).ok_or_else(|| corrupt("vehicles", id, "status"))?;
        let plate = Plate::parse(&plate);
        Ok(Self { id, plate, model, status, version, created_at, updated_at })
    }
}

fn require(row: Option<Row>) -> Result<Vehicle> {
    row.ok_or_else(|| Error::not_found("vehicle"))?.try_into()
}

/// Maps a unique violation of the plate to its error.
fn plate_taken(error: DieselError) -> Error {
    match violated_unique(&error) {
        Some("vehicles_plate_key") => Error::with_message(Reason::AlreadyExists, "Another vehicle has this plate."),
        _ => error.into(),
    }
}

pub(super) async fn insert(connection: &mut Connection, vehicle: &Vehicle) -> Result<()> {
    let inserted = diesel::insert_into(vehicles::table).values(Row::from(vehicle)).execute(connection).await;
    one_row(inserted.map_err(plate_taken)?, "insert", "vehicles", vehicle.id)
}

pub(crate) async fn get(mut connection: &Connection, id: VehicleId) -> Result<Vehicle> {
    require(vehicles::table.find(id).select(Row::as_select()).first(&mut connection).await.optional()?)
}

/// Returns a vehicle, locked against changes until the transaction ends.
pub(crate) async fn lock(connection: &mut Connection, id: VehicleId) -> Result<Vehicle> {
    let query = vehicles::table.find(id).select(Row::as_select()).for_no_key_update();
    require(query.first(connection).await.optional()?)
}

/// Returns any available vehicle that no other transaction has locked, and locks it.
pub(crate) async fn lock_available(connection: &mut Connection) -> Result<Option<Vehicle>> {
    let available = vehicles::table.filter(vehicles::status.eq(Status::Available.number()));
    let query = available.select(Row::as_select()).limit(1).for_no_key_update().skip_locked();
    query.first(connection).await.optional()?.map(Row::try_into).transpose()
}

/// Stores the next version of a locked vehicle.
pub(crate) async fn update(connection: &mut Connection, vehicle: &Vehicle) -> Result<()> {
    let earlier = vehicles::table.filter(vehicles::id.eq(vehicle.id)).filter(vehicles::version.eq(vehicle.version - 1));
    let updated = diesel::update(earlier).set(Row::from(vehicle)).execute(connection).await;
    one_row(updated.map_err(plate_taken)?, "update", "vehicles", vehicle.id)
}

/// Deletes a locked vehicle and its leases.
pub(super) async fn delete(connection: &mut Connection, id: VehicleId) -> Result<()> {
    one_row(diesel::delete(vehicles::table.find(id)).execute(connection).await?, "delete", "vehicles", id)
}

fn of_status<'q>(status: Option<Status>) -> vehicles::BoxedQuery<'q, diesel::pg::Pg> {
    let query = vehicles::table.into_boxed();
    match status {
        Some(status) => query.filter(vehicles::status.eq(status.number())),
        None => query,
    }
}

/// Counts the vehicles by status.
pub(super) async fn by_status(mut connection: &Connection) -> Result<Vec<(i16, i64)>> {
    let by_status = vehicles::table.group_by(vehicles::status).select((vehicles::status, diesel::dsl::count_star()));
    Ok(by_status.order(vehicles::status).load(&mut connection).await?)
}

/// Returns a page of vehicles, newest first.
pub(super) async fn list(mut connection: &Connection, status: Option<Status>, page: Page) -> Result<Vec<Vehicle>> {
    let query = newest_first!(of_status(status), vehicles::created_at, page);
    let rows: Vec<Row> = query.select(Row::as_select()).load(&mut connection).await?;
    rows.into_iter().map(Row::try_into).collect()
}

pub(super) async fn total(connection: &Connection, status: Option<Status>) -> Result<Total> {
    count::bounded(connection, Box::new(of_status(status).select(vehicles::id).limit(count::BOUND + 1))).await
}
