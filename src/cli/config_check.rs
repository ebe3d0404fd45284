//! `mainstay config check`.

use std::process::ExitCode;

use mainstay_kernel::{
    command::print,
    config::{ConfigError, Origin, Setting, Settings},
    http::listener::tls::Tls,
};

use crate::mail::open_templates;

/// Prints the values in effect, then all errors, also those of the files that the configuration names.
pub(crate) fn run(settings: &Settings) -> ExitCode {
    print(&table(settings.tentative().settings()));
    let errors = errors(settings);
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

/// Returns all errors, also those of the files that the configuration names.
pub(crate) fn errors(settings: &Settings) -> Vec<ConfigError> {
    let (mut errors, config) = (settings.errors.clone(), settings.tentative());
    if let Some(tls) = config.server.tls.clone() {
        errors.extend(Tls::open(tls).err().unwrap_or_default());
    }
    if let Err(error) = open_templates(config.section()) {
        errors.push(ConfigError { name: "MAIL_TEMPLATES".to_owned(), message: format!("{error:#}") });
    }
    errors
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
