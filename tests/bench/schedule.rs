//! The open loop keeps its schedule.

use std::time::Duration;

use crate::open_loop::{Caller, Schedule, run};

/// Answers after a time, and refuses every request of a multiple.
struct Slow {
    answers_in: Duration,
    refuses: usize,
}

impl Caller for Slow {
    async fn call(&mut self, number: usize) -> anyhow::Result<bool> {
        tokio::time::sleep(self.answers_in).await;
        Ok(!(number + 1).is_multiple_of(self.refuses))
    }
}

fn slow(callers: usize, answers_in_ms: u64) -> Vec<Slow> {
    let slow = || Slow { answers_in: Duration::from_millis(answers_in_ms), refuses: usize::MAX };
    std::iter::repeat_with(slow).take(callers).collect()
}

const SCHEDULE: Schedule = Schedule { per_second: 100.0, length: Duration::from_millis(500) };

#[test]
fn a_schedule_has_equal_intervals() {
    assert_eq!(SCHEDULE.count(), 50);
    assert_eq!([0, 1, 49].map(|number| SCHEDULE.due(number).as_millis()), [0, 10, 490]);
    assert_eq!(Schedule { per_second: 0.5, length: Duration::from_millis(1) }.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_start_on_time_while_earlier_ones_wait() {
    let outcomes = run(slow(50, 200), SCHEDULE).await.expect("no errors");
    assert_eq!((outcomes.latency.len(), outcomes.refused), (50, 0));
    // A loop that waits for responses would take 10 s.
    assert!(outcomes.wall >= Duration::from_millis(690) && outcomes.wall < Duration::from_secs(5), "{outcomes:?}");
    assert!(outcomes.latency.min() >= 199_000, "{outcomes:?}");
    assert!(outcomes.per_second() > 10.0 && outcomes.per_second() <= 75.0, "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latencies_include_the_wait_for_a_connection() {
    // One connection answers 50 requests per second, and 100 are offered: the last one waits half a second.
    let outcomes = run(slow(1, 20), SCHEDULE).await.expect("no errors");
    assert_eq!(outcomes.latency.len(), 50);
    assert!(outcomes.latency.max() >= 500_000, "{outcomes:?}");
    assert!(outcomes.latency.value_at_quantile(0.5) >= 240_000, "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_has_no_latency() {
    let callers = vec![Slow { answers_in: Duration::ZERO, refuses: 5 }];
    let outcomes = run(callers, SCHEDULE).await.expect("no errors");
    assert_eq!((outcomes.latency.len(), outcomes.refused), (40, 10));
}
