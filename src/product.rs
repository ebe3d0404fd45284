//! The product: its modules, and those that a team adds.

use std::process::ExitCode;

use clap::Parser as _;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use mainstay_kernel::{
    database::migrations::{PUBLIC, Set},
    module::{Fault, Module, Modules},
};

use crate::{
    cli, console, content, dashboard, files, identity, mail, operations, orders, payments, subscriptions, support,
    webhooks,
};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The modules of a server.
#[derive(Debug)]
#[must_use = "a product does nothing until it runs"]
pub struct Product {
    modules: Vec<Module>,
}

/// Returns Mainstay's own modules. A module may use the parts of those before it.
pub fn product() -> Product {
    Product { modules: Vec::new() }
        .with(identity::module())
        .with(operations::module())
        .with(files::module())
        .with(support::module())
        .with(content::module())
        .with(orders::module())
        .with(payments::module())
        .with(subscriptions::module())
        .with(webhooks::module())
        .with(mail::module())
        .with(dashboard::module())
        .with(console::module())
}

impl Product {
    /// Adds a module.
    pub fn with(mut self, module: Module) -> Self {
        self.modules.push(module);
        self
    }

    /// Checks the modules against each other and makes them those of this process.
    ///
    /// # Errors
    /// Every fault, with its cure.
    pub fn install(self) -> Result<&'static Modules, Vec<Fault>> {
        Modules::install(Some(Set { schema: PUBLIC, migrations: MIGRATIONS }), self.modules)
    }

    /// Runs the command line: `serve`, `worker`, `migrate` and the others.
    pub fn run(self) -> ExitCode {
        match self.install() {
            Ok(modules) => cli::Cli::parse().run(modules),
            Err(faults) => {
                eprintln!("mainstay: the modules do not fit together:");
                for fault in faults {
                    eprintln!("  {fault}");
                }
                ExitCode::FAILURE
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
