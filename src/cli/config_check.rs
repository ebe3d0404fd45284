//! `mainstay config check`.

use std::process::ExitCode;

use mainstay_kernel::{
    config::{Fault, Origin, Setting, Settings},
    http::listener::tls::Tls,
};

use crate::{cli::print, mail::open_templates};

/// Prints the values in effect, then all faults, also those of the files that the configuration names.
pub(crate) fn run(settings: &Settings) -> ExitCode {
    let (mut faults, config) = (settings.faults.clone(), settings.tentative());
    print(&table(config.settings()));
    if let Some(tls) = config.server.tls.clone() {
        faults.extend(Tls::open(tls).err().unwrap_or_default());
    }
    if let Err(error) = open_templates(config.section()) {
        faults.push(Fault { name: "MAIL_TEMPLATES".to_owned(), message: format!("{error:#}") });
    }
    if faults.is_empty() {
        print("\nThe configuration is usable.\n");
        return ExitCode::SUCCESS;
    }
    eprintln!("\nThe configuration is not usable:");
    for fault in faults {
        eprintln!("  {fault}");
    }
    ExitCode::FAILURE
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
