//! Orders: the price list and customers' orders.

pub mod events;
mod examples;
pub mod id;
pub mod order;
pub mod product;

use mainstay_kernel::module::Module;

use self::{order::service::Orders, product::service::Products};
use crate::proto::{
    DESCRIPTOR_SET,
    orders::v1::{order_service_server::OrderServiceServer, product_service_server::ProductServiceServer},
};

pub(crate) fn module() -> Module {
    Module::new("orders", DESCRIPTOR_SET)
        .needs(&["identity"])
        .service(|app| ProductServiceServer::new(Products { app: app.clone() }))
        .service(|app| OrderServiceServer::new(Orders { app: app.clone() }))
        .examples(examples::by_name)
}
