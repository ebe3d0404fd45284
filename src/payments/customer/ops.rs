//! The gateway's customers, for the transactions of other modules, and the removal of what they paid.

pub(crate) use super::store::{customer_id, erase, insert_or_get};
