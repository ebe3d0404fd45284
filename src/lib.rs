//! Mainstay: the production back end every product team rebuilds.
//!
//! This crate is the product: one folder per module. The machinery below it, which depends on no module, is
//! [`mainstay_kernel`]. A request passes through these layers, and its response returns through them:
//!
//! ```text
//!   mainstay_kernel::http → grpc → <module>/service → ops → model, store
//! ```
//!
//! In each module, `service` reads the message, makes one call and renders the response; `ops` decides, in one transaction;
//! `model` contains plain types and their transitions; `store` is SQL. `src/<module>.rs` registers the module's parts.
//!
//! # Modules
//!
//! - [`identity`]: sign-in, sessions, users, service keys.
//! - [`operations`]: long-running work that a caller polls.
//! - [`support`]: tickets, comments, imports and exports.
//! - [`content`]: posts, and the feed of published posts.
//! - [`files`]: uploads and downloads, and the storage of files.
//! - [`orders`]: products and orders.
//! - [`payments`]: charges, refunds, the ledger, and payment gateways.
//! - [`subscriptions`]: products that are paid each period.
//! - [`webhooks`]: events received from providers, and events sent to endpoints.
//! - [`mail`]: mail and its transports.
//! - [`dashboard`]: revenue, overviews, the configuration, and the log of all servers.
//! - [`audit`]: who did what, and the chain that proves it.
//! - [`console`]: the web console.
//! - [`sample`]: sample data for a new private database.
//!
//! # Other parts
//!
//! - [`Product`]: the list of modules, to which a team adds its own.
//! - [`cli`]: the command line.
//! - [`proto`], [`schema`]: the generated code and the tables, each in a separate crate.

#![expect(missing_docs, reason = "the product is a program; the public API is that of mainstay_kernel")]

pub mod audit;
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
pub use product::{Product, kernel_only, product};
