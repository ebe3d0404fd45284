//! Shared test support: servers, a database per test, the app in process or as processes, and its callers.

pub(crate) mod actor;
pub(crate) mod answer;
pub(crate) mod app;
pub(crate) mod database;
pub(crate) mod eventually;
pub(crate) mod gateway;
pub(crate) mod grpc;
pub(crate) mod mail;
pub(crate) mod people;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod receiver;
pub(crate) mod rest;
pub(crate) mod s3;
pub(crate) mod servers;
mod sql;
pub(crate) mod webhook;

pub(crate) use actor::{Actor, Endpoint, Protocol};
pub(crate) use answer::Answer;
pub(crate) use app::TestApp;
pub(crate) use database::TestDatabase;
pub(crate) use eventually::eventually;
pub(crate) use process::{Process, Running};
pub(crate) use raw::Raw;

use std::sync::LazyLock;

use mainstay_kernel::{
    clock::Clock,
    contract::{Method, Policies},
    module::Modules,
};
use serde_json::{Value, json};

/// The protocols; every behavior is tested through each of them.
pub(crate) const PROTOCOLS: [Protocol; 3] = [Protocol::Grpc, Protocol::Rest, Protocol::Envoy];

/// The product's modules.
pub(crate) fn modules() -> &'static Modules {
    static MODULES: LazyLock<&Modules> =
        LazyLock::new(|| mainstay::product().install().unwrap_or_else(|faults| panic!("{faults:?}")));
    *MODULES
}

/// The policies of the contract.
pub(crate) fn policies() -> &'static Policies {
    &modules().contract.policies
}

/// Every method of the contract, sorted by name.
pub(crate) fn methods() -> Vec<&'static Method> {
    static METHODS: LazyLock<Vec<&Method>> = LazyLock::new(|| {
        let mut methods: Vec<_> = modules()
            .contract
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .map(|method| format!("/{}/{}", method.parent_service().full_name(), method.name()))
            .map(|path| policies().get(&path).expect("every method has a policy"))
            .collect();
        methods.sort_by(|a, b| a.name.cmp(&b.name));
        methods
    });
    METHODS.clone()
}

/// The method called `Service.Method`.
pub(crate) fn method(name: &str) -> &'static Method {
    methods().into_iter().find(|method| method.name == name).unwrap_or_else(|| panic!("there is no method {name}"))
}

/// An amount of euros, in cents.
pub(crate) fn euro(minor: impl Into<Value>) -> Value {
    json!({ "amountMinor": minor.into(), "currencyCode": "EUR" })
}

/// A string that no other test uses.
pub(crate) fn unique() -> String {
    mainstay_kernel::id::new(Clock::default().now()).simple().to_string()
}
