//! The module `my_module`: one folder per resource, in which `service` reads the message and renders the response,
//! `ops` decides, `model` has the types and their transitions, and `store` is SQL.

pub mod proto;
pub mod schema;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use mainstay_kernel::module::Module;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Returns the module, with everything that it adds to the server.
pub fn module() -> Module {
    Module::new("my_module", proto::DESCRIPTORS)
        // The migrations run in the schema `my_module`, beside the tables of Mainstay.
        .migrations(MIGRATIONS)
}
