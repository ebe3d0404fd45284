//! The server's features apart from its methods.

mod connections;
mod console;
mod drain;
mod export;
mod grpc;
mod import;
mod notify;
mod pages;
mod panics;
mod postgres_socket;
mod postgres_tls;
mod probes;
mod sample;
mod start;
