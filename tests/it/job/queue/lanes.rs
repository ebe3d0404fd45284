//! A release may rename a lane, move a kind of job to another one, or make it serial: the jobs that an earlier release added
//! run all the same, in the slots that the kind has now.

use std::{
    sync::{LazyLock, atomic::Ordering},
    time::Duration,
};

use mainstay_kernel::{
    app::App,
    clock::Clock,
    error::Result,
    id,
    queue::{
        Handler, Job, Kind, Lane,
        worker::{self, Work},
    },
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::{
    JOBS,
    sample::{self, Act, Grouped, Plain, add, plain, start},
};
use crate::{job::wait_for_count, support::eventually};

/// The slots of the lane to which kinds move.
const SLOTS: usize = 2;

/// `Plain` in a lane of another name.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Moved(Plain);

/// A kind that stays where `Plain` was, so that its lane is still there.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Stayed(Plain);

/// `Plain` in a serial lane.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Lined(Plain);

/// `Grouped` in a lane that is not serial.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Scattered(Grouped);

impl Job for Moved {
    const NAME: &'static str = <Plain as Job>::NAME;
    const MAX_ATTEMPTS: i32 = 2;
    const LANE: Lane = Lane::new("narrow", |_| SLOTS);

    fn subject(&self) -> Uuid {
        self.0.subject
    }
}

impl Job for Stayed {
    const NAME: &'static str = "stayed";
    const MAX_ATTEMPTS: i32 = 2;
    const LANE: Lane = <Plain as Job>::LANE;

    fn subject(&self) -> Uuid {
        self.0.subject
    }
}

impl Job for Lined {
    const NAME: &'static str = <Plain as Job>::NAME;
    const MAX_ATTEMPTS: i32 = 2;
    const LANE: Lane = Lane::serial("lined", |_| SLOTS);

    fn subject(&self) -> Uuid {
        self.0.subject
    }

    fn serial_key(&self) -> Option<String> {
        Some(format!("subject:{}", self.0.subject))
    }
}

impl Job for Scattered {
    const NAME: &'static str = <Grouped as Job>::NAME;
    const MAX_ATTEMPTS: i32 = 2;
    const LANE: Lane = Lane::new("narrow", |_| SLOTS);

    fn subject(&self) -> Uuid {
        self.0.subject
    }
}

impl Handler for Moved {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        self.0.run(app, stop).await
    }
}

impl Handler for Stayed {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        self.0.run(app, stop).await
    }
}

impl Handler for Lined {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        self.0.run(app, stop).await
    }
}

impl Handler for Scattered {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        self.0.run(app, stop).await
    }
}

/// Runs jobs as another release does, until the guard is dropped.
fn work_on(app: &App, jobs: &'static [Kind]) -> DropGuard {
    let (stop, work) = (CancellationToken::new(), Work { jobs, ..sample::jobs() });
    tokio::spawn(worker::run(work, app.clone(), stop.clone()));
    stop.drop_guard()
}

async fn add_waiting_jobs(app: &App, count: usize) {
    for _ in 0..count {
        add(app, plain(Act::Wait)).await;
    }
}

/// Whether or not its old lane is still there.
#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_moved_runs_within_the_slots_of_its_new_lane() {
    static RENAMED: LazyLock<[Kind; 1]> = LazyLock::new(|| [Kind::of::<Moved>()]);
    static MOVED: LazyLock<[Kind; 2]> = LazyLock::new(|| [Kind::of::<Moved>(), Kind::of::<Stayed>()]);
    let lists: [&'static [Kind]; 2] = [&*RENAMED, &*MOVED];
    for kinds in lists {
        let (database, state, app) = start().await;
        add_waiting_jobs(&app, 12).await;
        let _worker = work_on(&app, kinds);
        eventually("its slots are filled", async || state.runs.load(Ordering::SeqCst) == SLOTS).await;
        // The worker looks several times meanwhile.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(state.runs.load(Ordering::SeqCst), SLOTS);
        state.gate.add_permits(12);
        wait_for_count(&database, JOBS, 0).await;
        assert_eq!((state.runs.load(Ordering::SeqCst), state.peak.load(Ordering::SeqCst)), (12, SLOTS));
    }
}

/// Jobs with a serial key run one at a time in any lane, and those without one run in a serial lane too.
#[tokio::test(flavor = "multi_thread")]
async fn a_kind_whose_lane_became_serial_or_is_so_no_more_runs() {
    static KINDS: LazyLock<[Kind; 2]> = LazyLock::new(|| [Kind::of::<Lined>(), Kind::of::<Scattered>()]);
    let (database, state, app) = start().await;
    for number in 0..8 {
        add(&app, plain(Act::Sleep(5))).await;
        let subject = id::new(Clock::default().now());
        add(&app, Grouped { subject, group: number % 2, act: Act::Sleep(5) }).await;
    }
    let _worker = work_on(&app, &*KINDS);
    wait_for_count(&database, JOBS, 0).await;
    assert_eq!((state.runs.load(Ordering::SeqCst), state.overlaps.load(Ordering::SeqCst)), (16, 0));
}
