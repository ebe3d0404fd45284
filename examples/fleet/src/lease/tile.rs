//! The tile of the leases that end soon.

use mainstay::dashboard::tile::ops::{Tile, Value};
use mainstay_kernel::{app::App, database::Reach, error::Result};

use super::{ops::NOTICE, store};

/// The number of open leases of all accounts that end soon.
#[derive(Debug)]
pub struct EndingLeases;

impl Tile for EndingLeases {
    const NAME: &'static str = "fleet.ending_leases";
    const TITLE: &'static str = "Leases that end within 3 days";
    const SCOPE: &'static str = "fleet.leases.read";
    const LINK: Option<&'static str> = Some("/s/LeaseService");

    async fn read(app: App) -> Result<Value> {
        let (reach, until) = (Reach::across_accounts("a tile of the staff"), app.clock.now() + NOTICE);
        let count = app.database.query(reach, async move |connection| store::count_ending(connection, until).await);
        Ok(count.await?.into())
    }
}
