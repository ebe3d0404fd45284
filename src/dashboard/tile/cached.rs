//! Tiles from the cache. A tile that fails or is slow affects no other one.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use mainstay_kernel::{
    app::App,
    cache::{Cache, Region},
    caller::Permit,
    error::{Error, Result},
    grpc::render,
};
use tokio::time::timeout;

use crate::{
    dashboard::tile::{
        model::{MAX_ROWS, Row, Value},
        ops::{Declared, Tiles},
    },
    proto::dashboard::v1 as pb,
};

/// How long a response waits for a tile. The read continues for later responses.
const WAIT: Duration = Duration::from_secs(1);

/// The tiles of all modules, each with the region of its value. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CachedTiles(Arc<[(Declared, Region<pb::Tile>)]>);

impl CachedTiles {
    pub fn new(cache: &Cache, tiles: Tiles) -> Self {
        Self(tiles.0.into_iter().map(|tile| (tile, cache.region("dashboard.tiles", tile.max_age))).collect())
    }

    /// Returns the tiles that the caller may see.
    pub async fn visible(&self, app: &App, permit: &Permit) -> Vec<pb::Tile> {
        let visible = self.0.iter().filter(|(tile, _)| tile.is_visible(permit));
        join_all(visible.map(|(tile, region)| get_or_read(app, tile, region))).await
    }
}

/// Returns the tile with the cached value, or reads and caches it. A failure is not cached.
async fn get_or_read(app: &App, tile: &Declared, region: &Region<pb::Tile>) -> pb::Tile {
    let (app_of_read, tile_of_read) = (app.clone(), *tile);
    let load = move || {
        let app = app_of_read.clone();
        async move {
            let mut rendered = without_value(&tile_of_read, &app);
            let value = (tile_of_read.read)(app).await?;
            rendered.number_is_lower_bound = matches!(value, Value::AtLeast(_));
            rendered.value = Some(render_value(value)?);
            Ok(Some(rendered))
        }
    };
    let why = match timeout(WAIT, region.get(tile.name, load)).await {
        Ok(Ok(Some(rendered))) => return rendered,
        Ok(Ok(None)) => "The tile has no value.",
        Ok(Err(error)) => {
            tracing::warn!(tile = tile.name, error = error.detail(), "a tile could not be read");
            "The tile could not be read."
        }
        Err(_) => {
            tracing::warn!(tile = tile.name, "a tile was not read in time");
            "The tile was not read in time."
        }
    };
    pb::Tile { value: Some(pb::tile::Value::Failure(why.to_owned())), ..without_value(tile, app) }
}

fn without_value(tile: &Declared, app: &App) -> pb::Tile {
    pb::Tile {
        name: tile.name.to_owned(),
        title: tile.title.to_owned(),
        link: tile.link.map(str::to_owned),
        alarming: tile.is_alarming,
        as_of_time: Some(render::time(app.clock.now())),
        number_is_lower_bound: false,
        value: None,
    }
}

fn render_value(value: Value) -> Result<pb::tile::Value> {
    let row = |Row { label, number }: Row| pb::TileRow { label, number };
    Ok(match value {
        Value::Number(number) | Value::AtLeast(number) => pb::tile::Value::Number(number),
        Value::Money(minor, currency) => pb::tile::Value::Money(render::amount(minor, currency)),
        Value::Rate(rate) if rate.is_finite() => pb::tile::Value::Rate(rate),
        Value::Rate(rate) => return Err(Error::internal(anyhow::anyhow!("the rate {rate} is no number"))),
        Value::Rows(rows) => {
            pb::tile::Value::Rows(pb::TileRows { rows: rows.into_iter().take(MAX_ROWS).map(row).collect() })
        }
    })
}

#[cfg(test)]
mod tests {
    use mainstay_kernel::money::Currency;

    use super::*;

    #[test]
    fn a_value_is_bounded() {
        let euro = Currency::parse("EUR").expect("a currency");
        let money = render_value(Value::Money(-450, euro)).expect("a value");
        assert_eq!(money, pb::tile::Value::Money(render::amount(-450, euro)));
        render_value(Value::Rate(f64::NAN)).expect_err("JSON has no such number");
        let rows = (0..20).map(|number| Row { label: number.to_string(), number }).collect();
        let pb::tile::Value::Rows(shown) = render_value(Value::Rows(rows)).expect("a value") else { panic!("no rows") };
        assert_eq!(shown.rows.len(), MAX_ROWS);
    }
}
