//! The recipient of mail about an order.

use crate::{
    mail::ops::{Content, Draft},
    orders::order::model::Order,
};
use mainstay_kernel::{database::Connection, error::Result};

/// Addresses a mail about an order to the address that the order names, or to the user who placed it, or to an owner of
/// the account if that user has left it.
pub(crate) async fn to_customer(
    connection: &mut Connection,
    order: &Order,
    content: impl Content + 'static,
) -> Result<Option<Draft>> {
    match &order.confirmation_email {
        Some(email) => Draft::to_address(connection, email, content).await,
        None => Draft::to_member_or_owner(connection, order.placed_by, order.account, content).await,
    }
}
