//! Comments on tickets, and the history of a ticket.

pub mod model;
pub mod ops;
pub mod service;
pub mod store;
