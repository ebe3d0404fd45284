//! Tests of the module's tiles on the home page of the console.

use std::{future::pending, time::Duration};

use mainstay::dashboard::tile::ops::{ShowsTiles as _, Tile, Value};
use mainstay_kernel::{
    app::App,
    error::{Error, Reason, Result},
};
use mainstay_test_kit::{Client, TestServer};
use serde_json::{Value as Json, json};

use crate::{lease, start, vehicle};

const PATH: &str = "/api/v1/dashboard/tiles";

/// Returns the tiles with a name that begins with the module's.
async fn tiles(client: &Client) -> Vec<Json> {
    let tiles = client.get(PATH).await.data()["tiles"].as_array().expect("a list").clone();
    tiles.into_iter().filter(|tile| tile["name"].as_str().is_some_and(|name| name.starts_with("fleet."))).collect()
}

fn named(tiles: &[Json], name: &str) -> Json {
    tiles.iter().find(|tile| tile["name"] == name).unwrap_or_else(|| panic!("no {name}: {tiles:#?}")).clone()
}

#[tokio::test]
async fn the_staff_sees_the_tiles_of_the_module() {
    let server = TestServer::builder(crate::product()).set("LEASE_DAYS", "2").start().await;
    let (admin, customer) = (server.admin().await, server.customer().await);
    let leased = vehicle(&admin, "M-AI 1").await;
    vehicle(&admin, "M-AI 2").await;
    lease(&customer, &leased).await;

    let tiles = tiles(&admin).await;
    let ending = named(&tiles, "fleet.ending_leases");
    assert_eq!(ending["title"], "Leases that end within 3 days");
    assert_eq!((&ending["number"], &ending["link"]), (&json!("1"), &json!("/s/LeaseService")));
    let rows = [("Available", "1"), ("Leased", "1"), ("Recharging", "0")];
    let rows = rows.map(|(label, number)| json!({ "label": label, "number": number }));
    assert_eq!(named(&tiles, "fleet.vehicles_by_status")["rows"], json!({ "rows": rows }));
    customer.get(PATH).await.failure(403, "PERMISSION_DENIED");
}

/// A member of the staff with a role that lacks a tile's scope does not see the tile.
#[tokio::test]
async fn a_tile_is_shown_to_those_with_its_scope() {
    let server = start().await;
    let driver = server.with_scopes(true, &["dashboard.tiles.read", "fleet.leases.read"]).await;
    let names: Vec<_> = tiles(&driver).await.iter().map(|tile| tile["name"].clone()).collect();
    assert_eq!(names, ["fleet.ending_leases"]);
    let all = driver.get(PATH).await.data();
    assert_eq!(all["tiles"].as_array().map(Vec::len), Some(1), "none of the product: {all}");
    let dead = server.admin().await.get(PATH).await.data()["tiles"][0].clone();
    assert_eq!((&dead["name"], &dead["number"]), (&json!("dashboard.dead_jobs"), &json!("0")));
}

struct Broken;

impl Tile for Broken {
    const NAME: &'static str = "fleet.broken";
    const TITLE: &'static str = "Broken";
    const SCOPE: &'static str = "fleet.vehicles.read";

    async fn read(_: App) -> Result<Value> {
        Err(Error::with_message(Reason::UpstreamFailed, "The tracker does not answer."))
    }
}

struct Slow;

impl Tile for Slow {
    const NAME: &'static str = "fleet.slow";
    const TITLE: &'static str = "Slow";
    const SCOPE: &'static str = "fleet.vehicles.read";
    const MAX_AGE: Duration = Duration::from_secs(60);

    async fn read(_: App) -> Result<Value> {
        pending().await
    }
}

struct Panics;

impl Tile for Panics {
    const NAME: &'static str = "fleet.panics";
    const TITLE: &'static str = "Panics";
    const SCOPE: &'static str = "fleet.vehicles.read";

    async fn read(_: App) -> Result<Value> {
        panic!("a tile panics")
    }
}

#[tokio::test]
async fn a_tile_that_fails_affects_no_other() {
    let module = fleet::module().tile::<Broken>().tile::<Slow>().tile::<Panics>();
    let server = TestServer::start(mainstay::product().with(module)).await;
    let admin = server.admin().await;
    vehicle(&admin, "M-AI 3").await;
    let mut tiles = tiles(&admin).await;
    // On a busy machine, a good tile may be late, too; the next response has it.
    for _ in 0..20 {
        if named(&tiles, "fleet.vehicles_by_status").get("failure").is_none() {
            break;
        }
        tiles = self::tiles(&admin).await;
    }
    assert_eq!(named(&tiles, "fleet.vehicles_by_status")["rows"]["rows"][0]["number"], "1");
    for (name, why) in [
        ("fleet.broken", "The tile could not be read."),
        ("fleet.slow", "The tile was not read in time."),
        ("fleet.panics", "The tile could not be read."),
    ] {
        let tile = named(&tiles, name);
        assert_eq!(tile["failure"], why, "{tile}");
        assert!(tile.get("number").is_none(), "{tile}");
    }
}

struct Foreign;

impl Tile for Foreign {
    const NAME: &'static str = "depots.full";
    const TITLE: &'static str = "Full depots";
    const SCOPE: &'static str = "fleet.vehicles.read";

    async fn read(_: App) -> Result<Value> {
        Ok(Value::Number(1))
    }
}

#[test]
fn a_tile_has_the_name_of_its_module() {
    let faults = mainstay::product().with(fleet::module().tile::<Foreign>()).modules().err().unwrap_or_default();
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert!(faults[0].contains("declares the kind of tile \"depots.full\": begin its name with fleet"), "{faults:?}");
}
