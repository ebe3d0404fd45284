use super::*;

const BACKOFF: Duration = Duration::from_secs(1);

fn breaker() -> Arc<Breaker> {
    Arc::new(Breaker::new("test", BACKOFF, 4 * BACKOFF))
}

#[test]
fn a_row_of_failures_opens_it_once() {
    let breaker = breaker();
    for _ in 1..MAX_FAILURES {
        assert!(!breaker.record_failure(false));
    }
    breaker.record_success();
    let openings = (0..3 * MAX_FAILURES).filter(|_| breaker.record_failure(false)).count();
    assert_eq!((openings, breaker.state()), (1, Circuit::Open));
}

#[test]
fn a_lost_connection_opens_it_at_once_and_a_probe_in_the_background_closes_it() {
    let breaker = breaker();
    assert!(breaker.clone().probe().is_none(), "a closed circuit needs no probe");
    assert!(breaker.record_failure(true));
    let probe = breaker.clone().probe().expect("it is open");
    assert_eq!(breaker.state(), Circuit::HalfOpen);
    assert!(breaker.clone().probe().is_none(), "one probe at a time");
    probe.settle(Verdict::Unavailable);
    assert_eq!(breaker.state(), Circuit::Open);
    breaker.clone().probe().expect("it is open").settle(Verdict::Alive);
    assert_eq!(breaker.state(), Circuit::Closed);
    assert!(!breaker.record_failure(false), "the row begins anew");
}

#[tokio::test(start_paused = true)]
async fn one_call_probes_when_the_backoff_is_over_and_the_backoff_doubles() {
    let breaker = breaker();
    assert!(breaker.record_failure(true));
    for backoff in [1, 2, 4, 4] {
        let backoff = backoff * BACKOFF;
        assert_eq!(breaker.clone().admit().expect_err("it is open"), backoff);
        tokio::time::advance(backoff).await;
        assert_eq!(breaker.state(), Circuit::HalfOpen);
        let probe = breaker.clone().admit().expect("the backoff is over");
        assert!(breaker.clone().admit().is_err(), "one probe at a time");
        probe.settle(Verdict::Unavailable);
    }
    tokio::time::advance(4 * BACKOFF).await;
    drop(breaker.clone().admit().expect("a probe"));
    let next = breaker.clone().admit().expect("the probe that was given up has shown nothing");
    let late = AdmittedCall::new(breaker.clone(), false);
    next.settle(Verdict::Alive);
    late.settle(Verdict::Unavailable);
    assert_eq!(breaker.state(), Circuit::Closed);
}

/// Every call is counted once, in any order of completion.
#[test]
fn concurrent_failures_open_it_once() {
    let breaker = breaker();
    let openings: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..100).filter(|_| breaker.record_failure(false)).count())).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!((openings, breaker.state()), (1, Circuit::Open));
}
