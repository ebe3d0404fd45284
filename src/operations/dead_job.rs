//! Dead jobs: those that used up their attempts.

pub(crate) mod command;
pub mod ops;
pub mod service;
