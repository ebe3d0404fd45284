//! Customers, for the transactions of others.

pub(crate) use super::store::{keep, of};
