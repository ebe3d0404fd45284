//! The tile of the vehicles by status.

use mainstay::dashboard::tile::ops::{Row, Tile, Value};
use mainstay_kernel::{app::App, database::Reach, error::Result};

use super::{model::Status, store};

/// The numbers of vehicles by status, which the console shows as bars.
#[derive(Debug)]
pub struct VehiclesByStatus;

impl Tile for VehiclesByStatus {
    const NAME: &'static str = "fleet.vehicles_by_status";
    const TITLE: &'static str = "Vehicles by status";
    const SCOPE: &'static str = "fleet.vehicles.read";
    const LINK: Option<&'static str> = Some("/s/VehicleServiceV2");

    async fn read(app: App) -> Result<Value> {
        let reach = Reach::across_accounts("vehicles belong to no account");
        let counts = app.database.query(reach, async |connection| store::by_status(connection).await).await?;
        let number =
            |status: Status| counts.iter().find(|(of, _)| *of == status.number()).map_or(0, |(_, count)| *count);
        let row = |label: &str, status| Row { label: label.to_owned(), number: number(status) };
        let rows = [("Available", Status::Available), ("Leased", Status::Leased), ("Recharging", Status::Recharging)];
        Ok(Value::Rows(rows.map(|(label, status)| row(label, status)).into()))
    }
}
