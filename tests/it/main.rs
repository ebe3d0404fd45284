//! Black-box tests of the app: one binary, organized by behavior, each over gRPC and over REST.

mod access;
mod cache;
mod cases;
mod contract;
mod hostile;
mod idempotency;
mod job;
mod limits;
mod logs;
mod mail;
mod operation;
mod order;
mod payment;
mod post;
mod postgres;
mod protocols;
mod reasons;
mod serving;
mod session;
mod statements;
mod subscription;
mod support;
mod ticket;
mod tls;
mod user;
mod webhook;
