//! Posts.

mod convert;
pub mod markdown;
pub mod model;
pub mod ops;
pub mod published;
pub mod service;
pub mod store;
