//! What every test stands on: servers, a database of its own, a house in process or as processes, and who calls it.

pub mod actor;
pub mod answer;
pub mod app;
pub mod database;
pub mod grpc;
pub mod people;
pub mod process;
pub mod proxy;
pub mod rest;
pub mod servers;

pub use actor::{Actor, Door, Endpoint};
pub use answer::Answer;
pub use app::TestApp;
pub use database::TestDatabase;
pub use process::Process;

use mainstay::{clock::Clock, contract::Method, contract::Policies};

/// Both ways in; every behaviour is asked of each.
pub const DOORS: [Door; 2] = [Door::Grpc, Door::Rest];

/// The policies of the contract.
pub fn policies() -> &'static Policies {
    Policies::load().expect("the contract holds")
}

/// Every method of the contract, by name.
pub fn methods() -> Vec<&'static Method> {
    let mut methods: Vec<_> = mainstay::contract::policy::services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| format!("/{}/{}", method.parent_service().full_name(), method.name()))
        .map(|path| policies().get(&path).expect("every method has a policy"))
        .collect();
    methods.sort_by(|a, b| a.name.cmp(&b.name));
    methods
}

/// The method called `Service.Method`.
pub fn method(name: &str) -> &'static Method {
    methods().into_iter().find(|method| method.name == name).unwrap_or_else(|| panic!("there is no method {name}"))
}

/// A text that no other test has.
pub fn unique() -> String {
    mainstay::id::new(Clock::default().now()).simple().to_string()
}
