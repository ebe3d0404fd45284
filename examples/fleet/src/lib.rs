//! The fleet module: vehicles and their leases. It is an example of a module in a separate crate.
//!
//! - [`vehicle`], [`lease`], [`trip`]: one folder per resource. `service` reads the message and renders the response, `ops`
//!   decides, `model` has the types and their transitions, `store` is SQL.
//! - [`fuel_card`]: a payment gateway.
//! - [`jobs`]: background work; [`vehicle::recharge`]: a call to an outside API.
//! - [`config`]: the module's variables.
//! - [`proto`]: the generated code; [`schema`]: the tables.

pub mod config;
mod examples;
pub mod fuel_card;
pub mod jobs;
pub mod lease;
pub mod proto;
#[expect(missing_docs, reason = "the columns are documented in migrations/")]
pub mod schema;
pub mod trip;
pub mod vehicle;

use std::sync::Arc;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use mainstay::{
    dashboard::tile::ops::ShowsTiles as _,
    mail::ops::SendsMail as _,
    operations::ops::CarriesOut as _,
    orders::events::OrderPaid,
    payments::gateway::TakesPayments as _,
    webhooks::{InboundEventHandler, ReceivesEvents as _},
};
use mainstay_kernel::{
    config::Retention,
    module::{About, Module},
    personal::{BOOKS, Personal},
    schedule::MINUTE,
};

use crate::{
    config::FleetConfig,
    fuel_card::FuelCards,
    lease::{command::LeasesCommand, end_all::EndLeases, mail::LeaseEnding, service::Leases, tile::EndingLeases},
    proto::fleet::{
        v1::{
            lease_service_server::LeaseServiceServer, trip_service_server::TripServiceServer,
            vehicle_service_server::VehicleServiceServer as VehicleServiceV1Server,
        },
        v2::vehicle_service_server::VehicleServiceServer,
    },
    trip::service::Trips,
    vehicle::{
        charger::{ChargeCompleted, Chargers},
        recharge::{Recharge, Stations},
        service::Vehicles,
        tile::VehiclesByStatus,
        v1::VehiclesV1,
    },
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
        .service(|app| VehicleServiceV1Server::new(VehiclesV1::new(app)))
        .service(|app| LeaseServiceServer::new(Leases::new(app)))
        .service(|_| TripServiceServer::new(Trips))
        .part(Stations::open)
        .effect::<Recharge>()
        .alerts([("fleet", "not_recharged"), ("charging", "auth")])
        .every(MINUTE, "fleet.expire_leases", "Ends leases whose time is over", jobs::expire_leases)
        .every(MINUTE, "fleet.announce_ends", "Sends mail about leases that end within 3 days", jobs::announce_ends)
        .mail::<LeaseEnding>()
        .operation::<EndLeases>()
        .inbound::<Chargers>()
        .contribute::<Arc<dyn InboundEventHandler>>(Arc::new(ChargeCompleted))
        .gateway::<FuelCards>()
        .tile::<EndingLeases>()
        .tile::<VehiclesByStatus>()
        .on::<OrderPaid>(jobs::grant_lease)
        .command::<LeasesCommand>()
        .examples(examples::by_name)
}
