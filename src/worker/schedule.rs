//! The scheduled tasks: the list, and the loop that runs them.
//!
//! Every worker checks the list. A row in Postgres records when a task last ran, and the worker that advances it runs
//! the task, so a task runs once per period regardless of the number of workers. A task that became due several times
//! while no worker ran is run once, at once. The duration of a run is limited; when a worker dies, its task starts
//! again after the lease on it expired.
//!
//! The queue's own crontab is not used: it works in whole minutes, makes up for each missed run rather than for all of
//! them at once, does not record when a task last succeeded, and the jobs it adds wait behind the very jobs that some
//! of these tasks are there to rescue.

use std::{panic::AssertUnwindSafe, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::tasks;
use crate::{
    app::App,
    error::{Error, Result},
    jobs::text,
    store::schedule as store,
};

/// A scheduled task.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// The name, for operators.
    pub name: &'static str,
    /// The period.
    pub every: Duration,
    /// The description.
    pub what: &'static str,
    run: fn(App) -> BoxFuture<'static, Result<usize>>,
}

macro_rules! task {
    ($name:literal, $every_s:expr, $what:literal, $run:path) => {
        Task {
            name: $name,
            every: Duration::from_secs($every_s),
            what: $what,
            run: |app| async move { $run(&app).await }.boxed(),
        }
    };
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// All tasks. Each is independent of the others, is idempotent, and returns the number of items it processed.
pub const TASKS: [Task; 17] = [
    task!("fold_ticket_counts", 5, "Merges the ticket counters of individual writers", tasks::fold_ticket_counts),
    task!(
        "rescue_payments",
        MINUTE,
        "Re-queues pending payments, refunds and subscriptions that have no job",
        tasks::rescue_payments
    ),
    task!(
        "ask_about_subscriptions",
        MINUTE,
        "Queries the gateway about subscriptions whose period ended or that no webhook reported",
        tasks::ask_about_subscriptions
    ),
    task!("find_refunds", 10 * MINUTE, "Finds refunds at the gateway that no webhook reported", tasks::find_refunds),
    task!(
        "find_returned_refunds",
        24 * HOUR,
        "Finds refunds of the last 60 days that the bank returned and no webhook reported",
        tasks::find_returned_refunds
    ),
    task!("end_operations", MINUTE, "Ends operations that have no job", tasks::end_operations),
    task!("end_inbound_events", MINUTE, "Ends inbound webhook events that have no job", tasks::end_inbound_events),
    task!("end_deliveries", MINUTE, "Ends outbound webhook deliveries that have no job", tasks::end_deliveries),
    task!("end_mails", MINUTE, "Ends mails that have no job", tasks::end_mails),
    task!(
        "expire_keys",
        10 * MINUTE,
        "Removes stored responses after 1 day, idempotency keys after 30 days",
        tasks::expire_keys
    ),
    task!("expire_login_limits", 10 * MINUTE, "Removes login limits that have expired", tasks::expire_login_limits),
    task!("expire_resets", HOUR, "Removes password resets 1 day after they expired", tasks::expire_resets),
    task!("forget_inbound_events", HOUR, "Removes inbound webhook events after 90 days", tasks::forget_inbound_events),
    task!("forget_deliveries", HOUR, "Removes outbound webhook deliveries after 30 days", tasks::forget_deliveries),
    task!("forget_mails", HOUR, "Removes mails 30 days after they were sent or given up", tasks::forget_mails),
    task!("forget_operations", HOUR, "Removes operations 30 days after they ended", tasks::forget_operations),
    task!("forget_dead_jobs", HOUR, "Removes jobs 30 days after their last attempt failed", tasks::forget_dead_jobs),
];

/// The interval between two checks of the list.
const TICK: Duration = Duration::from_secs(1);
/// How long to wait after Postgres did not answer.
const REST: Duration = Duration::from_secs(5);
/// Tasks that one worker runs concurrently; each may hold a connection.
const AT_ONCE: usize = 2;
/// The longest that a run may take; well below [`crate::domain::schedule::LEASE`].
const LONGEST: Duration = Duration::from_secs(60);

/// Runs the tasks that are due until `stop` is cancelled; running tasks then have `grace` to finish.
pub(super) async fn keep(app: App, stop: CancellationToken, grace: Duration) {
    let mut in_hand = JoinSet::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = in_hand.join_next() => {}
            _ = tick.tick() => {}
        }
        match due(&app, AT_ONCE - in_hand.len()).await {
            Ok(claimed) => claimed.into_iter().for_each(|(task, at)| drop(in_hand.spawn(run(app.clone(), task, at)))),
            Err(error) => {
                tracing::warn!(error = text(&error), "the schedule could not be read");
                stop.run_until_cancelled(tokio::time::sleep(REST)).await;
            }
        }
    }
    let ended = tokio::time::timeout(grace, async { while in_hand.join_next().await.is_some() {} });
    if ended.await.is_err() {
        tracing::warn!("a scheduled task did not end in time; another worker will run it again");
    }
}

/// Claims at most `room` tasks that are due, the longest waiting first.
async fn due(app: &App, room: usize) -> Result<Vec<(Task, DateTime<Utc>)>> {
    let mut runs = app.database.autocommit(|connection| store::last_runs(connection).boxed()).await?;
    if TASKS.iter().any(|task| !runs.contains_key(task.name)) {
        let names = TASKS.map(|task| task.name);
        app.database
            .autocommit(move |connection| async move { store::register(connection, &names).await }.boxed())
            .await?;
    }
    let now = app.clock.now();
    let mut due = Vec::new();
    for task in TASKS {
        let last = runs.remove(task.name).unwrap_or_default();
        if let Some(succeeded_at) = last.succeeded_at {
            let gauge = metrics::gauge!("mainstay_scheduled_task_last_success_timestamp_seconds", "task" => task.name);
            #[expect(clippy::cast_precision_loss, reason = "seconds of this era are exact")]
            gauge.set(succeeded_at.timestamp() as f64);
        }
        if last.is_due(TimeDelta::from_std(task.every).unwrap_or(TimeDelta::MAX), now) {
            due.push((last.started_at, task));
        }
    }
    due.sort_by_key(|(started_at, _)| *started_at);
    let mut claimed = Vec::new();
    for (seen, task) in due {
        if claimed.len() == room {
            break;
        }
        let taken = app.database.autocommit(move |connection| store::claim(connection, task.name, seen, now).boxed());
        if taken.await? {
            claimed.push((task, now));
        }
    }
    Ok(claimed)
}

/// Runs a claimed task and records its outcome.
async fn run(app: App, task: Task, started_at: DateTime<Utc>) {
    let ended = tokio::time::timeout(LONGEST, AssertUnwindSafe((task.run)(app.clone())).catch_unwind()).await;
    let error = match ended {
        Ok(Ok(Ok(count))) => {
            tracing::debug!(task = task.name, count, "a scheduled task ran");
            None
        }
        Ok(Ok(Err(error))) => Some(text(&error)),
        Ok(Err(_)) => Some("it panicked".to_owned()),
        Err(_) => Some(format!("it took longer than {} s", LONGEST.as_secs())),
    };
    if let Some(error) = &error {
        metrics::counter!("mainstay_scheduled_task_failures_total", "task" => task.name).increment(1);
        tracing::error!(task = task.name, error, "a scheduled task failed");
    }
    let now = app.clock.now();
    let written = app.database.autocommit(move |connection| {
        async move { store::finish(connection, task.name, started_at, now, error.as_deref()).await }.boxed()
    });
    if let Err(error) = written.await {
        tracing::warn!(task = task.name, error = text(&error), "the outcome of a scheduled task could not be stored");
    }
}

/// Runs a task now, regardless of when it last ran; returns the number of items it processed.
///
/// # Errors
/// The task's own error; `NOT_FOUND` for a name that is not on the list.
pub async fn run_now(app: &App, name: &str) -> Result<usize> {
    let task = TASKS.iter().find(|task| task.name == name).ok_or_else(|| Error::not_found("task"))?;
    (task.run)(app.clone()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_schedule() {
        let document = include_str!("../../docs/jobs.md");
        for task in TASKS {
            let every = match task.every.as_secs() {
                hours if hours % HOUR == 0 => format!("{} h", hours / HOUR),
                minutes if minutes % MINUTE == 0 => format!("{} min", minutes / MINUTE),
                seconds => format!("{seconds} s"),
            };
            let row = format!("| {} | {every} | {} |", task.name, task.what);
            assert!(document.contains(&row), "docs/jobs.md lacks\n{row}");
        }
    }

    #[test]
    fn a_lease_outlives_every_run() {
        let lease = crate::domain::schedule::LEASE.to_std().expect("a length of time");
        assert!(lease >= LONGEST + Duration::from_secs(10), "clocks differ a little");
    }
}
