//! What a server owes besides its methods.

mod drain;
mod export;
mod grpc;
mod import;
mod pages;
mod probes;
