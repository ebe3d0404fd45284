//! The access matrix of a contract: what each built-in role reaches by each method, and the scope that it needs.

use std::collections::BTreeMap;

use mainstay_kernel::contract::{
    Policies,
    policy::{Access, BuiltInRole, Method, Reach, Role},
};
use prost_reflect::DescriptorPool;
use serde::{Deserialize, Serialize};

/// The column of services. Their reach is that of a key with the scope of the method.
const SERVICE: &str = "service";
/// The column of callers without credentials.
pub(super) const ANYONE: &str = "anyone";

/// The access matrix of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccessMatrix {
    /// The scopes, by name.
    pub(crate) scopes: BTreeMap<String, ScopeRow>,
    /// The methods, by `package.Service/Method`.
    pub(crate) methods: BTreeMap<String, MethodRow>,
}

/// A scope with the built-in roles that hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScopeRow {
    /// The permission in one sentence.
    pub(crate) summary: String,
    /// The name for people, in English; empty in a matrix or a descriptor set of an earlier version.
    #[serde(default)]
    pub(crate) title: String,
    /// The names of the roles, in the order of the columns.
    pub(crate) holders: Vec<String>,
}

/// A method with the reach of each caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MethodRow {
    /// The scope that the caller needs; empty if none.
    pub(crate) scope: String,
    /// The scope that callers who reach everything need instead; empty if it is the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) scope_for_any: String,
    /// The resources that each caller reaches, by the name of the column. A caller without an entry is refused.
    pub(crate) reach: BTreeMap<String, String>,
}

impl AccessMatrix {
    /// Returns the matrix of these policies.
    pub(crate) fn of(policies: &Policies) -> Self {
        let scopes = policies.scopes().map(|scope| {
            let holds = |role: &BuiltInRole| policies.scopes_of(*role).contains(&scope.name);
            let holders = BuiltInRole::all().filter(holds).map(|role| role.full_name().to_owned()).collect();
            let (summary, title) = (scope.summary.clone(), scope.title.en.clone());
            (scope.name.to_string(), ScopeRow { summary, title, holders })
        });
        let methods = policies.iter().map(|method| {
            let name = method.path.trim_start_matches('/').to_owned();
            (name, MethodRow::of(policies, method))
        });
        Self { scopes: scopes.collect(), methods: methods.collect() }
    }

    /// Reads a matrix that was saved as JSON, or that of a descriptor set, such as the output of `mainstay descriptors`.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.trim_ascii_start().starts_with(b"{") {
            return serde_json::from_slice(bytes).map_err(|error| format!("not an access matrix: {error}"));
        }
        let pool = DescriptorPool::decode(bytes)
            .map_err(|error| format!("neither an access matrix in JSON nor a descriptor set: {error}"))?;
        let policies = Policies::read(&pool).map_err(|faults| faults.join("\n"))?;
        if policies.iter().next().is_none() {
            return Err("a descriptor set without methods".to_owned());
        }
        Ok(Self::of(&policies))
    }

    /// Returns the names of the columns: those of the built-in roles, then the services.
    pub(crate) fn columns() -> impl Iterator<Item = &'static str> {
        BuiltInRole::all().map(BuiltInRole::full_name).chain([SERVICE])
    }
}

impl MethodRow {
    fn of(policies: &Policies, method: &Method) -> Self {
        let mut reach = BTreeMap::new();
        if method.access == Access::Public {
            reach.insert(ANYONE.to_owned(), "public".to_owned());
        }
        for role in BuiltInRole::all() {
            let granted = method.grant(role.role()).and_then(|grant| grant.reach_with(&policies.scopes_of(role)).ok());
            if let Some(granted) = granted {
                reach.insert(role.full_name().to_owned(), granted.words().to_owned());
            }
        }
        if let Some(grant) = method.grant(Role::Service) {
            reach.insert(SERVICE.to_owned(), grant.reach.words().to_owned());
        }
        // A method has one scope, or another one for the grants that reach everything.
        let scope_where = |is_any: bool| {
            let mut grants = method.grants.iter().filter(|grant| (grant.reach == Reach::Any) == is_any);
            grants.find_map(|grant| grant.scope.as_ref()).map(ToString::to_string)
        };
        let any = scope_where(true);
        let scope = scope_where(false).or_else(|| any.clone()).unwrap_or_default();
        let scope_for_any = any.filter(|any| *any != scope).unwrap_or_default();
        Self { scope, scope_for_any, reach }
    }
}
