//! The same statements without a server: what Postgres itself can do on this machine.

use std::{fs, path::Path, process::Stdio};

use anyhow::Context as _;
use diesel::{QueryableByName, sql_types::Text};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use mainstay::{
    caller::Visibility,
    domain::{
        page::Start,
        ticket::{Filter, Order},
    },
    id::TicketId,
    store::ticket,
};
use tokio::process::Command;

use crate::{
    calls::{BODY, Operation, SUBJECT},
    options::Options,
    world::World,
};

/// What pgbench says of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alone {
    pub(crate) per_second: f64,
    pub(crate) mean_ms: f64,
}

pub(crate) async fn run(world: &World, options: &Options, operation: Operation) -> anyhow::Result<Alone> {
    let scripts = tempfile::tempdir()?;
    let mut command = Command::new("pgbench");
    let clients = options.concurrency().min(options.pool as usize).to_string();
    let seconds = (options.round() * options.rounds()).as_secs().max(1).to_string();
    command.args(["--no-vacuum", "--protocol=prepared", "--jobs=1", "--client", &clients, "--time", &seconds]);
    for (name, value) in script(world, operation, scripts.path()).await? {
        command.arg("--define").arg(format!("{name}={value}"));
    }
    for script in fs::read_dir(scripts.path())? {
        command.arg("--file").arg(script?.path());
    }
    let output = command.arg(world.postgres.url()).stdin(Stdio::null()).output().await.context("running pgbench")?;
    let said = String::from_utf8_lossy(&output.stdout);
    anyhow::ensure!(output.status.success(), "pgbench failed: {}", String::from_utf8_lossy(&output.stderr));
    let number = |label: &str| -> anyhow::Result<f64> {
        let line = said.lines().find_map(|line| line.strip_prefix(label)).context("pgbench reports otherwise")?;
        Ok(line.split_whitespace().next().context("a number")?.parse()?)
    };
    Ok(Alone { per_second: number("tps = ")?, mean_ms: number("latency average = ")? })
}

/// Writes the scripts of an operation and returns the variables they need.
async fn script(world: &World, operation: Operation, dir: &Path) -> anyhow::Result<Vec<(String, String)>> {
    match operation {
        Operation::Get => {
            let [sql] = statements(world, operation).await?.try_into().map_err(|_| anyhow::anyhow!("one statement"))?;
            let mut variables = vec![("p2".to_owned(), "1".to_owned())];
            for (number, id) in world.target.tickets.iter().enumerate() {
                variables.push((format!("id{number}"), id.to_string()));
                let sql = sql.replace("$1", &format!(":id{number}")).replace('$', ":p");
                fs::write(dir.join(format!("{number}.sql")), sql + ";\n")?;
            }
            Ok(variables)
        }
        Operation::List => {
            let [total, page] =
                statements(world, operation).await?.try_into().map_err(|_| anyhow::anyhow!("two statements"))?;
            let script = format!("{};\n{};\n", total.replace('$', ":t"), page.replace('$', ":p"));
            fs::write(dir.join("list.sql"), script)?;
            let nil = uuid::Uuid::nil().to_string();
            Ok([("t1", nil.as_str()), ("t2", &nil), ("t3", "1"), ("p1", "21")]
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .into())
        }
        Operation::Create => {
            fs::write(dir.join("create.sql"), CREATE)?;
            let account = world.target.account.to_string();
            let variables = [("account", account.as_str()), ("subject", SUBJECT), ("body", BODY)];
            Ok(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
        }
    }
}

#[derive(QueryableByName)]
struct Statement {
    #[diesel(sql_type = Text)]
    statement: String,
}

/// What the store sends for an operation, as the connection that prepared it remembers.
async fn statements(world: &World, operation: Operation) -> anyhow::Result<Vec<String>> {
    let mut connection = AsyncPgConnection::establish(world.postgres.url()).await?;
    let plain = |error: mainstay::error::Error| anyhow::anyhow!("{:?}", error.source());
    if operation == Operation::Get {
        let id = TicketId(world.target.ticket(0));
        ticket::get(&mut connection, Visibility::All, id).await.map_err(plain)?;
    } else {
        let (all, filter) = (Visibility::All, Filter::default());
        ticket::total(&mut connection, all, &filter).await.map_err(plain)?;
        let page = ticket::list(&mut connection, all, &filter, Order::CreateTimeDesc, Start::Offset(0), 21);
        page.await.map_err(plain)?;
    }
    let own = "SELECT statement FROM pg_prepared_statements WHERE statement LIKE 'SELECT \"ticket%' OR statement LIKE 'SELECT \"sum_of%' OR statement LIKE 'SELECT sum_of%' ORDER BY prepare_time";
    let found: Vec<Statement> = diesel::sql_query(own).load(&mut connection).await?;
    Ok(found.into_iter().map(|found| found.statement).collect())
}

/// What a create sends, with ids that are made here: UUIDv7, as the server's are, so that indexes grow at their end.
const CREATE: &str = r"\set noise random(0, 1000000000000000000)
BEGIN;
INSERT INTO tickets (id, account_id, requester_id, subject, body, kind, status, priority, queue, language, tags, assignee_id, version, created_at, updated_at, resolved_at)
VALUES ((lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(:noise::text), 1, 3) || 'a' || substr(md5(:noise::text), 4, 15))::uuid, :account, DEFAULT, :subject, :body, 2, 1, 2, 'General Inquiry', 'en', '{Bug,Outage}', DEFAULT, 1, clock_timestamp(), clock_timestamp(), DEFAULT);
INSERT INTO activities (id, ticket_id, actor_id, actor_role, kind, detail, created_at)
VALUES ((lpad(to_hex(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(:noise::text), 5, 3) || 'a' || substr(md5(:noise::text), 8, 15))::uuid, gen_random_uuid(), NULL, 3, 1, '', clock_timestamp());
COMMIT;
";
