//! The gateway's customers, for the transactions of other modules, and the erasure of an account's payment records.

pub(crate) use super::store::{customer_id, erase, insert_or_get};
