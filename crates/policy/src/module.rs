//! The modules of a descriptor set, with their declared scopes, grant sets and events.

use std::collections::BTreeMap;

use prost_reflect::DescriptorPool;

use super::{DeclaredScope, Grant, Holder, Reach, Role, Scope, Title, option, pb};

const MODULE: &str = "mainstay.policy.v1.module";
const SHARED: &str = "mainstay.policy.v1.shared";

#[derive(Debug, Default)]
pub(super) struct Modules {
    /// By package, without its version.
    modules: BTreeMap<String, Module>,
    shared: BTreeMap<String, GrantSet>,
    scopes: BTreeMap<String, DeclaredScope>,
    pub(super) events: BTreeMap<String, DeclaredEvent>,
}

#[derive(Debug)]
struct Module {
    name: String,
    file: String,
    grant_sets: BTreeMap<String, GrantSet>,
}

/// A kind of event as its module declares it.
#[derive(Debug, Clone)]
pub struct DeclaredEvent {
    /// The qualified name, such as `support.ticket.created`.
    pub name: String,
    /// The occasion of its publication, in one sentence.
    pub summary: String,
    /// The scope that permits a caller to read the resource.
    pub scope: Scope,
}

#[derive(Debug)]
pub(super) struct GrantSet {
    pub(super) public: bool,
    /// The roles that may call, each with its reach and without the scope, which the method names. In a public set, a
    /// grant extends the reach of its role.
    pub(super) grants: Vec<Grant>,
}

impl Modules {
    /// Reads the options of all files, and returns every fault with the name of its file.
    pub(super) fn read(pool: &DescriptorPool) -> (Self, Vec<String>) {
        let (mut all, mut faults) = (Self::default(), Vec::new());
        // Shared sets come first, because a module must not redefine one.
        for file in pool.files() {
            let mut fault = |text: String| faults.push(format!("{}: {text}", file.name()));
            let shared: pb::SharedGrantSets = option(&file.options(), SHARED).unwrap_or_default();
            for raw in &shared.grant_sets {
                declare(&mut all.shared, raw, &mut fault);
            }
        }
        for file in pool.files() {
            let mut fault = |text: String| faults.push(format!("{}: {text}", file.name()));
            if let Some(raw) = option(&file.options(), MODULE) {
                all.add(file.package_name(), file.name(), &raw, &mut fault);
            }
        }
        // Last, because a module may name a scope of another one.
        for event in all.events.values().filter(|event| !all.scopes.contains_key(event.scope.as_str())) {
            let DeclaredEvent { name, scope, .. } = event;
            faults.push(format!(
                "event {name:?} needs the scope {:?}, which no module declares: name the one that permits to read its resource",
                scope.as_str()
            ));
        }
        (all, faults)
    }

    fn add(&mut self, package: &str, file: &str, raw: &pb::Module, fault: &mut impl FnMut(String)) {
        let name = &raw.name;
        if !is_word(name) {
            fault(format!("the module's name {name:?} must be in lower_snake_case"));
        }
        if let Some(other) = self.modules.values().find(|module| module.name == *name) {
            fault(format!("there is already a module {name:?}, in {}: rename one of them", other.file));
        }
        for scope in &raw.scopes {
            self.declare_scope(name, scope, fault);
        }
        for event in &raw.events {
            self.declare_event(name, event, fault);
        }
        let mut grant_sets = BTreeMap::new();
        for set in &raw.grant_sets {
            if self.shared.contains_key(&set.name) {
                fault(format!("grant set {:?} is shared by all modules: give this one another name", set.name));
            }
            declare(&mut grant_sets, set, fault);
        }
        let module = Module { name: name.clone(), file: file.to_owned(), grant_sets };
        if let Some(other) = self.modules.insert(unversioned(package).to_owned(), module) {
            fault(format!("package {package} already belongs to the module of {}: remove one option", other.file));
        }
    }

    fn declare_scope(&mut self, module: &str, raw: &pb::Scope, fault: &mut impl FnMut(String)) {
        let pb::Scope { name, summary, .. } = raw;
        let holders: Vec<_> = raw.holders().collect();
        check_qualified("scope", name, module, fault);
        if holders.len() < raw.holders.len() || holders.contains(&Holder::Unspecified) {
            fault(format!("scope {name:?} has an unknown holder: name roles of mainstay.policy.v1.Holder"));
        }
        if holders.iter().enumerate().any(|(index, holder)| holders[..index].contains(holder)) {
            fault(format!("scope {name:?} has a holder twice: remove one"));
        }
        if summary.is_empty() {
            fault(format!("scope {name:?} has no summary: add one sentence about what it permits"));
        }
        let pb::Title { en, de } = raw.title.clone().unwrap_or_default();
        let title = Title { en, de };
        let declared = DeclaredScope { name: name.as_str().into(), summary: summary.clone(), title, holders };
        if self.scopes.insert(name.clone(), declared).is_some() {
            fault(format!("scope {name:?} is declared twice: remove one declaration"));
        }
    }

    fn declare_event(&mut self, module: &str, raw: &pb::EventKind, fault: &mut impl FnMut(String)) {
        let pb::EventKind { name, summary, scope } = raw;
        check_qualified("event", name, module, fault);
        if summary.is_empty() {
            fault(format!("event {name:?} has no summary: add one sentence about when it is published"));
        }
        let declared = DeclaredEvent { name: name.clone(), summary: summary.clone(), scope: scope.as_str().into() };
        if self.events.insert(name.clone(), declared).is_some() {
            fault(format!("event {name:?} is declared twice: remove one declaration"));
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.modules.values().map(|module| &*module.name)
    }

    pub(super) fn scopes(&self) -> impl Iterator<Item = &DeclaredScope> + Clone {
        self.scopes.values()
    }

    pub(super) fn scope_names(&self) -> String {
        list(self.scopes.keys())
    }

    pub(super) fn scope(&self, name: &str) -> Option<Scope> {
        self.scopes.get(name).map(|declared| declared.name.clone())
    }

    pub(super) fn grant_set(&self, package: &str, name: &str) -> Result<&GrantSet, String> {
        let module = self.modules.get(unversioned(package)).ok_or_else(|| {
            format!("package {package} belongs to no module: give it a module.proto with the option {MODULE}")
        })?;
        let names = || list(module.grant_sets.keys().chain(self.shared.keys()));
        if name.is_empty() {
            return Err(format!("no access: name one of the grant sets {}", names()));
        }
        module.grant_sets.get(name).or_else(|| self.shared.get(name)).ok_or_else(|| {
            format!(
                "there is no grant set {name:?}, only {}: name one of them, or declare it in {}",
                names(),
                module.file
            )
        })
    }
}

fn check_qualified(what: &str, name: &str, module: &str, fault: &mut impl FnMut(String)) {
    let own = name.strip_prefix(module).and_then(|rest| rest.strip_prefix('.'));
    if !own.is_some_and(|own| own.split('.').all(is_word)) {
        fault(format!("{what} {name:?} must begin with \"{module}.\", and have words in lower_snake_case after it"));
    }
}

fn declare(sets: &mut BTreeMap<String, GrantSet>, raw: &pb::GrantSet, fault: &mut impl FnMut(String)) {
    let name = &raw.name;
    let grants: Vec<_> = raw.grants.iter().map(Grant::without_scope).collect();
    if !is_word(name) {
        fault(format!("the name of grant set {name:?} must be in lower_snake_case"));
    }
    if !raw.public && grants.is_empty() {
        fault(format!("grant set {name:?} must have grants, or be public"));
    }
    for (index, grant) in grants.iter().enumerate() {
        let role = grant.role;
        if role == Role::Unspecified || grant.reach == Reach::Unspecified {
            fault(format!("grant set {name:?} has a grant without role or reach: set both"));
        } else if grants[..index].iter().any(|earlier| earlier.role == role) {
            fault(format!("grant set {name:?} grants {} twice: remove one", role.as_str_name()));
        } else if role == Role::Service && grant.reach_without_scope.is_some_and(|reach| reach != Reach::OwnUser) {
            fault(format!(
                "grant set {name:?} lets services reach more than their own without a scope: reduce reach_without_scope"
            ));
        }
    }
    if sets.insert(name.clone(), GrantSet { public: raw.public, grants }).is_some() {
        fault(format!("grant set {name:?} is declared twice: remove one declaration"));
    }
}

/// Returns the package without a version as its last part. All versions of a package belong to one module.
pub(super) fn unversioned(package: &str) -> &str {
    match package.rsplit_once('.') {
        Some((base, last)) if last.strip_prefix('v').is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit())) => {
            base
        }
        _ => package,
    }
}

fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

pub(super) fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}
