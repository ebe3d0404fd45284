//! Tests of attempts that this process counts without Redis.

use proptest::prelude::*;

use super::*;

const QUOTA: Quota = Quota { requests: 10, window: Duration::from_secs(900) };

fn limit(who: u32, quota: Quota) -> AttemptLimit {
    AttemptLimit::new("test", &who.to_le_bytes(), quota)
}

/// The wait of a rejected attempt.
fn wait_us(outcome: &Outcome) -> Option<i64> {
    match outcome {
        Outcome::Counted(_) => None,
        Outcome::Refused { wait_us, .. } => Some(*wait_us),
    }
}

fn count(logs: &Logs) -> usize {
    logs.0.lock()["test"].0.len()
}

#[test]
fn ten_in_a_row_and_then_each_as_its_time_comes() {
    let (logs, limits) = (Logs::default(), [limit(0, QUOTA)]);
    for at in 0..10 {
        assert_eq!(wait_us(&logs.attempt(&limits, at)), None);
    }
    assert_eq!(wait_us(&logs.attempt(&limits, 9)), Some(900_000_000 - 8));
    assert!(wait_us(&logs.attempt(&limits, 900_000_000)).is_some());
    assert_eq!(wait_us(&logs.attempt(&limits, 900_000_001)), None);
}

#[test]
fn a_refused_attempt_and_a_withdrawn_one_count_for_no_limit() {
    let logs = Logs::default();
    let (narrow, wide) = (limit(0, Quota { requests: 1, ..QUOTA }), limit(1, Quota { requests: 2, ..QUOTA }));
    assert_eq!(wait_us(&logs.attempt(&[wide, narrow], 0)), None);
    for _ in 0..5 {
        assert!(matches!(logs.attempt(&[wide, narrow], 1), Outcome::Refused { limit: 1, .. }));
    }
    logs.take_back(&[wide, narrow], 0);
    assert_eq!(wait_us(&logs.attempt(&[wide, narrow], 2)), None);
    assert_eq!(wait_us(&logs.attempt(&[wide], 3)), None);
    assert!(wait_us(&logs.attempt(&[wide], 4)).is_some());
}

#[test]
fn the_networks_of_a_site_have_attempts_in_common() {
    let of_network = |text: &str| AttemptLimit::of_network("test", text.parse().unwrap(), QUOTA).key;
    let of_site = |text: &str| AttemptLimit::of_site("test", text.parse().unwrap(), QUOTA).map(|limit| limit.key);
    assert_ne!(of_network("2001:db8:1:2::1"), of_network("2001:db8:1:3::1"));
    assert_eq!(of_site("2001:db8:1:2::1"), of_site("2001:db8:1:3::1"));
    assert_ne!(of_site("2001:db8:1:2::1"), of_site("2001:db8:2:2::1"));
    assert_ne!(of_site("2001:db8:1::1"), Some(of_network("2001:db8:1::1")));
    assert_eq!(of_site("192.0.2.1"), None);
}

#[test]
fn a_flood_of_keys_is_bounded_and_frees_no_key() {
    let (logs, limits) = (Logs::default(), |who| [limit(who, QUOTA)]);
    let day = [limit(u32::MAX - 1, Quota { requests: 1, window: Duration::from_secs(86_400) })];
    assert_eq!(wait_us(&logs.attempt(&day, 0)), None);
    for _ in 0..10 {
        logs.attempt(&limits(0), 0);
    }
    for number in 1..MAX_LOGS as u32 + 100 {
        logs.attempt(&limits(number), 0);
    }
    assert!(count(&logs) <= MAX_LOGS);
    assert_eq!(wait_us(&logs.attempt(&limits(u32::MAX), 1)), None, "no other key is locked out");
    assert!(wait_us(&logs.attempt(&limits(0), 1)).is_some(), "what is used up stays so");
    assert_eq!(wait_us(&logs.attempt(&limits(0), 1_000_000_000)), None);
    assert!(wait_us(&logs.attempt(&day, 1_000_000_000)).is_some(), "each log has a window of its own");
}

#[test]
fn a_flood_locks_no_other_key() {
    let logs = Logs::default();
    for number in 0..4 * MAX_LOGS as u32 {
        logs.attempt(&[limit(number, QUOTA)], i64::from(number) * 1000);
        // A user who mistypes now and then.
        if number % 8192 == 0 {
            let other = logs.attempt(&[limit(u32::MAX, QUOTA)], i64::from(number) * 1000);
            assert_eq!(wait_us(&other), None, "{number}");
        }
    }
    assert!(count(&logs) <= MAX_LOGS);
}

/// One attempt uses up some limits for a day, such as that of the mail to an unconfirmed address.
#[test]
fn a_flood_that_uses_up_a_limit_neither_locks_nor_frees_other_keys() {
    let (logs, once) = (Logs::default(), Quota { requests: 1, window: Duration::from_secs(86_400) });
    let guesses = [AttemptLimit::new("login", b"ada@example.org", QUOTA)];
    for _ in 0..9 {
        assert_eq!(wait_us(&logs.attempt(&guesses, 0)), None);
    }
    for number in 0..4 * MAX_LOGS as u32 {
        let (limits, now_us) = ([limit(number, once)], i64::from(number));
        assert_eq!(wait_us(&logs.attempt(&limits, now_us)), None, "{number} has had no attempt");
        assert!(wait_us(&logs.attempt(&limits, now_us)).is_some(), "{number} has had one");
    }
    assert!(count(&logs) <= MAX_LOGS);
    assert_eq!(wait_us(&logs.attempt(&guesses, 1)), None);
    assert!(wait_us(&logs.attempt(&guesses, 1)).is_some(), "what fills one limit is not forgotten of another");
}

proptest! {
    #[test]
    fn no_window_holds_more_than_the_quota(
        requests in 1..12u32,
        window_us in 1..1_000_000u64,
        steps in prop::collection::vec((prop_oneof![Just(0i64), 0..300_000i64], prop::bool::weighted(0.2)), 1..200),
    ) {
        let quota = Quota { requests, window: Duration::from_micros(window_us) };
        let (logs, limits) = (Logs::default(), [limit(0, quota)]);
        let (mut now_us, mut times_us): (i64, Vec<i64>) = (0, Vec::new());
        for (gap, is_taken_back) in steps {
            now_us += gap;
            let within = times_us.iter().filter(|&&at| now_us - at <= window_us as i64).count();
            match logs.attempt(&limits, now_us) {
                Outcome::Counted(at_us) => {
                    prop_assert!(within < requests as usize);
                    if is_taken_back { logs.take_back(&limits, at_us) } else { times_us.push(at_us) }
                }
                Outcome::Refused { .. } => prop_assert_eq!(within, requests as usize),
            }
        }
    }
}
