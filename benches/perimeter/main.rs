//! What the perimeter costs: the real server beside a bare one and beside Postgres alone, in one run.
//!
//! ```text
//! make bench                                        about ten minutes, a million tickets
//! cargo bench --bench perimeter -- --quick          about two, a hundred thousand
//! ```
//!
//! The server is the release binary as its own process, with a real Postgres that syncs every commit and a real Redis;
//! the bare server is this program again, as its own process: plain tonic and a plain bb8 pool that run the same
//! statements on the same table and answer with the same messages. `pgbench` runs the same statements without either.
//! Rounds of all of them alternate, forwards and backwards, so that a machine that slows down slows all of them down.

mod bare;
mod calls;
mod children;
mod clients;
mod copies;
mod jobs;
mod load;
mod money;
mod options;
mod paging;
mod pgbench;
mod recording;
mod report;
mod rounds;
mod world;

use std::path::Path;

use clap::Parser as _;
use pgbench::Length;

// As the server's own binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let options = options::Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match options.bare {
            Some(ref url) => bare::serve(url, options.pool, options.port).await,
            None => measure(&options).await,
        }
    })
}

async fn measure(options: &options::Options) -> anyhow::Result<()> {
    let world = world::World::open(options).await?;
    let mut report = report::Report::new(options);
    for operation in calls::OPERATIONS {
        eprintln!("measuring {}", operation.name());
        let scripts = pgbench::scripts(&world, options, operation).await?;
        report.rounds(operation, rounds::run(&world, options, operation).await?);
        let length = Length::Seconds((options.round() * options.rounds()).as_secs().max(1));
        report.pgbench(operation, pgbench::run(&world, options, &scripts, length).await?);
    }
    eprintln!("measuring jobs");
    report.jobs(jobs::run(&world, options).await?);
    eprintln!("measuring pages");
    report.pages(paging::run(&world, options).await?);
    report.print();
    if let Some(path) = &options.json {
        // Cargo runs a bench in the package's directory, wherever it was called.
        std::fs::write(Path::new(path), format!("{:#}\n", report.json()))?;
    }
    world.close().await;
    Ok(())
}
