use crate::{payments::settlement::model::FailureKind, subscriptions::model::*};
use mainstay_kernel::money::{Currency, Money};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
}

fn later(days: i64) -> DateTime<Utc> {
    now() + TimeDelta::days(days)
}

fn price() -> Money {
    Money::new(900, Currency::parse("EUR").expect("a currency")).expect("a price")
}

fn pending() -> Subscription {
    let product = Product::new("A box each month".into(), price(), Some(Interval::Month), now());
    let account = AccountId(Uuid::nil());
    Subscription::intend(
        account,
        product,
        Uuid::nil(),
        "stripe",
        PaymentMethod::parse("pm_card_visa".to_owned()).expect("a token"),
        now(),
        later(1),
    )
    .expect("offered")
}

/// Returns an answer of the gateway: a phase, in the period with this number.
fn snapshot(phase: Phase, period: i64) -> Snapshot {
    Snapshot {
        gateway_id: "sub_1".into(),
        phase,
        period: Period { start: later(30 * period), end: later(30 * (period + 1)) },
        cancel_at_period_end: false,
        invoices: Vec::new(),
    }
}

fn observe(subscription: &Subscription, number: i64, snapshot: &Snapshot) -> Subscription {
    match subscription.observe(number, snapshot, now()) {
        Observation::Changed(next) | Observation::Unchanged(next) => next,
        other => panic!("nothing new: {other:?}"),
    }
}

fn active() -> Subscription {
    observe(&pending(), 1, &snapshot(Phase::Active, 0))
}

fn failure() -> Failure {
    Failure { kind: FailureKind::Declined, code: "generic_decline".into(), message: "No.".into() }
}

#[test]
fn answers_to_earlier_queries_are_stale() {
    let renewed = observe(&active(), 5, &snapshot(Phase::Active, 1));
    for number in [2, 4, 5] {
        assert_eq!(renewed.observe(number, &snapshot(Phase::Active, 0), now()), Observation::Stale, "{number}");
        assert_eq!(
            renewed.observe(number, &snapshot(Phase::Active, 1), now()),
            Observation::Ended,
            "{number}: it is known"
        );
    }
    let due = observe(&renewed, 6, &snapshot(Phase::PastDue, 2));
    assert_eq!((due.state.status(), due.last_answer, due.version), (Status::PastDue, 6, renewed.version + 1));
}

/// All orders in which four answers can arrive lead to the same result.
#[test]
fn the_latest_query_wins_in_any_order() {
    let answers = [(2, Phase::Active, 0), (3, Phase::PastDue, 1), (4, Phase::Active, 1), (5, Phase::Active, 2)];
    let mut orders = vec![vec![]];
    for _ in &answers {
        let longer = |order: &Vec<usize>| -> Vec<Vec<usize>> {
            let rest = (0..answers.len()).filter(|next| !order.contains(next));
            rest.map(|next| [order.clone(), vec![next]].concat()).collect()
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    assert_eq!(orders.len(), 24);
    for order in orders {
        let mut subscription = active();
        // Each answer arrives twice.
        for &next in order.iter().flat_map(|next| [next, next]) {
            let (number, phase, period) = answers[next];
            match subscription.observe(number, &snapshot(phase, period), now()) {
                Observation::Changed(next) | Observation::Unchanged(next) => subscription = next,
                Observation::Stale | Observation::Ended => {}
            }
        }
        let period = snapshot(Phase::Active, 2).period;
        assert_eq!(
            (subscription.state.status(), subscription.state.period()),
            (Status::Active, Some(period)),
            "{order:?}"
        );
    }
}

#[test]
fn the_same_answer_changes_nothing() {
    let subscription = active();
    let same = Subscription { last_answer: 2, ..subscription.clone() };
    assert_eq!(subscription.observe(2, &snapshot(Phase::Active, 0), later(1)), Observation::Unchanged(same));
}

#[test]
fn an_ended_subscription_stays_ended() {
    let subscription = observe(&active(), 2, &snapshot(Phase::Cancelled(later(3)), 0));
    assert_eq!(
        (subscription.state.status(), subscription.state.cancelled_at(), subscription.next_sync(now())),
        (Status::Cancelled, Some(later(3)), None)
    );
    assert_eq!(subscription.observe(3, &snapshot(Phase::Active, 1), now()), Observation::Ended);
    let failed = pending().fail(1, failure(), now()).expect("the current attempt");
    assert_eq!(failed.observe(9, &snapshot(Phase::Active, 0), now()), Observation::Ended);
    assert_eq!((failed.state.failure(), failed.lease.until), (Some(&failure()), None));
}

#[test]
fn only_the_current_attempt_can_fail_a_pending_subscription() {
    assert_eq!(pending().fail(2, failure(), now()), None);
    assert_eq!(active().fail(1, failure(), now()), None);
}

#[test]
fn a_cancellation_is_pending_until_the_gateway_confirms_it() {
    for how in [Cancellation::Immediately, Cancellation::AtPeriodEnd] {
        let pending = active().cancel(how, now(), later(1)).expect("it goes on");
        assert!(pending.is_unsettled() && pending.lease.until.is_some() && pending.last_query == 2, "{how:?}");
        assert!(pending.cancel(how, now(), later(1)).is_err(), "one at a time");
        // The answer to an earlier query does not show the cancellation yet.
        let still = observe(&pending, 2, &snapshot(Phase::Active, 0));
        assert_eq!((still.pending_cancellation, still.lease.until), (Some(how), pending.lease.until));
        let at_end = Snapshot { cancel_at_period_end: true, ..snapshot(Phase::Active, 0) };
        let confirmed = observe(&still, 3, &at_end);
        let expected = (how == Cancellation::Immediately).then_some(how);
        assert_eq!((confirmed.pending_cancellation, confirmed.cancel_at_period_end), (expected, true), "{how:?}");
        let subscription = observe(&confirmed, 4, &snapshot(Phase::Cancelled(later(2)), 0));
        assert_eq!(
            (subscription.pending_cancellation, subscription.cancel_at_period_end, subscription.lease.until),
            (None, false, None)
        );
    }
}

/// A customer who is told "already cancelled" would keep a subscription until the end of its period.
#[test]
fn an_immediate_cancellation_waits_for_one_at_the_end_of_the_period() {
    const CASES: [(Cancellation, Cancellation, bool); 4] = [
        (Cancellation::AtPeriodEnd, Cancellation::Immediately, true),
        (Cancellation::AtPeriodEnd, Cancellation::AtPeriodEnd, false),
        (Cancellation::Immediately, Cancellation::Immediately, false),
        (Cancellation::Immediately, Cancellation::AtPeriodEnd, false),
    ];
    for (first, second, is_retryable) in CASES {
        let pending = active().cancel(first, now(), later(1)).expect("it goes on");
        let refusal = pending.cancel(second, now(), later(1)).expect_err("one at a time").detail();
        let expected = if is_retryable { "CONFLICT" } else { "SUBSCRIPTION_ALREADY_CANCELLED" };
        assert_eq!(refusal, expected, "{second:?} after {first:?}");
    }
}

/// Covers every state and both cancellations: all other transitions are rejected.
#[test]
fn only_ongoing_subscriptions_are_cancelled() {
    let at_end = Snapshot { cancel_at_period_end: true, ..snapshot(Phase::Active, 0) };
    let cases = [
        (pending(), false, false),
        (active(), true, true),
        (observe(&active(), 2, &snapshot(Phase::PastDue, 1)), true, true),
        (observe(&active(), 2, &at_end), true, false),
        (observe(&active(), 2, &snapshot(Phase::Cancelled(now()), 0)), false, false),
        (pending().fail(1, failure(), now()).expect("the current attempt"), false, false),
    ];
    for (subscription, at_once, at_period_end) in cases {
        let may = |how| subscription.cancel(how, now(), later(1)).is_ok();
        let answers = (may(Cancellation::Immediately), may(Cancellation::AtPeriodEnd));
        assert_eq!(answers, (at_once, at_period_end), "{:?}", subscription.state);
    }
}

#[test]
fn the_gateway_is_also_queried_on_a_schedule() {
    let subscription = active();
    assert_eq!(subscription.next_sync(now()), Some(later(1)), "the silence is bounded");
    let end = snapshot(Phase::Active, 0).period.end;
    assert_eq!(subscription.next_sync(end - TimeDelta::minutes(5)), Some(end + GRACE));
    let over = end + TimeDelta::days(3);
    assert_eq!(subscription.next_sync(over), Some(over + OVERDUE));
    assert_eq!(pending().next_sync(now()), None);
}
