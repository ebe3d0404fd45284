//! The product: its modules, and the modules that a team adds.

use std::process::ExitCode;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use mainstay_kernel::{
    database::migrations::{PUBLIC, Set},
    module::{Fault, Module, Modules},
};

use crate::{
    audit, cli, console, content, dashboard, files, identity, mail, operations, orders, payments, sample,
    subscriptions, support, webhooks,
};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The modules of a server.
#[derive(Debug)]
#[must_use = "a product does nothing until it runs"]
pub struct Product {
    modules: Vec<Module>,
}

/// Returns Mainstay's own modules. A module may depend on the modules before it.
pub fn product() -> Product {
    let modules = [
        identity::module(),
        operations::module(),
        files::module(),
        support::module(),
        content::module(),
        orders::module(),
        payments::module(),
        subscriptions::module(),
        webhooks::module(),
        mail::module(),
        dashboard::module(),
        audit::module(),
        console::module(),
        sample::module(),
    ];
    // Their tables are created by MIGRATIONS.
    Product { modules: modules.map(Module::without_migrations).into() }
}

impl Product {
    /// Adds a module.
    pub fn with(mut self, module: Module) -> Self {
        self.modules.push(module);
        self
    }

    /// Checks the modules against each other.
    ///
    /// # Errors
    /// Every fault, with its remedy.
    pub fn modules(self) -> Result<&'static Modules, Vec<Fault>> {
        let migrations = Set { schema: PUBLIC, migrations: MIGRATIONS };
        Modules::new(Some(migrations), &cli::command_names(), self.modules)
    }

    /// Runs the command line: `serve`, `worker`, `migrate` and the others.
    pub fn run(self) -> ExitCode {
        match self.modules() {
            Ok(modules) => cli::run(modules),
            Err(faults) => {
                eprintln!("mainstay: invalid module configuration:");
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
