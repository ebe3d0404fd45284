//! The cost of a request: the real server, a bare server and Postgres alone, compared in one run.
//!
//! ```text
//! make bench                          about forty minutes, a million tickets
//! make bench ARGS=--quick             about four minutes, a hundred thousand tickets
//! make bench ARGS='--only overload'   one subject alone
//! ```
//!
//! The server is the release binary in its own process, with a real Redis and a real Postgres that syncs every commit. The
//! bare server is this program again, in its own process: plain tonic and a plain bb8 pool that run the same statements on
//! the same table and return the same messages. The careful server is the bare one behind the check of the token, a rate limit
//! and a log line, made of libraries. The peer (`benches/peer`) is what many teams run: Express with pg and
//! ioredis. `pgbench` runs the same statements without a server. Rounds alternate between the contenders, forwards and
//! backwards, so that a slowdown of the machine affects all of them.

mod bare;
mod calls;
mod careful;
mod children;
mod clients;
mod comparison;
mod contender;
mod copies;
mod curve;
mod curves;
mod deliveries;
mod figures;
mod goals;
mod history;
mod imports;
mod jobs;
mod load;
mod money;
mod open_loop;
mod options;
mod overload;
mod paging;
mod pgbench;
mod pictures;
mod posts;
mod recording;
mod report;
mod rounds;
mod sign_ins;
mod svg;
mod traces;
mod world;

use calls::Operation;
use clap::Parser as _;
use options::Subject;
use pgbench::Length;

// The same allocator as the server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let options = options::Options::parse();
    if options.draw {
        return history::draw();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match options.bare {
            Some(ref url) => {
                let checks = match (&options.keys, &options.redis) {
                    (Some(keys), Some(redis)) => Some(careful::Checks::new(keys, redis).await?),
                    _ => None,
                };
                bare::serve(url, options.pool, options.port, checks).await
            }
            None => measure(&options).await,
        }
    })
}

async fn measure(options: &options::Options) -> anyhow::Result<()> {
    let world = world::World::open(options).await?;
    let mut report = report::Report::new(options);
    let measured = subjects(&world, options, &mut report).await;
    // The report includes the measurements before a fault.
    report.print();
    let run = report.run();
    let kept = history::keep(&run, options);
    world.close().await;
    measured?;
    kept?;
    if options.save_baseline {
        history::save_baseline(&run)?;
    }
    Ok(())
}

async fn subjects(world: &world::World, options: &options::Options, report: &mut report::Report) -> anyhow::Result<()> {
    if options.measures(Subject::Requests) {
        for operation in calls::OPERATIONS {
            requests(world, options, operation, report).await?;
        }
        eprintln!("measuring jobs");
        report.jobs(jobs::run(world, options).await?);
    }
    if options.measures(Subject::Pages) {
        eprintln!("measuring pages");
        report.pages(paging::run(world, options).await?);
    }
    if options.measures(Subject::Overload) {
        for operation in overload::OPERATIONS {
            eprintln!("measuring {} under overload", operation.name());
            report.overload(overload::run(world, options, operation).await?);
        }
    }
    if options.measures(Subject::SignIns) {
        eprintln!("measuring sign-ins");
        let (sign_ins, comparison) = sign_ins::run(world, options).await?;
        report.rounds(Operation::SignIn, vec![sign_ins]);
        report.comparison(comparison);
    }
    if options.measures(Subject::Imports) {
        eprintln!("measuring imports");
        report.comparison(imports::run(world, options).await?);
    }
    if options.measures(Subject::Deliveries) {
        eprintln!("measuring deliveries");
        deliveries::run(world, options).await?.into_iter().for_each(|comparison| report.comparison(comparison));
    }
    if options.measures(Subject::Traces) {
        eprintln!("measuring traces");
        traces::run(world, options).await?.into_iter().for_each(|comparison| report.comparison(comparison));
    }
    if options.measures(Subject::Curves) {
        for (operation, most) in curves::OPERATIONS {
            eprintln!("measuring the curves of {}", operation.name());
            report.curve(curves::run(world, options, operation, most).await?);
        }
    }
    Ok(())
}

async fn requests(
    world: &world::World,
    options: &options::Options,
    operation: Operation,
    report: &mut report::Report,
) -> anyhow::Result<()> {
    eprintln!("measuring {}", operation.name());
    if operation.is_without_script() {
        report.rounds(operation, rounds::run(world, options, operation).await?);
        return Ok(());
    }
    let scripts = pgbench::scripts(world, options, operation).await?;
    report.rounds(operation, rounds::run(world, options, operation).await?);
    let length = Length::Seconds((options.round() * options.rounds()).as_secs().max(1));
    report.pgbench(operation, pgbench::run(world, options, &scripts, length).await?);
    Ok(())
}
