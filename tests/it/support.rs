//! Shared test support: servers, a database per test, the app in process or as processes, and its callers.

pub(crate) mod actor;
pub(crate) mod app;
mod contract;
pub(crate) mod database;
pub(crate) mod dns;
pub(crate) mod eventually;
mod files;
pub(crate) mod gateway;
pub(crate) mod grpc;
pub(crate) mod mail;
pub(crate) mod oidc;
pub(crate) mod people;
pub(crate) mod process;
pub(crate) mod proxy;
mod python;
pub(crate) mod raw;
pub(crate) mod receiver;
pub(crate) mod response;
pub(crate) mod rest;
pub(crate) mod s3;
pub(crate) mod servers;
mod sql;
mod totp;
mod values;
pub(crate) mod webhook;

pub(crate) use actor::{Actor, Endpoint, PROTOCOLS, Protocol};
pub(crate) use app::TestApp;
pub(crate) use contract::{method, methods, modules, policies};
pub(crate) use database::TestDatabase;
pub(crate) use eventually::eventually;
pub(crate) use files::rust_files;
pub(crate) use process::{ChildProcess, Process};
pub(crate) use raw::Raw;
pub(crate) use response::Response;
pub(crate) use totp::totp;
pub(crate) use values::{euro, unique};
