//! The machinery of Mainstay, which knows no domain: what every module of a back end needs, once.
//!
//! A request goes down and an answer comes up: [`http`] (listener, middleware stack, transcoding, pages) → [`grpc`] (an
//! admitted [`grpc::Call`]) → a module's service → its operations, in the transaction of a [`unit_of_work`] → its store.
//!
//! # What a module is
//!
//! - [`module`]: the seam; what a domain brings, and the list of all modules of a process.
//! - [`command`]: what a command of a module is, and what it gets from the program.
//! - [`contract`]: what is read from the `.proto` files; policies, error reasons, field rules.
//! - [`contribution`]: values that modules add for each other.
//! - [`app`]: the dependencies of a request, and the parts that modules add.
//!
//! # The request path
//!
//! - [`http`]: the listener, the middleware stack, health and pages, the OpenAPI document, Envoy's configuration.
//! - [`grpc`]: RPC bodies; admission, paging, field masks, statuses and headers.
//! - [`caller`]: the authenticated caller, and the permit that proves the policy was checked.
//! - [`context`]: the request id and the deadline that accompany a request.
//! - [`unit_of_work`]: effect, response and idempotency key in one commit.
//! - [`deprecated_calls`]: who still calls a method whose end is announced.
//! - [`upload`]: bytes that arrive at their sender's pace, within bounds.
//! - [`error`]: the error type.
//! - [`audit`]: who did what, in the same commit.
//!
//! # State
//!
//! - [`database`]: the Postgres connection pool, migrations, and helpers for queries.
//! - [`partitions`]: tables by month, whose old months are dropped.
//! - [`redis`]: shared state that may be lost, in Redis or in process.
//! - [`cache`]: values that many read and few change, in the memory of the process.
//! - [`rate_limit`]: limits per address and principal, shared through Redis.
//! - [`keyed_mutex`]: per-key queues in front of the connection pool.
//!
//! # Background work
//!
//! - [`queue`]: jobs, which commit with their cause.
//! - [`effects`]: calls to outside APIs that take effect once.
//! - [`schedule`]: tasks that run once per period.
//! - [`events`]: what happened to a resource, and who listens.
//! - [`changes`]: which resources changed, for watches.
//!
//! # The rest
//!
//! - [`outbound`]: the HTTP client for other services; time limits, retries, circuit breaker, bulkhead.
//! - [`breaker`]: the circuit breaker of providers and of Redis.
//! - [`config`]: the configuration, from the environment and an optional file.
//! - [`secret`]: the server's secret, and randomness.
//! - [`telemetry`], [`alert`]: logs, metrics and alerts.
//! - [`id`], [`clock`], [`money`], [`page`], [`version`], [`numbered`]: plain types.
//! - [`fault`]: fail points for the fault tests.

/// Implements `Debug` with these fields alone: the others have no such form, or are secret.
macro_rules! debug_fields {
    ($name:ident $(<$generic:ident $(: $bound:ident)?>)? $(: $($field:ident),*)?) => {
        impl$(<$generic $(: $bound)?>)? std::fmt::Debug for $name$(<$generic>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))$($(.field(stringify!($field), &self.$field))*)?.finish_non_exhaustive()
            }
        }
    };
}

pub mod alert;
pub mod app;
pub mod audit;
pub mod batch;
pub mod breaker;
pub mod cache;
pub mod caller;
pub mod changes;
pub mod clock;
pub mod command;
pub mod config;
pub mod context;
pub mod contract;
pub mod contribution;
pub mod database;
pub mod deprecated_calls;
pub mod effects;
pub mod error;
pub mod events;
mod fair_share;
pub mod fault;
pub mod grpc;
pub mod http;
pub mod id;
pub mod keyed_mutex;
mod large_responses;
pub mod module;
pub mod money;
pub mod numbered;
mod on_call;
pub mod outbound;
pub mod page;
pub mod partitions;
pub mod personal;
pub mod queue;
pub mod rate_limit;
pub mod redis;
pub mod retention;
pub mod schedule;
pub mod secret;
mod sweep;
pub mod telemetry;
pub mod unit_of_work;
pub mod upload;
pub mod version;
