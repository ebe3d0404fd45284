//! Sample data for a new private database: people, tickets, orders, payments and more of the last 90 days.
//!
//! It is written through the operations of the other modules, with the permits that their policies grant, so it obeys
//! the same rules as callers' requests. It is never written to a database given by `DATABASE_URL`.

mod command;
pub mod model;
pub mod ops;
mod process;
mod store;

use mainstay_kernel::module::Module;

pub(crate) fn module() -> Module {
    Module::new("sample", crate::proto::DESCRIPTOR_SET)
        .start(|process| Box::pin(process::start(process)))
        .command::<command::Sample>()
}
