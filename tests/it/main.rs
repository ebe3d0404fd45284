//! The house, tried from outside: one binary, behaviour by behaviour, each over gRPC and over REST.

mod access;
mod cases;
mod contract;
mod doors;
mod embedded;
mod hostile;
mod idempotency;
mod job;
mod limits;
mod logs;
mod mail;
mod operation;
mod order;
mod payment;
mod postgres;
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
