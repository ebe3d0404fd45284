//! Providers of accounts: an account brings its own OpenID Connect provider, with which its members sign in.

pub mod enforced;
pub mod id;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;
