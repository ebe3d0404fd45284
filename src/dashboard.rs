//! The dashboard: what people look at to see how the business does.

mod examples;
pub mod revenue;

use mainstay_kernel::module::Module;

use self::revenue::service::Revenues;
use crate::proto::{DESCRIPTOR_SET, dashboard::v1::revenue_service_server::RevenueServiceServer};

pub(crate) fn module() -> Module {
    Module::new("dashboard", DESCRIPTOR_SET)
        .service(|app| RevenueServiceServer::new(Revenues { app: app.clone() }))
        .examples(examples::by_name)
}
