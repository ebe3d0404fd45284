//! The tile `my_module.do_it_sample_item` on the home page of the console.

use diesel::prelude::*;
use mainstay::dashboard::tile::ops::{Tile, Value};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    database::{Reach, count},
    error::Result,
};

use super::store;
use crate::schema::sample_items;

/// The number of sample items of all accounts. Each member of the staff with the scope gets the same value.
#[derive(Debug)]
pub struct DoItSampleItemTile;

impl Tile for DoItSampleItemTile {
    const NAME: &'static str = "my_module.do_it_sample_item";
    const TITLE: &'static str = "Sample items";
    const SCOPE: &'static str = "my_module.sample_items.read";
    const LINK: Option<&'static str> = Some("/s/SampleItemService");

    async fn read(app: App) -> Result<Value> {
        let reach = Reach::across_accounts("a tile of the staff");
        let total = app.database.query(reach, async |connection| {
            let ids = store::visible(Visibility::All).select(sample_items::id).limit(count::BOUND + 1);
            count::bounded(connection, Box::new(ids)).await
        });
        Ok(total.await?.into())
    }
}
