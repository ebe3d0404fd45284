//! The fleet module: vehicles and their leases. It is an example of a module in a separate crate.
//!
//! - [`vehicle`], [`lease`], [`trip`]: one folder per resource. `service` reads the message and renders the response, `ops`
//!   decides, `model` has the types and their transitions, `store` is SQL.
//! - [`jobs`]: background work.
//! - [`config`]: the module's variables.
//! - [`proto`]: the generated code; [`schema`]: the tables.

pub mod config;
mod examples;
pub mod jobs;
pub mod lease;
pub mod proto;
#[expect(missing_docs, reason = "the columns are documented in migrations/")]
pub mod schema;
pub mod trip;
pub mod vehicle;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use mainstay::{
    dashboard::tile::ops::ShowsTiles as _, mail::ops::SendsMail as _, operations::ops::CarriesOut as _,
    orders::events::OrderPaid,
};
use mainstay_kernel::{
    config::Retention,
    module::{About, Module},
    personal::{BOOKS, Personal},
    schedule::MINUTE,
};

use crate::{
    config::FleetConfig,
    lease::{command::LeasesCommand, end_all::EndLeases, mail::LeaseEnding, service::Leases, tile::EndingLeases},
    proto::fleet::v1::{
        lease_service_server::LeaseServiceServer, trip_service_server::TripServiceServer,
        vehicle_service_server::VehicleServiceServer,
    },
    trip::service::Trips,
    vehicle::{job::Recharge, service::Vehicles, tile::VehiclesByStatus},
};

pub use proto::fleet::v1::Reason;

/// The program as its users see it.
pub const ABOUT: About = About {
    program: "fleet",
    title: "Fleet",
    version: env!("CARGO_PKG_VERSION"),
    summary: "Vehicles and their leases, beside Mainstay.",
    ..About::MAINSTAY
};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Returns the module.
pub fn module() -> Module {
    Module::new("fleet", proto::DESCRIPTORS)
        .migrations(MIGRATIONS)
        .personal([Personal::of_account("fleet.leases", "account_id").kept(BOOKS)])
        .retention([Retention::without_age(&["fleet.vehicles", "fleet.leases"], BOOKS)])
        .config::<FleetConfig>()
        .service(|app| VehicleServiceServer::new(Vehicles::new(app)))
        .service(|app| LeaseServiceServer::new(Leases::new(app)))
        .service(|_| TripServiceServer::new(Trips))
        .queue::<Recharge>()
        .every(MINUTE, "fleet.expire_leases", "Ends leases whose time is over", jobs::expire_leases)
        .every(MINUTE, "fleet.announce_ends", "Sends mail about leases that end within 3 days", jobs::announce_ends)
        .mail::<LeaseEnding>()
        .operation::<EndLeases>()
        .tile::<EndingLeases>()
        .tile::<VehiclesByStatus>()
        .on::<OrderPaid>(jobs::grant_lease)
        .command::<LeasesCommand>()
        .examples(examples::by_name)
}
