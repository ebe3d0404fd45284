//! The cost of work in CPU time of its thread (clock_gettime(3)), which other processes do not change.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Below this, the cost of a cold cache would count.
const FLOOR: Duration = Duration::from_millis(4);

fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into()
}

pub(crate) fn cost(work: impl FnOnce()) -> Duration {
    let began = now();
    work();
    now() - began
}

/// The work on a text of four times the length costs about four times as much; quadratic work would cost sixteen times
/// as much. `work` receives the length in bytes.
pub(crate) fn assert_proportional(name: &str, work: impl Fn(usize)) {
    const SHORT: usize = 16 << 10;
    let (mut short, mut long) = (Duration::MAX, Duration::MAX);
    // Another process may have emptied the caches of the processor, so the cheapest of several tries counts.
    for _ in 0..20 {
        short = short.min(cost(|| work(SHORT)).max(FLOOR));
        long = long.min(cost(|| work(4 * SHORT)));
        if long < 10 * short {
            return;
        }
    }
    panic!("{name}: {short:?} for {SHORT} bytes, {long:?} for four times as many");
}
