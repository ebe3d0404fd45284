//! The module in a whole server.

use mainstay_test_kit::TestServer;

/// Starts a server with the module, on a separate database.
async fn start() -> TestServer {
    TestServer::start(mainstay::product().with(my_module::module())).await
}

#[tokio::test]
async fn exactly_the_callers_with_a_grant_may_call() {
    let server = start().await;
    server.check_access("my_module.v1").await;
}

/// The account of a deleted customer leaves nothing behind.
#[tokio::test]
async fn erasures_and_exports_cover_every_table() {
    start().await.check_personal_data().await;
}

#[tokio::test]
async fn every_table_declares_how_long_its_rows_are_kept() {
    start().await.check_retention().await;
}

#[tokio::test]
async fn the_version_before_each_migration_can_go_on_after_it() {
    mainstay_test_kit::check_migrations(mainstay::product().with(my_module::module())).await;
}

#[tokio::test]
async fn the_server_answers() {
    let server = start().await;
    let document = server.anonymous().get("/openapi.json").await.success();
    assert!(document.body["paths"].is_object(), "{:#}", document.body);
}
