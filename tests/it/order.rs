//! Orders.

use serde_json::{Value, json};

use crate::{
    cases::{Scene, order},
    support::{Protocol, database::connect, euro},
};

#[tokio::test]
async fn the_server_sets_prices_and_totals_when_an_order_is_placed() {
    let (app, scene) = Scene::start().await;
    let (one, other) = (order::product(&scene, 1999, "EUR").await, order::product(&scene, 5, "EUR").await);
    let token = scene.cast.customer.token().await.expect("a token");
    let place = async |request: Value| {
        let post = app.endpoint.http.post(format!("{}/api/v1/orders", app.endpoint.base())).bearer_auth(&token);
        crate::support::rest::read(post.json(&request).send().await.expect("an answer")).await
    };
    let items = json!([{ "productId": one, "quantity": 2 }, { "productId": other, "quantity": 3 }]);
    let mut cheaper = items.clone();
    cheaper[0]["unitPrice"] = json!({ "amountMinor": 1 });
    // A price is not a field of the request.
    place(json!({ "items": cheaper })).await.failure("MALFORMED_REQUEST");
    place(json!({ "items": items, "total": { "amountMinor": 1 } })).await.failure("MALFORMED_REQUEST");
    let placed = place(json!({ "items": items })).await.success();
    assert_eq!(placed.data()["total"], json!({ "amountMinor": "4013", "currencyCode": "EUR" }));
    assert_eq!(placed.data()["items"][0]["amount"]["amountMinor"], "3998");

    let dearer = json!({ "productId": one, "product": { "price": euro(9999), "name": "Dearer" } });
    scene.cast.admin.rest("ProductService.UpdateProduct", dearer).await.success();
    let read = scene
        .cast
        .customer
        .call(Protocol::Grpc, "OrderService.GetOrder", json!({ "orderId": placed.id() }))
        .await
        .success();
    assert_eq!(read.data(), placed.data(), "as it was placed");
}

/// The database rejects invalid orders, which the server never writes.
#[tokio::test]
async fn the_database_refuses_invalid_orders() {
    let (app, scene) = Scene::start().await;
    let (id, product) = (order::order(&scene).await, order::product(&scene, 7, "EUR").await);
    let client = connect(&app.database.url).await;
    let statements = [
        format!("UPDATE orders SET total_minor = 451 WHERE id = '{id}'"),
        format!("UPDATE orders SET status = 3 WHERE id = '{id}'"),
        format!("UPDATE orders SET status = 2, payment_id = NULL WHERE id = '{id}'"),
        format!("UPDATE orders SET status = 4 WHERE id = '{id}'"),
        format!("UPDATE orders SET currency = 'eur' WHERE id = '{id}'"),
        format!("UPDATE order_items SET quantity = 1 WHERE order_id = '{id}'"),
        format!("DELETE FROM order_items WHERE order_id = '{id}'"),
        format!("INSERT INTO order_items VALUES ('{id}', 7, '{product}', 'More', 1, 7)"),
        format!(
            "INSERT INTO orders (id, account_id, placed_by, currency, total_minor, status, created_at, updated_at)
             SELECT gen_random_uuid(), account_id, placed_by, 'EUR', 1, 1, now(), now() FROM orders WHERE id = '{id}'"
        ),
        format!("DELETE FROM products WHERE id IN (SELECT product_id FROM order_items WHERE order_id = '{id}')"),
        "UPDATE products SET price_minor = 0".to_owned(),
        "UPDATE products SET price_minor = 1000000000000".to_owned(),
    ];
    for statement in statements {
        assert!(client.batch_execute(&statement).await.is_err(), "taken: {statement}");
    }
    let read = scene.cast.customer.rest("OrderService.GetOrder", json!({ "orderId": id })).await.success();
    assert_eq!((read.text("/data/total/amountMinor"), read.text("/data/version")), ("450".into(), "1".into()));
}

/// Only the first cancellation succeeds; all later ones are rejected.
#[tokio::test(flavor = "multi_thread")]
async fn only_one_of_many_concurrent_cancellations_succeeds() {
    let (_app, scene) = Scene::start().await;
    let id = order::order(&scene).await;
    let cancel = || scene.cast.customer.call(Protocol::Grpc, "OrderService.CancelOrder", json!({ "orderId": id }));
    let answers = futures_util::future::join_all((0..8).map(|_| cancel())).await;
    let good = answers.iter().filter(|answer| answer.reason.is_empty()).count();
    let late = answers.iter().filter(|answer| answer.reason == "ORDER_CANCELLED").count();
    assert_eq!((good, late), (1, 7), "{answers:#?}");
}
