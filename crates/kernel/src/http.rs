//! HTTP: the listener, the middleware stack, the pages, and the documents generated from the contract.
//!
//! The tower layers of [`middleware`] are what the gRPC world calls interceptors. They are layers because a tonic
//! interceptor sees the request alone and can't wait: these see the response too, and wait for Postgres and Redis.

pub mod asset;
pub mod docs;
pub mod envoy;
pub(crate) mod exchange;
pub mod health;
pub mod listener;
pub mod middleware;
pub mod openapi;
pub mod pages;
pub mod service;
