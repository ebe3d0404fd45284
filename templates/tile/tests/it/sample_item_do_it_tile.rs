//! The tile `my_module.do_it_sample_item`.

use serde_json::json;

use crate::{sample_items, start};

const TILES: &str = "/api/v1/dashboard/tiles";

#[tokio::test]
async fn the_staff_sees_the_number() {
    let server = start().await;
    let customer = server.customer().await;
    sample_items::create(&customer).await;
    let tiles = server.admin().await.get(TILES).await.data()["tiles"].clone();
    let tiles = tiles.as_array().expect("a list");
    let tile = tiles.iter().find(|tile| tile["name"] == "my_module.do_it_sample_item").expect("the tile");
    assert_eq!((&tile["title"], &tile["number"]), (&json!("Sample items"), &json!("1")));
    customer.get(TILES).await.failure(403, "PERMISSION_DENIED");
}
