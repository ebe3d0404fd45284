//! The continuous export of the audit log to a receiver outside, such as a SIEM.

pub mod model;
pub mod ops;
pub mod receiver;
pub mod store;
mod stream;
