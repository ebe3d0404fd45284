//! Trips, which are planned and not stored. Their contract has a map, a document, a choice and a recursive message, and a
//! method for gRPC alone.

pub mod model;
pub mod ops;
pub mod service;
