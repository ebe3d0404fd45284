//! `mainstay config check`.

use std::process::ExitCode;

use mainstay_kernel::{
    command::print,
    config::{ConfigError, Origin, Setting, Settings},
    http::listener::tls::Tls,
    module::Modules,
};

/// Prints the effective values, then all errors, including those in the files that the configuration names.
pub(crate) fn run(modules: &Modules, settings: &Settings) -> ExitCode {
    print(&table(settings.tentative().settings()));
    let errors = errors_of_server(modules, settings);
    if errors.is_empty() {
        print("\nThe configuration is usable.\n");
        return ExitCode::SUCCESS;
    }
    eprintln!("\nThe configuration is not usable:");
    for error in errors {
        eprintln!("  {error}");
    }
    ExitCode::FAILURE
}

/// Returns all errors, including those in the files that the configuration names.
pub(crate) fn errors_of_server(modules: &Modules, settings: &Settings) -> Vec<ConfigError> {
    let tls = settings.tentative().server.tls.clone().and_then(|tls| Tls::open(tls).err());
    [settings.errors.clone(), tls.unwrap_or_default(), modules.config_errors(settings.tentative())].concat()
}

/// Returns all errors except those in files that only a listener reads.
pub(crate) fn errors_of_worker(modules: &Modules, settings: &Settings) -> Vec<ConfigError> {
    [settings.errors.clone(), modules.config_errors(settings.tentative())].concat()
}

fn table(settings: &[Setting]) -> String {
    let widest = settings.iter().map(|setting| setting.shown.chars().count()).max().unwrap_or_default();
    let width = widest.clamp("VALUE".len(), 40);
    let mut table = format!("{:<28} {:<width$} {:<11} MEANING\n", "NAME", "VALUE", "SOURCE");
    for setting in settings {
        let value = if setting.shown.is_empty() { "-" } else { &setting.shown };
        let source = match setting.origin {
            Origin::Default => "default",
            Origin::Environment => "environment",
            Origin::File => "file",
        };
        let variable = setting.variable;
        table += &format!("{:<28} {value:<width$} {source:<11} {}\n", variable.name, variable.meaning);
    }
    table
}
