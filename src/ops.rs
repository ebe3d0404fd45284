//! Use cases: authorization, a domain decision, one transaction.
//!
//! An operation takes a [`Permit`](crate::caller::Permit), calls the domain, and works through the one connection that
//! [`work`] passes to it. It has no knowledge of protobuf; the service that called it renders the result.

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

/// Returns the account that a new resource belongs to. Customers always get their own account; all other callers must
/// name one.
///
/// # Errors
/// `NOT_FOUND` if a customer names another account, `VALIDATION_FAILED` if the account is required and missing.
fn account_of(permit: &Permit, named: Option<AccountId>) -> Result<AccountId> {
    match (permit.visibility(), named) {
        (Visibility::Account(own), None) => Ok(own),
        (Visibility::Account(own), Some(named)) if named == own => Ok(own),
        (Visibility::Account(_), Some(_)) => Err(Error::not_found("account")),
        (_, Some(named)) => Ok(named),
        (_, None) => Err(Error::field("accountId", "is required")),
    }
}
