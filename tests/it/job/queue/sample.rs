//! Jobs of the tests, and their shared state.

use std::{
    collections::HashSet,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use mainstay_kernel::{
    app::App,
    clock::Clock,
    error::{Error, Result},
    id,
    queue::{
        self, Handler, Job, Kind, Lane,
        worker::{self, Work},
    },
    unit_of_work,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::support::{TestApp, TestDatabase, modules};

/// The shared state of a test's jobs.
#[derive(Debug)]
pub(super) struct State {
    running: Mutex<HashSet<String>>,
    pub(super) runs: AtomicUsize,
    pub(super) overlaps: AtomicUsize,
    /// The maximum number of jobs that ran concurrently.
    pub(super) peak: AtomicUsize,
    pub(super) given_up: AtomicUsize,
    /// Whether the next attempt to give up a job fails.
    pub(super) give_up_fails: AtomicBool,
    /// The gate of [`Action::Wait`] and [`Action::WaitAndFail`].
    pub(super) gate: Semaphore,
    pub(super) start: Notify,
    pub(super) was_dropped: AtomicBool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            runs: AtomicUsize::default(),
            overlaps: AtomicUsize::default(),
            peak: AtomicUsize::default(),
            given_up: AtomicUsize::default(),
            give_up_fails: AtomicBool::new(false),
            gate: Semaphore::new(0),
            start: Notify::new(),
            was_dropped: AtomicBool::new(false),
        }
    }
}

/// The behavior of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Action {
    Nothing,
    Sleep(u64),
    Wait,
    WaitAndFail,
    Fail,
    FailWithNul,
    Panic,
}

/// A job in a separate lane.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct PlainJob {
    pub(super) subject: Uuid,
    pub(super) action: Action,
}

/// A job that runs serially with others of its group.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct GroupedJob {
    pub(super) subject: Uuid,
    pub(super) group: u8,
    pub(super) action: Action,
}

impl Job for PlainJob {
    const NAME: &'static str = "plain";
    const MAX_ATTEMPTS: i32 = 2;
    const LANE: Lane = Lane::new("plain", |_| 4);

    fn subject(&self) -> Uuid {
        self.subject
    }
}

impl Job for GroupedJob {
    const NAME: &'static str = "grouped";
    const MAX_ATTEMPTS: i32 = 2;
    const LANE: Lane = Lane::serial("grouped", |_| 4);

    fn subject(&self) -> Uuid {
        self.subject
    }

    fn serial_key(&self) -> Option<String> {
        Some(format!("group:{}", self.group))
    }
}

/// Records that a run was dropped before its end.
struct DropNote<'a> {
    state: &'a State,
    has_ended: bool,
}

impl Drop for DropNote<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.state.was_dropped.store(true, Ordering::SeqCst);
        }
    }
}

async fn perform(app: &App, key: String, action: Action) -> Result<()> {
    let state = app.part::<Arc<State>>();
    state.runs.fetch_add(1, Ordering::SeqCst);
    let is_alone = {
        let mut running = state.running.lock().expect("no panic");
        let is_alone = running.insert(key.clone());
        state.peak.fetch_max(running.len(), Ordering::SeqCst);
        is_alone
    };
    if !is_alone {
        state.overlaps.fetch_add(1, Ordering::SeqCst);
    }
    state.start.notify_one();
    let mut note = DropNote { state, has_ended: false };
    match action {
        Action::Sleep(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Action::Wait | Action::WaitAndFail => state.gate.acquire().await.expect("open").forget(),
        Action::Panic => panic!("as the test wants"),
        Action::Fail | Action::FailWithNul | Action::Nothing => {}
    }
    note.has_ended = true;
    state.running.lock().expect("no panic").remove(&key);
    match action {
        Action::Fail | Action::WaitAndFail => Err(Error::internal(anyhow::anyhow!("as the test wants"))),
        Action::FailWithNul => Err(Error::internal(anyhow::anyhow!("what a peer \0 sent"))),
        Action::Nothing | Action::Sleep(_) | Action::Wait | Action::Panic => Ok(()),
    }
}

impl Handler for PlainJob {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        perform(app, queue::key::<Self>(self.subject), self.action).await
    }

    async fn give_up(self, app: &App) -> Result<()> {
        let state = app.part::<Arc<State>>();
        state.given_up.fetch_add(1, Ordering::SeqCst);
        if state.give_up_fails.swap(false, Ordering::SeqCst) {
            return Err(Error::internal(anyhow::anyhow!("not yet")));
        }
        Ok(())
    }
}

impl Handler for GroupedJob {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        perform(app, format!("group:{}", self.group), self.action).await
    }
}

/// Returns the work of these tests' workers: their own jobs, and no task that would add others.
pub(super) fn jobs() -> Work {
    static KINDS: LazyLock<[Kind; 2]> = LazyLock::new(|| [Kind::of::<PlainJob>(), Kind::of::<GroupedJob>()]);
    Work { jobs: &*KINDS, tasks: &[], ..modules().work() }
}

/// An app that runs no jobs yet.
pub(super) async fn app(database: &Arc<TestDatabase>, state: &Arc<State>) -> App {
    let TestApp { app, .. } = TestApp::builder().on(database).start().await;
    app.with_part(state.clone())
}

/// Runs jobs until the guard is dropped.
pub(super) fn work(app: &App) -> DropGuard {
    let stop = CancellationToken::new();
    tokio::spawn(worker::run(jobs(), app.clone(), stop.clone()));
    stop.drop_guard()
}

pub(super) async fn start() -> (Arc<TestDatabase>, Arc<State>, App) {
    let (database, state) = (Arc::new(TestDatabase::new().await), Arc::<State>::default());
    let app = app(&database, &state).await;
    (database, state, app)
}

pub(super) async fn add<J: Job + Copy>(app: &App, job: J) {
    let add = async move |work: &mut unit_of_work::Work| queue::enqueue(work.connection().await?, &job).await;
    app.database.transaction(add).await.expect("added");
}

pub(super) fn plain(action: Action) -> PlainJob {
    PlainJob { subject: id::new(Clock::default().now()), action }
}

/// Makes jobs due that wait for their next attempt.
pub(super) async fn make_due(database: &TestDatabase) {
    database.sql("UPDATE jobs SET due_at = now() WHERE due_at > now() AND lease IS NULL").await;
}
