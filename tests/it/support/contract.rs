//! The contract under test.

use std::sync::LazyLock;

use mainstay_kernel::{
    contract::{Method, Policies},
    module::Modules,
};

/// The product's modules.
pub(crate) fn modules() -> &'static Modules {
    static MODULES: LazyLock<&Modules> =
        LazyLock::new(|| mainstay::product().modules().unwrap_or_else(|faults| panic!("{faults:?}")));
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
