//! Mainstay: the production back end every product team rebuilds.
//!
//! One Protobuf contract drives everything that faces a caller: the gRPC server, its REST routes, the OpenAPI document,
//! field rules, the error catalogue, and what each method demands of its caller. A request goes down and an answer
//! comes up; no layer knows the one above it.
//!
//! ```text
//!   proto/ ──build.rs──▶ contract        descriptor set, policies, reasons, field rules, OpenAPI
//!
//!   server               one port: HTTP/1.1 and HTTP/2, bounded, drained
//!     perimeter          THE stack: id, trace, limits, auth, deadline, idempotency key — the same for every door
//!       rest             JSON ⇄ gRPC; enters the perimeter's inner half like any gRPC call
//!         services       RPC bodies: read the message, make one call, render the answer
//!           ops          use cases: may this caller, what is decided, one transaction (ops::work)
//!             jobs       what goes on after the request was answered, written down in its transaction
//!             domain     plain types, state transitions
//!             store      diesel: connection in, domain out
//!   worker               does the jobs, and what comes by the clock; calls ops, as services do
//!   gateway              who moves money for us: Stripe, or a built-in sandbox
//!   email                who takes our mail: SMTP, files, or the log
//!   webhooks             who signs what providers tell us, and who waits for it
//!   outbound             other people's services: time bounds, retries, breaker, bulkhead around one client
//!   ephemeral            what may be lost: sessions, rate limits — Redis, or its in-process stand-in
//! ```
//!
//! The same file name at every hop: `proto/…/ticket_service.proto → services/ticket.rs → ops/ticket.rs →
//! store/ticket.rs`. [`app::App`] is built once and passed down; [`caller::Permit`] is the proof that the perimeter let
//! a caller in; [`error::Error`] is the one error; [`cli`] is the command line over all of it.

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
