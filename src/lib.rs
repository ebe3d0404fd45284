//! Mainstay: the production back end every product team rebuilds.
//!
//! One Protobuf contract drives everything that faces a caller: the gRPC services, the REST routes, the OpenAPI
//! document, the field rules, the error catalogue, and the policy of each method. A request travels down through the
//! layers and its response travels back up:
//!
//! ```text
//!   server → perimeter → rest → services → ops → jobs, store → domain
//!                                 worker → ops
//! ```
//!
//! # Modules
//!
//! The request path, outermost first:
//!
//! - [`server`]: the listener; HTTP/1.1 and HTTP/2 on one port, TLS, connection limits, graceful shutdown.
//! - [`service`]: what a listener serves; the RPC services and the pages, behind the perimeter.
//! - [`perimeter`]: the middleware stack; tracing, limits, authentication, deadlines, idempotency keys.
//! - [`rest`]: the REST transcoder; turns JSON requests into gRPC calls and back.
//! - [`services`]: the RPC bodies; each reads the message, calls one operation, and renders the response.
//! - [`pages`]: the HTTP pages beside the API; health, metrics, signing keys, the OpenAPI document, the reference.
//! - [`contract`]: the generated code and the descriptor set; policies, error reasons, statuses, field rules.
//!
//! The domain:
//!
//! - [`ops`]: the use cases; each checks the caller, asks the domain, and runs one transaction.
//! - [`domain`]: plain types and the rules between them.
//! - [`store`]: Postgres through diesel; the connection pool and one file per resource.
//!
//! The outside:
//!
//! - [`gateway`]: payment gateways; Stripe and a built-in sandbox.
//! - [`webhooks`]: inbound webhooks; verifies the provider's signature and handles the event.
//! - [`outbound`]: the HTTP client for other services; time limits, retries, circuit breaker, bulkhead.
//! - [`email`]: mail; its text, its encoding, and its transports (SMTP, files, the log).
//!
//! Background work:
//!
//! - [`jobs`]: the queued jobs; each is added in the transaction that causes it.
//! - [`worker`]: runs the jobs and the scheduled tasks.
//!
//! The platform:
//!
//! - [`app`]: the dependencies of a request, built once and passed down.
//! - [`config`]: the configuration, from the environment and an optional file.
//! - [`caller`]: the authenticated caller, and the permit that proves the policy was checked.
//! - [`identity`]: access tokens, signing keys, password hashing, and the server's secret.
//! - [`ephemeral`]: shared state that may be lost; sessions and rate limits, in Redis or in process.
//! - [`turns`]: per-key queues in front of the connection pool.
//! - [`context`]: the request id and the deadline that accompany a request.
//! - [`error`]: the error type.
//! - [`id`]: the identifier types.
//! - [`clock`]: the current time, which tests can advance.
//! - [`health`]: readiness, and the state of the dependencies.
//! - [`telemetry`]: logging and metrics.
//! - `alert`: alerts for the on-call engineer.
//! - [`fault`]: fail points for the fault tests.
//!
//! Tooling:
//!
//! - [`cli`]: the command line.
//! - [`embedded`]: private Postgres, Redis and Envoy servers, for development and tests.
//! - [`envoy`]: the configuration of an Envoy proxy in front of the server.
//! - [`openapi`]: the OpenAPI document, from the contract and the REST rules.
//! - [`docs`]: the API reference page.
//!
//! # Dependencies
//!
//! A layer may name the layers below it and never one above it; `tests/it/contract/layers.rs` enforces this:
//!
//! - [`domain`] names only [`error`], [`id`] and [`clock`].
//! - [`store`], [`gateway`], [`email`], [`outbound`], [`ephemeral`] and [`identity`] name neither [`app`], [`jobs`] nor
//!   [`ops`], nor anything above them.
//! - [`ops`] and [`webhooks`], whose handlers call operations, name nothing on the request path but [`contract`]. Only
//!   [`ops`] opens transactions.
//! - [`services`] and [`worker`] call [`ops`] and know nothing of each other.
//! - [`rest`] knows the descriptors alone; [`openapi`] reads its rules to describe the REST routes.
//! - [`perimeter`] knows no service; the one operation it calls verifies credentials.
//!
//! A resource has the same file name in each layer: `proto/…/ticket_service.proto`, `services/ticket.rs`,
//! `ops/ticket.rs`, `store/ticket.rs`.

mod alert;
pub mod app;
pub mod caller;
pub mod cli;
pub mod clock;
pub mod config;
pub mod context;
pub mod contract;
pub mod docs;
pub mod domain;
pub mod email;
pub mod embedded;
pub mod envoy;
pub mod ephemeral;
pub mod error;
pub mod fault;
pub mod gateway;
pub mod health;
pub mod id;
pub mod identity;
pub mod jobs;
pub mod openapi;
pub mod ops;
pub mod outbound;
pub mod pages;
pub mod perimeter;
pub mod rest;
pub mod server;
pub mod service;
pub mod services;
pub mod store;
pub mod telemetry;
pub mod turns;
pub mod webhooks;
pub mod worker;
