//! The gateway's customers, for the transactions of other modules.

pub(crate) use super::store::{customer_id, insert_or_get};
