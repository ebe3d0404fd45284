//! Posts.

pub mod markdown;
pub mod model;
pub mod ops;
pub mod published;
mod render;
pub mod service;
pub mod store;
