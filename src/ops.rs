//! Use cases: may this caller, what is decided, one transaction.
//!
//! An operation takes a [`Permit`](crate::caller::Permit), asks the domain, and works through one connection that
//! [`work`] hands it. It knows no protobuf; what it returns is rendered by the service that called it.

pub mod auth;
pub mod comment;
pub mod credential;
pub mod import;
pub mod inbound_event;
pub mod ledger;
pub mod mail;
pub mod operation;
pub mod order;
pub mod payment;
pub mod product;
pub mod refund;
pub mod seed;
pub mod service_key;
pub mod session;
pub mod settle;
pub mod signing_key;
pub mod subscription;
pub mod ticket;
pub mod user;
pub mod webhook;
pub mod work;

use crate::{
    caller::{Permit, Visibility},
    error::{Error, Result},
    id::AccountId,
};

/// The account of something to be made: a customer's is the own one, whatever the request says; everybody else names
/// one.
///
/// # Errors
/// `NOT_FOUND` for an account that is not the customer's, `VALIDATION_FAILED` when one has to be named.
fn account_of(permit: &Permit, named: Option<AccountId>) -> Result<AccountId> {
    match (permit.visibility(), named) {
        (Visibility::Account(own), None) => Ok(own),
        (Visibility::Account(own), Some(named)) if named == own => Ok(own),
        (Visibility::Account(_), Some(_)) => Err(Error::not_found("account")),
        (_, Some(named)) => Ok(named),
        (_, None) => Err(Error::field("accountId", "is required")),
    }
}
