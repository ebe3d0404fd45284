//! Sign-in by mail: a link or a code, bound to the browser that asked for it.

pub mod id;
pub mod model;
pub mod ops;
pub mod store;
