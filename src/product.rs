//! The product: its modules, those that a team removes, and those that it adds.

mod contract;

use std::process::ExitCode;

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use mainstay_kernel::{
    database::migrations::{PUBLIC, Set},
    module::{About, Fault, Module, Modules},
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
    /// Mainstay's own modules.
    own: Vec<Module>,
    /// The modules that a team adds.
    added: Vec<Module>,
    /// Mainstay's own modules whose services are not served.
    removed: Vec<&'static str>,
    about: About,
    faults: Vec<Fault>,
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
    Product {
        own: modules.map(Module::without_migrations).into(),
        added: Vec::new(),
        removed: Vec::new(),
        about: About::MAINSTAY,
        faults: Vec::new(),
    }
}

/// Returns the base of a team's program: users, sessions and service keys (`identity`), and long-running operations
/// (`operations`). Beside them are modules without services: `mail`, `files` for the pictures of users, and `audit`, which
/// chains, exports and removes the entries that the kernel writes.
pub fn kernel_only() -> Product {
    const SERVED: [&str; 3] = ["identity", "operations", "mail"];
    const UNSERVED: [&str; 2] = ["files", "audit"];
    let mut product = product();
    product.removed.extend(product.own.iter().map(Module::name).filter(|name| !SERVED.contains(name)));
    let kept = product.own.into_iter().filter_map(|module| match module.name() {
        name if SERVED.contains(&name) => Some(module),
        name if UNSERVED.contains(&name) => Some(module.without_services()),
        _ => None,
    });
    product.own = kept.collect();
    product
}

impl Product {
    /// Adds a module.
    pub fn with(mut self, module: Module) -> Self {
        self.added.push(module);
        self
    }

    /// Removes one of Mainstay's own modules: its routes, jobs, pages, commands, variables, scopes, reasons and events. Its
    /// tables remain, without use. Modules that need it must be removed, too; the start names them. The sample data of a
    /// private database needs all modules, and is removed with any of them.
    pub fn without(mut self, module: &'static str) -> Self {
        if !self.own.iter().any(|own| own.name() == module) {
            let names = self.own.iter().map(Module::name).collect::<Vec<_>>().join(", ");
            self.faults.push(Fault(format!("the program has no module {module} to remove, only {names}")));
        }
        self.own.retain(|own| own.name() != module && own.name() != "sample");
        self.removed.push(module);
        self
    }

    /// Names and describes the program, in place of Mainstay.
    pub fn about(mut self, about: About) -> Self {
        self.about = about;
        self
    }

    /// Checks the modules against each other.
    ///
    /// # Errors
    /// Every fault, with its remedy.
    pub fn modules(self) -> Result<&'static Modules, Vec<Fault>> {
        let Self { mut own, added, removed, about, faults } = self;
        if !removed.is_empty() {
            // It lives as long as the modules, until the process ends.
            let contract: &'static [u8] = contract::without(crate::proto::DESCRIPTOR_SET, &removed).leak();
            own = own.into_iter().map(|module| module.descriptors(contract)).collect();
        }
        own.extend(added);
        let migrations = Set { schema: PUBLIC, migrations: MIGRATIONS };
        match (Modules::new(about, Some(migrations), &cli::command_names(), own), faults.is_empty()) {
            (Ok(modules), true) => Ok(modules),
            (modules, _) => Err([faults, modules.err().unwrap_or_default()].concat()),
        }
    }

    /// Runs the command line: `serve`, `worker`, `migrate` and the others.
    pub fn run(self) -> ExitCode {
        let program = self.about.program;
        match self.modules() {
            Ok(modules) => cli::run(modules),
            Err(faults) => {
                eprintln!("{program}: invalid module configuration:");
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
