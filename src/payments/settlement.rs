//! Settlement: committed requests to a gateway, whose outcome may be unknown for a while.

pub mod call;
pub mod model;
pub mod ops;
pub(crate) mod store;
