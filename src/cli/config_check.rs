//! `mainstay config check`.

use std::process::ExitCode;

use clap::Args;
use mainstay_kernel::{
    command::print,
    config::{Config, ConfigError, Origin, Requirement, Setting, Settings, Verdict},
    http::listener::tls::Tls,
    module::Modules,
};

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Instead of the variables, list what a server needs before it serves real users, and fail if something is missing.
    #[arg(long)]
    production: bool,
}

impl Check {
    /// Prints the values in effect or the checklist, then all errors, also those of the files that the configuration names.
    pub(crate) fn run(self, modules: &Modules, settings: &Settings) -> anyhow::Result<ExitCode> {
        let config = settings.tentative();
        let missed = if self.production {
            let (list, missed) = checklist(modules.requirements(), config);
            print(&list)?;
            missed
        } else {
            print(&table(config.settings()))?;
            0
        };
        let errors = errors_of_server(modules, settings);
        if !errors.is_empty() {
            eprintln!("\nThe configuration is not usable:");
            for error in errors {
                eprintln!("  {error}");
            }
            return Ok(ExitCode::FAILURE);
        }
        if missed > 0 {
            eprintln!("\nNot ready for production; requirements that are not met: {missed}.");
            return Ok(ExitCode::FAILURE);
        }
        print("\nThe configuration is usable.\n")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns a line per requirement, and how many are not met. Several modules may declare parts of one requirement, such as
/// each payment gateway that it moves money: the first part that is not met decides.
fn checklist(requirements: &[Requirement], config: &Config) -> (String, usize) {
    let mut verdicts: Vec<(&str, &str, Verdict)> = Vec::new();
    for Requirement { name, text, check } in requirements {
        match verdicts.iter_mut().find(|(other, ..)| other == name) {
            Some((.., verdict)) if *verdict == Verdict::Met => *verdict = check(config),
            Some(_) => {}
            None => verdicts.push((name, text, check(config))),
        }
    }
    let mut missed = 0;
    let mut list = String::new();
    for (name, text, verdict) in verdicts {
        let (mark, reason) = match verdict {
            Verdict::Met => ("ok", ""),
            Verdict::Unknown(reason) => ("look", reason),
            Verdict::Missed(reason) => {
                missed += 1;
                ("FAIL", reason)
            }
        };
        let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        list += &format!("{mark:<4} {name:<17} {text}{reason}\n");
    }
    (list, missed)
}

/// Returns all errors, including those in the files that the configuration names.
pub(crate) fn errors_of_server(modules: &Modules, settings: &Settings) -> Vec<ConfigError> {
    let tls = settings.tentative().server.tls.clone().and_then(|tls| Tls::open(tls, &modules.contract.policies).err());
    [settings.errors.clone(), tls.unwrap_or_default(), modules.config_errors(settings.tentative())].concat()
}

/// Returns all errors except those in files that only a listener reads.
pub(crate) fn errors_of_worker(modules: &Modules, settings: &Settings) -> Vec<ConfigError> {
    [settings.errors.clone(), modules.config_errors(settings.tentative())].concat()
}

fn table(settings: &[Setting]) -> String {
    let widest = settings.iter().map(|setting| setting.shown.chars().count()).max().unwrap_or_default();
    let width = widest.clamp("VALUE".len(), 40);
    let mut table = format!("{:<32} {:<width$} SOURCE\n", "NAME", "VALUE");
    for setting in settings {
        let value = if setting.shown.is_empty() { "-" } else { &setting.shown };
        let source = match setting.origin {
            Origin::Default => "default",
            Origin::Environment => "environment",
            Origin::File => "file",
        };
        let variable = setting.variable;
        table += &format!("{:<32} {value:<width$} {source}\n", variable.name);
        table.extend(lines(variable.meaning).map(|line| format!("    {line}\n")));
    }
    table
}

/// Divides a text into lines of at most 96 characters, at its spaces.
fn lines(text: &str) -> impl Iterator<Item = String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => word.clone_into(line),
            Some(line) if line.chars().count() + word.chars().count() < 96 => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter()
}
