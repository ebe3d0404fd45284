//! The dashboard: the state of the business and of the servers.

mod command;
pub mod config;
pub mod deprecated_method;
mod examples;
pub mod overview;
pub mod revenue;
pub mod setting;
pub mod system_log;
pub mod tile;

use mainstay_kernel::{
    config::Retention,
    module::{Module, Modules},
    personal::Personal,
    telemetry::metrics::Metric,
};

use self::{
    command::Dashboard,
    config::{DashboardConfig, SYSTEM_LOGS},
    deprecated_method::service::DeprecatedMethodRpcs,
    overview::{cached::CachedOverviews, service::Overviews, tile::DeadJobs},
    revenue::service::Revenues,
    setting::service::SettingRpcs,
    system_log::{logs::SystemLogs, service::SystemLogRpcs, writer},
    tile::{
        cached::CachedTiles,
        ops::{ShowsTiles as _, Tiles},
        service::TileRpcs,
    },
};
use crate::proto::{
    DESCRIPTOR_SET,
    dashboard::v1::{
        deprecated_method_service_server::DeprecatedMethodServiceServer,
        overview_service_server::OverviewServiceServer, revenue_service_server::RevenueServiceServer,
        setting_service_server::SettingServiceServer, system_log_service_server::SystemLogServiceServer,
        tile_service_server::TileServiceServer,
    },
};

pub(crate) fn module() -> Module {
    Module::new("dashboard", DESCRIPTOR_SET)
        .personal([Personal::of_user("system_logs", "principal_id")
            .matching("principal_id = $1::text")
            .kept("It expires with the log.")
            .not_exported()])
        .needs(&["identity", "support", "orders", "payments", "webhooks"])
        .config::<DashboardConfig>()
        .retention([
            SYSTEM_LOGS,
            Retention::without_age(&["system_log_ring"], "one row: the partition that is written"),
        ])
        .part(SystemLogs::open)
        .part(|app| Ok(CachedOverviews::new(&app.cache)))
        .part(|app| {
            let tiles = Tiles::new(Modules::of(app).contributions().all().copied(), &app.contract.policies)?;
            Ok(CachedTiles::new(&app.cache, tiles))
        })
        .start_first(|process| {
            writer::start(process);
            Box::pin(async { Ok(()) })
        })
        .service(|app| OverviewServiceServer::new(Overviews { app: app.clone() }))
        .service(|app| RevenueServiceServer::new(Revenues { app: app.clone() }))
        .service(|app| SettingServiceServer::new(SettingRpcs { app: app.clone() }))
        .service(|app| DeprecatedMethodServiceServer::new(DeprecatedMethodRpcs { app: app.clone() }))
        .service(|app| SystemLogServiceServer::new(SystemLogRpcs { app: app.clone() }))
        .service(|app| TileServiceServer::new(TileRpcs { app: app.clone() }))
        .tile::<DeadJobs>()
        .command::<Dashboard>()
        .metrics([Metric::counter(
            "mainstay_system_log_lines_total",
            "Lines of the log that were stored, or not: more than are stored per second, or than wait, or the store was unavailable",
        )
        .labels(&[("outcome", &["stored", "limited", "overflowed", "lost"])])])
        .examples(examples::by_name)
}
