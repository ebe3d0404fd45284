//! A release may rename a lane, move a kind of job to another lane, or make it serial. Jobs that an earlier release
//! added still run, in the current slots of their kind.

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
    sample::{self, Action, GroupedJob, PlainJob, add, plain, start},
};
use crate::{job::wait_for_count, support::eventually};

/// The slots of the lane to which kinds move.
const SLOTS: usize = 2;

/// `PlainJob` in a lane of another name.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct PlainJobInNarrowLane(PlainJob);

/// Another kind in the lane of `PlainJob`, so that the lane still exists.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct JobInOldLane(PlainJob);

/// `PlainJob` in a serial lane.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct PlainJobInSerialLane(PlainJob);

/// `GroupedJob` in a lane that is not serial.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct GroupedJobInParallelLane(GroupedJob);

impl Job for PlainJobInNarrowLane {
    const NAME: &'static str = <PlainJob as Job>::NAME;
    const MAX_ATTEMPTS: i32 = 2;
    const LANE: Lane = Lane::new("narrow", |_| SLOTS);

    fn subject(&self) -> Uuid {
        self.0.subject
    }
}

impl Job for JobInOldLane {
    const NAME: &'static str = "in_old_lane";
    const MAX_ATTEMPTS: i32 = 2;
    const LANE: Lane = <PlainJob as Job>::LANE;

    fn subject(&self) -> Uuid {
        self.0.subject
    }
}

impl Job for PlainJobInSerialLane {
    const NAME: &'static str = <PlainJob as Job>::NAME;
    const MAX_ATTEMPTS: i32 = 2;
    const LANE: Lane = Lane::serial("serial", |_| SLOTS);

    fn subject(&self) -> Uuid {
        self.0.subject
    }

    fn serial_key(&self) -> Option<String> {
        Some(format!("subject:{}", self.0.subject))
    }
}

impl Job for GroupedJobInParallelLane {
    const NAME: &'static str = <GroupedJob as Job>::NAME;
    const MAX_ATTEMPTS: i32 = 2;
    const LANE: Lane = Lane::new("narrow", |_| SLOTS);

    fn subject(&self) -> Uuid {
        self.0.subject
    }
}

impl Handler for PlainJobInNarrowLane {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        self.0.run(app, stop).await
    }
}

impl Handler for JobInOldLane {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        self.0.run(app, stop).await
    }
}

impl Handler for PlainJobInSerialLane {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        self.0.run(app, stop).await
    }
}

impl Handler for GroupedJobInParallelLane {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        self.0.run(app, stop).await
    }
}

/// Runs jobs like another release, until the guard is dropped.
fn work_on(app: &App, jobs: &'static [Kind]) -> DropGuard {
    let (stop, work) = (CancellationToken::new(), Work { jobs, ..sample::jobs() });
    tokio::spawn(worker::run(work, app.clone(), stop.clone()));
    stop.drop_guard()
}

async fn add_waiting_jobs(app: &App, count: usize) {
    for _ in 0..count {
        add(app, plain(Action::Wait)).await;
    }
}

/// The old lane may or may not exist.
#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_moved_runs_within_the_slots_of_its_new_lane() {
    static RENAMED: LazyLock<[Kind; 1]> = LazyLock::new(|| [Kind::of::<PlainJobInNarrowLane>()]);
    static MOVED: LazyLock<[Kind; 2]> =
        LazyLock::new(|| [Kind::of::<PlainJobInNarrowLane>(), Kind::of::<JobInOldLane>()]);
    let lists: [&'static [Kind]; 2] = [&*RENAMED, &*MOVED];
    for kinds in lists {
        let (database, state, app) = start().await;
        add_waiting_jobs(&app, 12).await;
        let _worker = work_on(&app, kinds);
        eventually("its slots are filled", async || state.runs.load(Ordering::SeqCst) == SLOTS).await;
        // The worker polls several times meanwhile.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(state.runs.load(Ordering::SeqCst), SLOTS);
        state.gate.add_permits(12);
        wait_for_count(&database, JOBS, 0).await;
        assert_eq!((state.runs.load(Ordering::SeqCst), state.peak.load(Ordering::SeqCst)), (12, SLOTS));
    }
}

/// Jobs with a serial key run one at a time in any lane, and jobs without one run in a serial lane too.
#[tokio::test(flavor = "multi_thread")]
async fn a_kind_whose_lane_became_serial_or_is_so_no_more_runs() {
    static KINDS: LazyLock<[Kind; 2]> =
        LazyLock::new(|| [Kind::of::<PlainJobInSerialLane>(), Kind::of::<GroupedJobInParallelLane>()]);
    let (database, state, app) = start().await;
    for number in 0..8 {
        add(&app, plain(Action::Sleep(5))).await;
        let subject = id::new(Clock::default().now());
        add(&app, GroupedJob { subject, group: number % 2, action: Action::Sleep(5) }).await;
    }
    let _worker = work_on(&app, &*KINDS);
    wait_for_count(&database, JOBS, 0).await;
    assert_eq!((state.runs.load(Ordering::SeqCst), state.overlaps.load(Ordering::SeqCst)), (16, 0));
}
