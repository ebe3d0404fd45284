//! Writes the log lines of this process to the database, in the background. A line that can't be stored in time is
//! dropped and counted.

use std::{collections::VecDeque, time::Duration};

use chrono::TimeDelta;
use mainstay_kernel::{app::App, module::Process, telemetry::lines::LineReceiver};
use metrics::counter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::dashboard::{
    config::{DashboardConfig, SYSTEM_LOGS},
    system_log::{
        logs::SystemLogs,
        model::{Level, Line},
        store::{self, PARTITIONS},
    },
};

/// The interval at which lines are stored.
const PERIOD: Duration = Duration::from_millis(500);
/// The maximum number of lines of one statement.
const BATCH: usize = 500;
/// The maximum number of lines per period in addition to warnings and errors. A thousand lines per second cost a small
/// part of a core.
const MAX_PER_PERIOD: usize = 500;
/// The maximum number of lines that wait for an unresponsive store.
const MAX_WAITING: usize = 5_000;
/// The interval at which the current partition is checked.
const ROTATION: Duration = Duration::from_secs(15);
/// The maximum time for storing the last lines at shutdown.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Starts the background task that writes log lines. When the process stops, it writes the last lines.
pub(crate) fn start(process: &mut Process) {
    // A test process starts several servers; only the first one stores lines.
    let Some(lines) = LineReceiver::subscribe() else { return };
    let stop = CancellationToken::new();
    let task = tokio::spawn(WriterTask::new(&process.app, lines).run(stop.clone()));
    let stop = stop.drop_guard();
    process.on_close(async move {
        drop(stop);
        tokio::time::timeout(LAST_LINES, task).await.ok();
    });
}

struct WriterTask {
    logs: SystemLogs,
    lines: LineReceiver,
    waiting: VecDeque<Line>,
    max_lines: i64,
    max_age: TimeDelta,
    rotate_at: Instant,
}

impl WriterTask {
    fn new(app: &App, lines: LineReceiver) -> Self {
        let config = app.config.section::<DashboardConfig>();
        let max_age = SYSTEM_LOGS.kept(&app.config).unwrap_or(TimeDelta::MAX);
        Self {
            logs: app.part::<SystemLogs>().clone(),
            lines,
            waiting: VecDeque::new(),
            max_lines: i64::try_from(config.max_lines).unwrap_or(i64::MAX) / i64::from(PARTITIONS),
            max_age: max_age / PARTITIONS.cast_signed(),
            rotate_at: Instant::now(),
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        loop {
            // Read first, so that all lines logged before the stop are written.
            let is_stopped = stop.is_cancelled();
            self.receive().await;
            self.store().await;
            if is_stopped {
                return;
            }
            if self.rotate_at <= Instant::now() {
                self.rotate().await;
            }
            stop.run_until_cancelled(tokio::time::sleep(PERIOD)).await;
        }
    }

    /// Receives the lines that were logged since the last call.
    async fn receive(&mut self) {
        let mut raw_lines = Vec::new();
        // Returns as soon as there are lines. The timeout covers the case of none.
        tokio::time::timeout(Duration::from_millis(1), self.lines.next(&mut raw_lines, usize::MAX)).await.ok();
        let (mut lines, mut others, mut limited) = (Vec::new(), 0, 0);
        for line in &raw_lines {
            if Level::of(line).is_none_or(|level| level > Level::Warning) {
                others += 1;
                if others > MAX_PER_PERIOD {
                    limited += 1;
                    continue;
                }
            }
            lines.extend(Line::read(line));
        }
        self.logs.remember(&lines);
        self.waiting.extend(lines);
        let surplus = self.waiting.len().saturating_sub(MAX_WAITING);
        self.waiting.drain(..surplus);
        count("limited", limited);
        count("overflowed", self.lines.dropped());
        count("lost", surplus as u64);
    }

    /// Stores the waiting lines. They stay in the buffer if the store does not answer.
    async fn store(&mut self) {
        while !self.waiting.is_empty() {
            let waiting = self.waiting.make_contiguous();
            let lines = &waiting[..waiting.len().min(BATCH)];
            let length = lines.len();
            if self.logs.run(false, async |connection| store::insert(connection, lines).await).await.is_err() {
                return;
            }
            self.waiting.drain(..length);
            count("stored", length as u64);
        }
    }

    async fn rotate(&mut self) {
        let (max_lines, max_age) = (self.max_lines, self.max_age);
        let rotated = self.logs.run(true, async |connection| store::rotate(connection, max_lines, max_age).await).await;
        // If a partition overflowed between two checks, the next one may be due too.
        self.rotate_at = Instant::now() + if matches!(rotated, Ok(false)) { ROTATION } else { PERIOD };
    }
}

fn count(outcome: &'static str, lines: u64) {
    counter!("mainstay_system_log_lines_total", "outcome" => outcome).increment(lines);
}
