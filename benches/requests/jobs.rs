//! The job throughput of a worker: it completes the jobs of the webhook events that were received earlier.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use uuid::Uuid;

use crate::{
    options::Options,
    pgbench::{self, Alone, Length, Scripts},
    recording::{Statement, record},
    world::World,
};

/// The number of jobs in a recording; the job with the fewest statements is replayed.
const WATCHED: i64 = 20;
/// The number of jobs that must remain at the end, so that the worker was never idle.
const SPARE: i64 = 1000;

/// The rate at which a worker completes jobs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jobs {
    pub(crate) places: usize,
    pub(crate) per_second: f64,
    /// Milliseconds of the worker's CPU per 1,000 jobs.
    pub(crate) cpu_ms: Option<f64>,
    pub(crate) alone: Alone,
}

async fn waiting(world: &World) -> anyhow::Result<i64> {
    Ok(world.sql.query_one("SELECT count(*) FROM jobs WHERE dead_at IS NULL", &[]).await?.get(0))
}

pub(crate) async fn run(world: &World, options: &Options) -> anyhow::Result<Jobs> {
    // The other operations leave another kind of jobs at the front of the queue.
    world.sql.execute("DELETE FROM jobs WHERE kind <> 'process_inbound_event'", &[]).await?;
    world.sql.execute("DELETE FROM mails", &[]).await?;
    let scripts = scripts(world).await?;
    if options.show_statements {
        eprintln!("{}", scripts.texts[0]);
    }
    let places = options.pool as usize;
    let worker = world.worker(places)?;
    // Warm-up.
    while_done(world, SPARE).await?;
    let (before, cpu, began) = (waiting(world).await?, worker.cpu(), Instant::now());
    let length = options.round() * options.rounds();
    while began.elapsed() < length && waiting(world).await? > before / 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (rest, wall) = (waiting(world).await?, began.elapsed());
    let cpu = worker.cpu().zip(cpu).map(|(after, before)| after - before);
    worker.stop().await;
    let jobs = (before - rest) as f64;
    anyhow::ensure!(jobs > 0.0 && rest > SPARE, "there are not enough jobs: {before} before, {rest} left");
    // The remaining jobs suffice for every client.
    let runs = Length::Runs(((rest - SPARE) / pgbench::CLIENTS as i64).min(jobs as i64 / 4).max(1) as u64);
    let alone = pgbench::run(world, options, &scripts, runs).await?;
    let cpu_ms = cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / jobs);
    Ok(Jobs { places, per_second: jobs / wall.as_secs_f64(), cpu_ms, alone })
}

/// Waits until this many jobs are done.
async fn while_done(world: &World, jobs: i64) -> anyhow::Result<()> {
    let (before, began) = (waiting(world).await?, Instant::now());
    while before - waiting(world).await? < jobs {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(60), "the worker completes no jobs");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Returns the statements of one job, from the one that takes it to the one that completes it.
async fn scripts(world: &World) -> anyhow::Result<Scripts> {
    let worker = world.worker(1)?;
    let statements = record(&world.sql, async || while_done(world, WATCHED).await).await?;
    worker.stop().await;
    let takes = |statement: &Statement| statement.sql().starts_with("WITH RECURSIVE lane");
    let ends = |statement: &Statement| statement.sql().starts_with("DELETE FROM jobs USING");
    let is_event = |statement: &Statement| statement.sql().contains("\"inbound_events\"") && !takes(statement);
    // A checked commit is the second statement of its message.
    let is_commit = |statement: &Statement| statement.sql().ends_with("COMMIT");
    // The end of a job is recorded while the next one is taken, so statements of other jobs are in between.
    let cycle = |begin: usize| {
        let rest = &statements[begin + 1..];
        let handled = rest.iter().position(is_event)?;
        let committed = handled + rest[handled..].iter().position(is_commit)?;
        let end = committed + rest[committed..].iter().position(ends)?;
        let own = rest[..end].iter().filter(|statement| !takes(statement) && !ends(statement));
        let cycle: Vec<_> = [&statements[begin]].into_iter().chain(own).chain([&rest[end]]).collect();
        let begins = cycle.iter().filter(|statement| statement.sql() == "BEGIN").count();
        // A scheduled task in the middle of its transaction belongs to another cycle.
        (begins == cycle.iter().filter(|statement| is_commit(statement)).count()).then_some(cycle)
    };
    let begins = (0..statements.len()).filter(|&at| takes(&statements[at]));
    // Scheduled tasks run in between; the shortest of many cycles contains none of their statements.
    let cycle = begins.filter_map(cycle).min_by_key(Vec::len).with_context(|| {
        let sample: Vec<_> = statements.iter().take(20).map(Statement::sql).collect();
        format!("no job was seen in {sample:#?}")
    })?;
    let event = cycle.iter().copied().filter(|statement| is_event(statement));
    let event = event.flat_map(|statement| statement.parameter(1)).find_map(|text| text.parse::<Uuid>().ok());
    let end = cycle.last().context("a job ends")?;
    let (id, lease) = end.parameter(1).zip(end.parameter(2)).context("a job has an id and a lease")?;
    let mut script = format!("{}\n\\gset job_\n", cycle[0].as_recorded());
    for statement in &cycle[1..] {
        script.push_str(&statement.with_replacements(|text| match text.parse::<Uuid>() {
            Ok(id) if Some(id) == event => Some("(:job_payload::json ->> 'event')::uuid".to_owned()),
            _ if text == id => Some("ARRAY[:job_id::bigint]".to_owned()),
            _ if text == lease => Some("ARRAY[:job_lease::uuid]".to_owned()),
            _ => None,
        }));
        script.push_str(";\n");
    }
    Ok(Scripts { texts: vec![script], statements: cycle.len() })
}
