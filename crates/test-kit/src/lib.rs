//! For the tests of a module: the whole server in the process of the test, on a separate database.
//!
//! ```ignore
//! let server = TestServer::start(mainstay::product().with(fleet::module())).await;
//! let admin = server.admin().await;
//! let vehicle = admin.post("/api/v1/vehicles", json!({ "plate": "M-AI 2036", "model": "Volta 3" })).await.data();
//! server.advance(TimeDelta::days(31));
//! server.run_task("fleet.expire_leases").await;
//! ```
//!
//! - [`TestServer`]: starts the server with all components that modules start in it, advances its clock, runs its jobs and
//!   tasks, puts an Envoy in front of it, and stops it.
//! - [`Client`]: a caller of some role, over REST ([`Client::post`]) and gRPC ([`Client::grpc`]).
//! - [`TestServer::check_access`]: calls every method of a package as every kind of caller.
//! - [`check_effect`]: runs an effect of a module against a fake of its outside API ([`OutsideApi`]), under faults.
//! - [`check_migrations`]: checks that the version before each migration still works after it, as in a rolling upgrade.
//! - [`Response`]: a REST response, with assertions.
//! - [`TestDatabase`]: a copy of a migrated template. Postgres is the one in `MAINSTAY_TEST_DATABASE_URL`, else one
//!   that the first test of a process starts. Redis is the in-process stand-in.

mod access;
mod chaos;
mod client;
mod database;
mod envoy;
mod people;
mod response;
mod server;
mod unique;
mod upgrade;

pub use chaos::{FakeApi, OutsideApi, check_effect};
pub use client::{Bearer, Client};
pub use database::TestDatabase;
pub use response::Response;
pub use server::{Builder, TestServer};
pub use upgrade::check_migrations;
