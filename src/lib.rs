//! Mainstay: the production back end every product team rebuilds.
//!
//! This crate is the product: one folder per module. The machinery under it, which knows no module, is
//! [`mainstay_kernel`]. A request goes down and an answer comes up:
//!
//! ```text
//!   mainstay_kernel::http → grpc → <module>/service → ops → model, store
//! ```
//!
//! In each module, `service` reads the message, makes one call and renders; `ops` decides, in one transaction; `model` is
//! plain types and the rules between them; `store` is SQL. `src/<module>.rs` says what the module registers.
//!
//! # Modules
//!
//! - [`identity`]: sign-in, sessions, users, service keys.
//! - [`operations`]: long-running work that a caller polls.
//! - [`support`]: tickets, comments, imports and exports.
//! - [`content`]: posts, and the feed of what is published.
//! - [`files`]: uploads and downloads, and the storage of files.
//! - [`orders`]: products and orders.
//! - [`payments`]: charges, refunds, the ledger, and payment gateways.
//! - [`subscriptions`]: products that are paid each period.
//! - [`webhooks`]: events received from providers, and events sent to endpoints.
//! - [`mail`]: mail and its transports.
//! - [`dashboard`]: revenue, overviews, the configuration, and the log of all servers.
//! - [`console`]: the web console.
//! - [`sample`]: sample data for a new private database.
//!
//! # The rest
//!
//! - [`Product`]: the list of modules, and how a team adds its own.
//! - [`cli`]: the command line.
//! - [`proto`], [`schema`]: the generated code, and the tables; each is a crate by itself.

#![expect(missing_docs, reason = "the product is a program; the public API is that of mainstay_kernel")]

pub mod cli;
pub mod console;
pub mod content;
pub mod dashboard;
pub mod files;
pub mod identity;
pub mod mail;
pub mod operations;
pub mod orders;
pub mod payments;
mod product;
pub mod sample;
pub mod subscriptions;
pub mod support;
pub mod webhooks;

pub use mainstay_proto as proto;
pub use mainstay_schema as schema;
pub use product::{Product, product};
