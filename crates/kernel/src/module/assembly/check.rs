//! Checks of the module configuration, which prevent the start if it is invalid.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Fault;
use crate::{
    config::{Config, Retention},
    contract::{Contract, Policies, policy::DeclaredScope},
    events::HandlerEntry,
    http::{middleware::router, pages::own},
    module::Module,
    retention::Retentions,
};

pub(super) fn modules(modules: &[Module], commands: &[String]) -> Vec<Fault> {
    let checks = [
        check(modules),
        check_needs(modules),
        check_partitioned(modules),
        check_retentions(modules),
        check_migrations(modules),
        check_commands(modules, commands),
        check_kinds(modules),
    ];
    checks.concat()
}

pub(super) fn against_contract(modules: &[Module], contract: &Contract) -> Vec<Fault> {
    let checks = [
        check_services(contract, modules),
        check_names(contract, modules),
        check_handlers(modules, &contract.policies),
        check_titles(&contract.policies),
        check_pages(contract, modules),
    ];
    checks.concat()
}

fn check_services(contract: &Contract, modules: &[Module]) -> Vec<Fault> {
    let served: HashSet<_> = modules.iter().flat_map(|module| &module.service_names).copied().collect();
    let missing = contract.services().filter(|service| !served.contains(service.full_name()));
    missing
        .map(|service| Fault(format!("no module serves {}: add it with `Module::service`", service.full_name())))
        .collect()
}

/// Checks that each module with services has the name that its contract declares. Its database schema has the module's
/// name, and its scopes and events begin with the declared one.
fn check_names(contract: &Contract, modules: &[Module]) -> Vec<Fault> {
    let declared: Vec<_> = contract.policies.module_names().collect();
    let served = modules.iter().filter(|module| !module.service_names.is_empty());
    let misnamed = served.filter(|module| !declared.contains(&module.name));
    misnamed
        .map(|module| {
            Fault(format!(
                "no module.proto declares the module {}, only {}: give it the same name there and in `Module::new`",
                module.name,
                declared.join(", ")
            ))
        })
        .collect()
}

/// Checks that each handled kind of event is declared, and has at most one handler per module. Handlers are looked up
/// by module and kind.
pub(super) fn check_handlers(modules: &[Module], policies: &Policies) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut distinct = HashSet::new();
    for entry in modules.iter().flat_map(|module| &module.registered.handlers) {
        let HandlerEntry { module, kind, .. } = entry;
        if policies.event(kind).is_none() {
            faults.push(Fault(format!(
                "module {module} handles the event {kind}, which no module declares, only {}: handle one of them, or \
                 declare it in the module.proto of the module that publishes it",
                policies.event_names()
            )));
        }
        if !distinct.insert((module, kind)) {
            faults.push(Fault(format!("module {module} handles the event {kind} twice: do both in one handler")));
        }
    }
    faults
}

/// Checks that each scope has a title in each language of the pages. People are asked for scopes by their titles.
pub(super) fn check_titles(policies: &Policies) -> Vec<Fault> {
    let untitled = policies.scopes().filter(|scope| scope.title.en.is_empty() || scope.title.de.is_empty());
    let fault = |scope: &DeclaredScope| {
        let name = &scope.name;
        Fault(format!("the scope {name} has no title in English and German: add `title: {{en: \"…\" de: \"…\"}}`"))
    };
    untitled.map(fault).collect()
}

/// Checks that each page has a unique path, and that no route of the contract shadows a page.
fn check_pages(contract: &Contract, modules: &[Module]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let of_server = own::paths().map(|path| (shape(path), (path, "of every server".to_owned())));
    let mut owners: BTreeMap<_, _> = of_server.collect();
    for (module, path) in
        modules.iter().flat_map(|module| module.registered.pages.iter().map(move |(path, _)| (module, *path)))
    {
        let of_module = format!("of the module {}", module.name);
        if let Some((_, owner)) = owners.insert(shape(path), (path, of_module)) {
            let name = module.name;
            faults.push(Fault(format!(
                "the module {name} registers the page {path}, which is one {owner}: give it another path"
            )));
        }
    }
    for route in contract.rules.routes() {
        let template = route.template.to_string();
        if let Some((path, owner)) = owners.values().find(|(path, _)| router::hides(&template, path)) {
            faults.push(Fault(format!(
                "{}: {route} collides with the page {path} {owner}: begin the path with a segment that is no page's, such \
                 as /api/v1{template}",
                route.method.full_name()
            )));
        }
    }
    faults
}

/// Returns a page's path without the names of its variables, which the router does not distinguish.
fn shape(path: &str) -> String {
    let segments = path.split('/').map(|segment| match segment {
        rest if rest.starts_with("{*") => "{*}",
        variable if variable.starts_with('{') => "{}",
        literal => literal,
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Checks that each module declares its migrations or their absence. A missing declaration would only show when the
/// first request finds no tables.
fn check_migrations(modules: &[Module]) -> Vec<Fault> {
    let forgotten = modules.iter().filter(|module| module.migrations.is_none() && !module.is_without_migrations);
    forgotten
        .map(|module| {
            Fault(format!(
                "module {} registers no migrations: add its folder with `Module::migrations`, or call \
                 `Module::without_migrations` if it has no tables",
                module.name
            ))
        })
        .collect()
}

fn check_commands(modules: &[Module], program: &[String]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut owners: HashMap<_, _> = program.iter().map(|name| (name.as_str(), "the program".to_owned())).collect();
    for (module, command) in
        modules.iter().flat_map(|module| module.registered.commands.iter().map(move |one| (module, one)))
    {
        if let Some(owner) = owners.insert(command.name, format!("the module {}", module.name)) {
            faults.push(Fault(format!(
                "the module {} registers the command {}, which {owner} has already: give it another `Command::NAME`",
                module.name, command.name
            )));
        }
    }
    faults
}

/// Checks the names of the kinds that modules declare. Such a name goes into tables, metrics and the API for good.
fn check_kinds(modules: &[Module]) -> Vec<Fault> {
    let faults = |module: &Module| module.kinds.iter().filter_map(|kind| kind.fault(module.name)).collect::<Vec<_>>();
    modules.iter().flat_map(faults).map(Fault).collect()
}

/// Checks the registrations that do not depend on a contract.
fn check(modules: &[Module]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut names = HashSet::new();
    for module in modules {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if module.name.is_empty() || !module.name.chars().all(plain) {
            let name = module.name;
            faults.push(Fault(format!("module {name:?}: use lower-case letters, digits and _ in its name")));
        }
        if !names.insert(module.name) {
            let name = module.name;
            faults.push(Fault(format!(
                "two modules are named {name}: add it once, or rename one in its `Module::new` and its contract"
            )));
        }
    }
    let authenticators = modules.iter().filter(|module| module.authenticator.is_some()).count();
    if authenticators != 1 {
        faults.push(Fault(format!(
            "{authenticators} modules register an authenticator: register exactly one with `Module::authenticator`"
        )));
    }
    let names = |module: &Module| {
        let rows = module.registered.rows.iter().map(|rows| rows.name);
        module.registered.jobs.iter().map(|kind| kind.name).chain(rows).collect::<Vec<_>>()
    };
    let jobs = modules.iter().flat_map(names);
    let tasks = modules.iter().flat_map(|module| module.registered.tasks.iter().map(|task| task.name));
    for (what, names) in [("job", jobs.collect::<Vec<_>>()), ("scheduled task", tasks.collect())] {
        let mut distinct = HashSet::new();
        for name in names.into_iter().filter(|name| !distinct.insert(*name)) {
            faults.push(Fault(format!("the {what} {name} is registered twice: begin its name with its module's")));
        }
    }
    faults
}

pub(super) fn check_needs(modules: &[Module]) -> Vec<Fault> {
    let needed = modules.iter().flat_map(|module| module.needs.iter().map(move |needed| (module.name, *needed)));
    let missing = needed.filter(|(_, needed)| modules.iter().all(|module| module.name != *needed));
    missing
        .map(|(module, needed)| {
            Fault(format!("the module {module} needs the module {needed}: keep {needed}, or remove {module}, too"))
        })
        .collect()
}

/// Checks that each table is partitioned by one module only, because two could disagree about its retention.
pub(super) fn check_partitioned(modules: &[Module]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut owners = HashMap::new();
    for (module, table) in modules.iter().flat_map(|module| module.partitioned.iter().map(move |table| (module, table)))
    {
        if let Some(owner) = owners.insert(table.table(), module.name) {
            faults.push(Fault(format!(
                "the table {} is partitioned twice, by the modules {owner} and {}: register it once, in the module whose \
                 migration creates it",
                table.table(),
                module.name
            )));
        }
    }
    faults
}

/// Checks that the variable of a retention is declared once, because two declarations could disagree about its bounds.
fn check_retentions(modules: &[Module]) -> Vec<Fault> {
    let of_kernel = Config::variables(&[], Retentions::new([]).all()).into_iter();
    let mut owners: HashMap<_, _> = of_kernel.map(|variable| (variable.name, "the kernel".to_owned())).collect();
    for module in modules {
        let variables = module.registered.sections.iter().flat_map(|section| section.variables);
        owners.extend(variables.map(|variable| (variable.name, format!("the module {}", module.name))));
    }
    let mut faults = Vec::new();
    for module in modules {
        for variable in module.retentions.iter().filter_map(Retention::variable) {
            if let Some(owner) = owners.insert(variable, format!("the module {}", module.name)) {
                faults.push(Fault(format!(
                    "the module {} declares the retention {variable}, which {owner} declares already: give it another name",
                    module.name
                )));
            }
        }
    }
    faults
}
