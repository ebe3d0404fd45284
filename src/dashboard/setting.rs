//! The configuration as it was read, without secrets.

pub mod service;
