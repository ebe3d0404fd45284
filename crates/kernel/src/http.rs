//! HTTP: the listener, the middleware stack, the pages, and the documents generated from the contract.
//!
//! The tower layers of [`middleware`] have the role of gRPC interceptors. A tonic interceptor sees only the request and
//! can't await. The layers also see the response, and await Postgres and Redis.

pub mod asset;
pub mod docs;
pub mod entity_tag;
pub mod envoy;
pub(crate) mod exchange;
pub mod health;
pub mod listener;
pub mod middleware;
pub mod openapi;
pub mod pages;
pub(crate) mod reflection;
pub mod service;
