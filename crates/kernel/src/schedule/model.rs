//! Due times of periodic tasks.

use chrono::{DateTime, TimeDelta, Utc};

/// The lease: a run that has not ended after this time is considered dead. It exceeds the time limit of a run.
pub const LEASE: TimeDelta = TimeDelta::seconds(90);
/// The time after the start of a failed run at which it is retried, unless its period is shorter.
const RETRY: TimeDelta = TimeDelta::seconds(60);

/// The last run of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastRun {
    /// The start of the last run; `None` if there was none.
    pub started_at: Option<DateTime<Utc>>,
    /// The end of the last completed run.
    pub finished_at: Option<DateTime<Utc>>,
    /// The end of the last successful run.
    pub succeeded_at: Option<DateTime<Utc>>,
    /// The error of the last completed run; `None` if it succeeded.
    pub error: Option<String>,
}

impl LastRun {
    /// Returns whether a task with the period `every` is due. A single run makes up for all missed ones. A start that
    /// is further in the future than a lease was recorded by a Postgres with a wrong clock, and is ignored.
    pub fn is_due(&self, every: TimeDelta, now: DateTime<Utc>) -> bool {
        let Some(started_at) = self.started_at else { return true };
        let has_ended = self.finished_at.is_some_and(|finished_at| started_at <= finished_at);
        let wait = match (has_ended, &self.error) {
            (false, _) => LEASE,
            (true, Some(_)) => every.min(RETRY),
            (true, None) => every,
        };
        started_at + wait <= now || started_at > now + LEASE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: TimeDelta = TimeDelta::hours(1);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    fn run(start: i64, end: Option<i64>, error: Option<&str>) -> LastRun {
        let error = error.map(str::to_owned);
        LastRun { started_at: Some(at(start)), finished_at: end.map(at), succeeded_at: None, error }
    }

    #[test]
    fn a_task_is_due_once_per_period() {
        assert!(LastRun::default().is_due(HOUR, at(0)), "it never ran");
        let last_run = run(0, Some(1), None);
        assert!(!last_run.is_due(HOUR, at(3599)));
        assert!(last_run.is_due(HOUR, at(3600)));
        assert!(last_run.is_due(HOUR, at(86_400)), "once, however long ago");
    }

    #[test]
    fn a_running_task_is_not_due_until_its_lease_ends() {
        for running in [run(0, None, None), run(0, Some(-10), None), run(0, Some(-10), Some("unavailable"))] {
            assert!(!running.is_due(TimeDelta::seconds(5), at(89)), "{running:?}");
            assert!(running.is_due(HOUR, at(90)), "{running:?}");
        }
    }

    #[test]
    fn a_host_whose_clock_was_ahead_stops_no_task() {
        for ahead in [run(91, None, None), run(86_400, Some(86_401), None)] {
            assert!(ahead.is_due(HOUR, at(0)), "{ahead:?}");
        }
        assert!(!run(90, None, None).is_due(HOUR, at(0)), "clocks of a primary and its successor differ by seconds");
    }

    #[test]
    fn a_failed_task_is_retried_before_its_period_ends() {
        let failed = run(0, Some(0), Some("unavailable"));
        assert!(!failed.is_due(HOUR, at(59)));
        assert!(failed.is_due(HOUR, at(60)));
        assert!(failed.is_due(TimeDelta::seconds(5), at(5)));
    }
}
