//! Use cases: may this caller, what is decided, one transaction.
//!
//! An operation takes a [`Permit`](crate::caller::Permit), asks the domain, and works through one connection that
//! [`work`] hands it. It knows no protobuf; what it returns is rendered by the service that called it.

pub mod auth;
pub mod comment;
pub mod credential;
pub mod import;
pub mod operation;
pub mod seed;
pub mod service_key;
pub mod session;
pub mod signing_key;
pub mod ticket;
pub mod user;
pub mod work;
