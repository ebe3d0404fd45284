//! The configuration of the whole product.

mod masks;
mod openapi;
mod reasons;
mod validation;

use std::collections::BTreeSet;

use mainstay_kernel::{
    config::{Fault, Source},
    module::Modules,
};

fn modules() -> &'static Modules {
    crate::product().install().expect("they fit together")
}

fn faults(values: &[(&str, &str)]) -> Vec<Fault> {
    modules().config(Source::of(values.iter().copied())).err().unwrap_or_default()
}

fn names(values: &[(&str, &str)]) -> Vec<String> {
    faults(values).into_iter().map(|fault| fault.name).collect()
}

#[test]
fn the_defaults_are_good() {
    assert!(faults(&[]).is_empty());
}

#[test]
fn every_fault_is_named_at_once() {
    let bad = [
        ("LISTEN_ADDR", "everywhere"),
        ("METRICS_LISTEN_ADDR", "everywhere"),
        ("DATABASE_POOL_WAIT", "soon"),
        ("MAX_REQUEST_BYTES", "1 kilo"),
        ("RATE_LIMIT_READ", "often"),
        ("SECRET_KEY", "hunter2"),
        ("WEBHOOK_SECRETS_STRIPE", "whsec_of_some_length,hunter2"),
        ("WEBHOOK_SECRETS_STANDARD", "whsec_hunter2"),
        ("WEBHOOK_SECRETS_GITHUB", "hunter2"),
    ];
    let found: BTreeSet<_> = names(&bad).into_iter().collect();
    let expected: BTreeSet<_> = bad.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, expected);
}

#[test]
fn there_is_room_for_one_of_each() {
    let none = [
        "MAX_IN_FLIGHT",
        "DATABASE_POOL_SIZE",
        "JOBS_CONCURRENCY",
        "MAX_UPLOADS",
        "IMPORT_CONCURRENCY",
        "WEBHOOK_CONCURRENCY",
        "MAIL_CONCURRENCY",
    ];
    assert_eq!(names(&none.map(|name| (name, "0"))), none);
}

#[test]
fn no_fault_shows_a_secret() {
    let shown = faults(&[
        ("SECRET_KEY", "hunter2"),
        ("DATABASE_URL", "postgres://mainstay:hunter2@"),
        ("WEBHOOK_SECRETS_STRIPE", "hunter2"),
        ("SMTP_URL", "smtp://u:hunter2@mail.example"),
    ]);
    assert!(!shown.is_empty());
    assert!(shown.iter().all(|fault| !fault.to_string().contains("hunter2")), "{shown:?}");
}

#[test]
fn a_database_of_ones_own_needs_what_instances_share() {
    let url = ("DATABASE_URL", "postgres://localhost/mainstay");
    let key = ("SECRET_KEY", "dGVzdHMgc2VhbCB0aGVpciBrZXlzIHdpdGggdGhpcyE=");
    assert_eq!(names(&[url]), ["REDIS_URL", "SECRET_KEY"]);
    assert_eq!(names(&[url, key, ("SINGLE_INSTANCE", "true")]), [""; 0]);
    assert_eq!(names(&[url, key, ("REDIS_URL", "redis://localhost")]), [""; 0]);
}

#[test]
fn the_documentation_has_every_variable() {
    let document = include_str!("../../docs/configuration.md");
    let rows: Vec<_> =
        document.lines().filter(|line| line.starts_with("| `") && line.matches(" |").count() == 3).collect();
    for variable in modules().variables() {
        let row = rows.iter().find(|row| row.starts_with(&format!("| `{}` |", variable.name)));
        let row = row.unwrap_or_else(|| panic!("{} is not in docs/configuration.md", variable.name));
        assert!(row.contains(variable.default) && row.contains(variable.meaning), "{row} is not {variable:?}");
        assert_eq!(row.contains("(secret)"), variable.secret, "{row}");
    }
    assert_eq!(rows.len(), modules().variables().len(), "docs/configuration.md has a variable that does not exist");
}

#[test]
fn what_belongs_together_is_demanded_together() {
    let texts = |values: &[(&str, &str)]| faults(values).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&[("TLS_CERT", "a.pem")]), ["TLS_KEY: needed beside TLS_CERT"]);
    assert_eq!(texts(&[("TLS_KEY", "a.pem")]), ["TLS_CERT: needed beside TLS_KEY"]);
    assert_eq!(texts(&[("TLS_CLIENT_CA", "a.pem")]), ["TLS_CERT: needed beside TLS_CLIENT_CA"]);
    let alone = texts(&[("TLS_PRINCIPALS", "spiffe://x/a=orders.read, spiffe://x/a=orders.read")]);
    assert_eq!(alone.len(), 2, "{alone:?}");
}

#[test]
fn the_documentation_has_the_schedule() {
    let document = include_str!("../../docs/jobs.md");
    for task in modules().tasks() {
        let every = match task.every.as_secs() {
            seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
            seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
            seconds => format!("{seconds} s"),
        };
        let row = format!("| {} | {every} | {} |", task.name, task.what);
        assert!(document.contains(&row), "docs/jobs.md lacks\n{row}");
    }
}
