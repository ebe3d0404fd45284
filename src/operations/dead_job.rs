//! Dead jobs, which have used up their attempts (dead-letter queue).

pub(crate) mod command;
pub mod ops;
pub mod service;
