//! Two instances behind Envoy serve a steady mix of requests, while a sequence of faults occurs. In the end, all
//! acknowledgements hold: no acknowledged write is lost, and none was made twice.
//!
//! The loop is open: requests start at a fixed rate, whether or not earlier requests have been answered. The short run,
//! as in `make test`, judges only correctness; `make load` runs for minutes, and also judges the times.

mod books;
mod cluster;
mod driver;
mod ha;
mod memory;
mod mix;
mod network;
mod report;
mod world;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use driver::{Driver, Phase};
use mix::Mix;
use report::Report;
use world::{Service, World};

/// The rate of an overload, as a multiple of the normal rate.
const OVERLOAD: f64 = 10.0;
/// The number of callers that measure the capacity: each repeats its request at once.
const SATURATING: usize = 32;
/// The added latency of a slow network to and from Postgres.
const SLOW: Duration = Duration::from_millis(10);

/// The settings of a run.
#[derive(Debug, Clone, Copy)]
struct Settings {
    /// Requests per second.
    rate: f64,
    /// The length of a phase.
    phase: Duration,
    /// How long requests continue after a fault has ended, to observe the recovery.
    tail: Duration,
    /// The length of the soak, during which memory must not grow.
    soak: Duration,
    /// Whether goodput, recovery and memory are judged.
    judges_times: bool,
}

impl Settings {
    fn read() -> Self {
        let number = |name: &str| {
            #[expect(clippy::disallowed_methods, reason = "how `make load` asks for a longer run")]
            let value = std::env::var(name).ok()?;
            Some(value.parse::<f64>().unwrap_or_else(|_| panic!("{name} must be a number, not {value}")))
        };
        let seconds = |name, default| Duration::from_secs_f64(number(name).unwrap_or(default));
        let judges_times = number("LOAD_PHASE_SECONDS").is_some();
        Self {
            rate: number("LOAD_RATE").unwrap_or(20.0),
            phase: seconds("LOAD_PHASE_SECONDS", 3.0),
            tail: Duration::from_secs(if judges_times { 4 } else { 2 }),
            soak: seconds("LOAD_SOAK_SECONDS", 5.0),
            judges_times,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_hold_under_load_and_faults() {
    let settings = Settings::read();
    println!("{settings:?}");
    let mut world = World::start(settings).await;
    let mix = Arc::new(Mix::new(&world.service).await);
    let driver = Driver::new(mix.clone(), settings.rate, settings.tail);
    let mut report = Report::new(settings);
    let undisturbed = Phase { name: "undisturbed", length: settings.phase, factor: 1.0 };
    let phase = |name| Phase { name, ..undisturbed };

    report.phase(driver.run(undisturbed, async {}).await);
    report.capacity(driver.saturate(phase("capacity"), SATURATING).await);
    report.phase(driver.run(phase("rolling restart"), rolling_restart(&mut world)).await);
    report.phase(driver.run(phase("Postgres restarts"), postgres_restart(&mut world)).await);
    report.phase(driver.run(phase("Postgres is lost"), postgres_loss(&mut world, settings.phase / 2)).await);
    report.phase(driver.run(phase("the standby hangs"), standby_hang(&world, settings.phase / 2)).await);
    report.phase(driver.run(phase("the standby is lost"), standby_loss(&mut world, settings.phase / 2)).await);
    report.phase(driver.run(phase("a slow network"), world.to_postgres.slow(SLOW, settings.phase / 2)).await);
    report.phase(driver.run(phase("a partition"), world.to_postgres.silent(settings.phase / 2)).await);
    report.phase(driver.run(phase("all connections break"), connection_loss(&world, settings.phase / 2)).await);
    report.phase(driver.run(phase("Redis hangs"), redis_hang(&world, settings.phase / 2)).await);
    report.phase(driver.run(phase("Redis is lost"), redis_loss(&mut world, settings.phase / 2)).await);
    let overload = Phase { name: "10 × overload", factor: OVERLOAD, ..undisturbed };
    report.phase(driver.run(overload, tokio::time::sleep(settings.phase)).await);
    let memory = memory::sample(world.service.pids());
    report.phase(driver.run(Phase { name: "soak", length: settings.soak, factor: 1.0 }, async {}).await);
    report.memory(memory.stop().await);

    report.books(books::check(&mix, &world.service).await);
    report.print();
    world.service.defects().iter().take(3).for_each(|line| println!("{line}"));
    let failures = report.failures();
    assert!(failures.is_empty(), "{failures:#?}");
}

async fn rolling_restart(world: &mut World) {
    for index in 0..Service::INSTANCES {
        world.service.replace(index).await;
    }
}

async fn postgres_restart(world: &mut World) {
    world.postgres.restart().await.expect("Postgres starts");
}

async fn postgres_loss(world: &mut World, length: Duration) {
    world.postgres.crash();
    tokio::time::sleep(length).await;
    world.postgres.restart().await.expect("Postgres recovers");
}

/// The standby keeps its connections, but neither replicates nor answers.
async fn standby_hang(world: &World, length: Duration) {
    let _frozen = world.standby.freeze();
    tokio::time::sleep(length).await;
}

async fn standby_loss(world: &mut World, length: Duration) {
    world.standby.crash();
    tokio::time::sleep(length).await;
    world.standby.restart().await.expect("the standby starts");
}

/// Breaks the connections to Postgres and Redis repeatedly, in any state.
async fn connection_loss(world: &World, length: Duration) {
    const TIMES: u32 = 4;
    for _ in 0..TIMES {
        world.to_postgres.reset();
        world.to_redis.reset();
        tokio::time::sleep(length / TIMES).await;
    }
}

/// Redis keeps its connections and answers nothing.
async fn redis_hang(world: &World, length: Duration) {
    world.signal_redis(Signal::SIGSTOP);
    tokio::time::sleep(length).await;
    world.signal_redis(Signal::SIGCONT);
}

async fn redis_loss(world: &mut World, length: Duration) {
    world.redis.crash();
    tokio::time::sleep(length).await;
    world.redis.restart().await.expect("Redis starts");
}

/// Waits until a moment, unless it has passed.
async fn until(moment: Instant) {
    tokio::time::sleep_until(moment.into()).await;
}
