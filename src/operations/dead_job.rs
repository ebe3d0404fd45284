//! Dead jobs: those that used up their attempts.

pub mod ops;
pub mod service;
