//! Mainstay: the production back end every product team rebuilds.

pub mod app;
pub mod caller;
pub mod clock;
pub mod config;
pub mod context;
pub mod contract;
pub mod domain;
pub mod embedded;
pub mod ephemeral;
pub mod error;
pub mod fault;
pub mod id;
pub mod ops;
pub mod perimeter;
pub mod rest;
pub mod services;
pub mod store;
