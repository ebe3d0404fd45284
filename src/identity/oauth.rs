//! Mainstay as an OpenID Connect provider: applications sign people in with it, and act for them within their consent.

pub mod model;
pub mod ops;
pub(crate) mod pages;
pub mod service;
pub mod store;
