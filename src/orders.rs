//! Orders: the price list and customers' orders.

pub mod events;
mod examples;
pub mod id;
mod mails;
pub mod order;
pub mod product;

use crate::mail::ops::SendsMail as _;
use mainstay_kernel::{
    config::Retention,
    module::Module,
    personal::{BOOKS, Personal},
};

use self::{order::service::Orders, product::service::Products};
use crate::proto::{
    DESCRIPTOR_SET,
    orders::v1::{order_service_server::OrderServiceServer, product_service_server::ProductServiceServer},
};

pub(crate) fn module() -> Module {
    Module::new("orders", DESCRIPTOR_SET)
        .personal([
            Personal::of_account("orders", "account_id")
                .anonymized("confirmation_email = NULL", "confirmation_email IS NOT NULL"),
            Personal::of_account("orders", "id").matching("account_id = $1").kept(BOOKS).not_exported(),
            Personal::of_account("order_items", "order_id")
                .matching("order_id IN (SELECT id FROM orders WHERE account_id = $1)")
                .kept(BOOKS),
            // The orders that staff places have the addresses of customers.
            Personal::of_user("orders", "placed_by")
                .exported_if("t.account_id IN (SELECT members.account_id FROM members WHERE members.user_id = $1)")
                .anonymized("confirmation_email = NULL", "confirmation_email IS NOT NULL"),
            // Another person or a service has placed the order.
            Personal::of_user("orders", "confirmation_email")
                .matching("lower(confirmation_email) = (SELECT email FROM users WHERE id = $1)")
                .not_exported()
                .anonymized("confirmation_email = NULL", "confirmation_email IS NOT NULL"),
        ])
        .retention([
            Retention::without_age(&["orders", "order_items"], BOOKS),
            Retention::without_age(&["products"], "kept: orders refer to them"),
        ])
        .needs(&["identity"])
        .service(|app| ProductServiceServer::new(Products { app: app.clone() }))
        .service(|app| OrderServiceServer::new(Orders { app: app.clone() }))
        .mail::<mails::OrderConfirmation>()
        .examples(examples::by_name)
}
