//! The same statements without a server: the limit of Postgres on this machine.

use std::{fs, process::Stdio};

use anyhow::Context as _;
use tokio::process::Command;

use crate::{
    calls::Operation,
    options::Options,
    recording::{Statement, record},
    world::World,
};

pub(crate) use crate::money::CLIENTS;

/// The report of pgbench.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alone {
    pub(crate) per_second: f64,
    pub(crate) mean_ms: f64,
    /// CPU time of Postgres in milliseconds per 1,000 runs.
    pub(crate) postgres_ms: Option<f64>,
    /// The statements of a run.
    pub(crate) statements: usize,
}

/// The length of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    Seconds(u64),
    /// This many script runs per client.
    Runs(u64),
}

/// The scripts of pgbench, which picks one at random each time.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) texts: Vec<String>,
    /// The statements of each script.
    pub(crate) statements: usize,
}

/// The statements of an operation as scripts. Recorded before the operation is measured, so that the rows that the
/// scripts create do not collide with those of the measured requests.
pub(crate) async fn scripts(world: &World, options: &Options, operation: Operation) -> anyhow::Result<Scripts> {
    let contender = operation.contenders().last().context("an operation has contenders")?;
    let mut client = contender.client(world).await?;
    let mut number = 0;
    let statements = record(&world.sql, async || {
        // Each worker repeats its own charge.
        if operation == Operation::ChargeAgain {
            return client.call(&world.target, operation, 0).await;
        }
        number += 1;
        client.call(&world.target, operation, number).await
    });
    let statements = statements.await?;
    let join = |render: &dyn Fn(&Statement) -> String| {
        statements.iter().map(|statement| render(statement) + ";\n").collect::<String>()
    };
    let texts = match operation {
        Operation::Get => {
            let recorded = world.target.ticket(number).to_string();
            let script = join(&Statement::as_recorded);
            world.target.tickets.iter().map(|ticket| script.replace(&recorded, &ticket.to_string())).collect()
        }
        Operation::List | Operation::FarPage | Operation::ChargeAgain => vec![join(&Statement::as_recorded)],
        Operation::Create | Operation::Charge | Operation::Receive => {
            let script = join(&|statement| statement.for_another_run(&world.fixtures));
            vec![format!("\\set run :run + 1\n{script}")]
        }
        Operation::OwnList | Operation::SignIn | Operation::GetPost | Operation::ListPosts => {
            anyhow::bail!("statements are not what it consists of")
        }
    };
    if options.show_statements {
        eprintln!("{}", texts[0]);
    }
    Ok(Scripts { texts, statements: statements.len() })
}

pub(crate) async fn run(world: &World, options: &Options, scripts: &Scripts, length: Length) -> anyhow::Result<Alone> {
    let directory = tempfile::tempdir()?;
    let mut command = Command::new("pgbench");
    let clients = options.concurrency().min(options.pool as usize).min(CLIENTS).to_string();
    command.args(["--no-vacuum", "--protocol=prepared", "--jobs=1", "--define=run=0", "--client", &clients]);
    match length {
        Length::Seconds(seconds) => command.arg(format!("--time={seconds}")),
        Length::Runs(runs) => command.arg(format!("--transactions={runs}")),
    };
    for (number, script) in scripts.texts.iter().enumerate() {
        let path = directory.path().join(format!("{number}.sql"));
        fs::write(&path, script)?;
        command.arg("--file").arg(path);
    }
    let cpu = world.postgres_cpu();
    let output = command.arg(world.postgres.url()).stdin(Stdio::null()).output().await.context("running pgbench")?;
    let cpu = world.postgres_cpu().zip(cpu).map(|(after, before)| after - before);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let warned = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success() && !warned.contains("aborted"),
        "pgbench failed: {}",
        warned.lines().next().unwrap_or_default()
    );
    let number = |label: &str| -> anyhow::Result<f64> {
        let line = stdout
            .lines()
            .find_map(|line| line.strip_prefix(label))
            .with_context(|| format!("no {label}in {stdout}"))?;
        // A limited number of runs follows the completed ones after a slash.
        Ok(line.split([' ', '/']).next().context("a number")?.parse()?)
    };
    let done = number("number of transactions actually processed: ")?;
    Ok(Alone {
        per_second: number("tps = ")?,
        mean_ms: number("latency average = ")?,
        postgres_ms: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / done),
        statements: scripts.statements,
    })
}
