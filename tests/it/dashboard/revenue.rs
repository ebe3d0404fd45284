//! Revenue equals the sums of the ledger, in every time zone, at every moment.

use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    cases::{Scene, order::order},
    support::{
        Actor, PROTOCOLS, Protocol, TestApp,
        app::environment,
        database::{TestDatabase, connect},
        euro, unique,
    },
};

const REVENUE: &str = "RevenueService.GetRevenue";
/// The contribution of a ledger row: gross, refunds, number of sales, number of refunds.
const FIGURES: &str = "sum(CASE WHEN kind IN (1, 3) THEN amount_minor ELSE 0 END),
    sum(CASE kind WHEN 2 THEN amount_minor WHEN 4 THEN -amount_minor ELSE 0 END),
    sum((kind IN (1, 3))::integer), sum(CASE kind WHEN 2 THEN 1 WHEN 4 THEN -1 ELSE 0 END)";

/// Permits a test to book movements without subjects.
async fn without_subjects(database: &TestDatabase) {
    database
        .sql(
            "DO $$ DECLARE name text; BEGIN
                 FOR name IN SELECT conname FROM pg_constraint
                     WHERE conrelid = 'ledger_transactions'::regclass AND contype = 'f' LOOP
                     EXECUTE format('ALTER TABLE ledger_transactions DROP CONSTRAINT %I', name);
                 END LOOP;
             END $$",
        )
        .await;
}

/// Books random movements from February to November 2026: some exactly at the beginning of a day, some just before.
async fn book(database: &TestDatabase, seed: f64, count: usize) {
    database
        .sql(&format!(
            "SELECT setseed({seed});
             INSERT INTO ledger_transactions (id, kind, payment_id, refund_id, subscription_id, reversed_refund_id,
                 gateway_id, debit_account, credit_account, currency, amount_minor, created_at)
             SELECT id, kind, CASE kind WHEN 1 THEN id END, CASE kind WHEN 2 THEN id END, CASE kind WHEN 3 THEN id END,
                 CASE kind WHEN 4 THEN id END, id::text, CASE kind WHEN 2 THEN 3 ELSE 1 END,
                 CASE kind WHEN 2 THEN 1 WHEN 4 THEN 3 ELSE 2 END, (ARRAY['EUR', 'USD', 'JPY'])[1 + floor(random() * 3)],
                 1 + floor(random() * 99999999), CASE WHEN random() < 0.8 THEN at
                     ELSE date_bin('15 minutes', at, '2000-01-01Z') - (random() < 0.5)::integer * interval '1 microsecond' END
             FROM (SELECT gen_random_uuid() AS id, 1 + floor(random() * 4)::smallint AS kind,
                       '2026-02-01Z'::timestamptz + random() * interval '300 days' AS at
                   FROM generate_series(1, {count})) AS drawn"
        ))
        .await;
}

/// Returns the figures by currency and first day, counted in plain SQL.
async fn figures_from_sql(database: &TestDatabase, unit: &str, zone: &str) -> BTreeMap<(String, String), [i64; 4]> {
    let sql = format!(
        "SELECT currency, to_char(date_trunc('{unit}', created_at AT TIME ZONE '{zone}'), 'YYYY-MM-DD'), {FIGURES}
         FROM ledger_transactions GROUP BY 1, 2"
    );
    let number = |cell: &Option<String>| cell.as_ref().and_then(|text| text.parse().ok()).expect("a number");
    let rows = database.sql(&sql).await.into_iter().filter(|row| row.len() == 6);
    rows.map(|row| {
        let text = |at: usize| row[at].clone().expect("a text");
        ((text(0), text(1)), [number(&row[2]), number(&row[3]), number(&row[4]), number(&row[5])])
    })
    .collect()
}

fn figures(value: &Value) -> [i64; 4] {
    let number = |name: &str| value[name].as_str().expect(name).parse().expect("a number");
    let [gross, refunds, net] = ["gross", "refunds", "net"].map(|name| {
        let amount = &value[name]["amountMinor"];
        amount.as_str().expect(name).parse::<i64>().expect("an amount")
    });
    assert_eq!(net, gross - refunds);
    [gross, refunds, number("saleCount"), number("refundCount")]
}

/// Returns the figures by currency and first day, from the API.
async fn figures_from_api(who: &Actor, request: Value) -> BTreeMap<(String, String), [i64; 4]> {
    let answer = who.rest(REVENUE, request).await.success();
    let mut by_day = BTreeMap::new();
    for currency in answer.data()["currencies"].as_array().expect("currencies") {
        let code = currency["currencyCode"].as_str().expect("a code");
        let mut sums = ([0; 4], [0; 4]);
        for period in currency["periods"].as_array().expect("periods") {
            let of = figures(&period["figures"]);
            for (at, number) in of.iter().enumerate() {
                sums.0[at] += number;
                sums.1[at] += figures(&period["previous"])[at];
            }
            by_day.insert((code.to_owned(), period["startDate"].as_str().expect("a day").to_owned()), of);
        }
        assert_eq!(sums, (figures(&currency["total"]), figures(&currency["previousTotal"])), "{code}");
    }
    // A period without movements has zeros in the API, and no row in SQL.
    by_day.retain(|_, figures| *figures != [0; 4]);
    by_day
}

#[tokio::test(flavor = "multi_thread")]
async fn revenue_is_what_plain_sql_adds_up_in_every_time_zone() {
    let app = TestApp::start().await;
    let admin = app.cast().await.admin;
    without_subjects(&app.database).await;
    // All movements are summed, then some are added to the same quarters and not summed.
    book(&app.database, 0.1, 3000).await;
    assert_eq!(app.run_task("sum_ledger").await.expect("it ran"), 3000);
    book(&app.database, 0.2, 1500).await;
    assert_eq!(app.database.number("SELECT count(*) FROM ledger_unsummed").await, 1500);
    for zone in
        ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Kiritimati"]
    {
        // Around both clock changes of the northern hemisphere, and some of the southern one.
        for (unit, interval, start, end) in [
            ("day", "DAY", "2026-03-01", "2026-04-30"),
            ("day", "DAY", "2026-09-20", "2026-11-10"),
            ("week", "WEEK", "2026-02-16", "2026-11-22"),
            ("month", "MONTH", "2026-02-01", "2026-11-30"),
        ] {
            let request = json!({
                "interval": format!("REVENUE_INTERVAL_{interval}"), "timeZone": zone, "startDate": start, "endDate": end,
            });
            let mut expected = figures_from_sql(&app.database, unit, zone).await;
            expected.retain(|(_, day), figures| (start..=end).contains(&day.as_str()) && *figures != [0; 4]);
            assert!(expected.len() > 25, "nothing was checked");
            assert_eq!(figures_from_api(&admin, request).await, expected, "{zone} {interval} {start}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_periods_before_stand_beside() {
    let app = TestApp::start().await;
    let admin = app.cast().await.admin;
    without_subjects(&app.database).await;
    book(&app.database, 0.3, 1000).await;
    let request = |start: &str, end: &str| json!({ "timeZone": "Europe/Berlin", "startDate": start, "endDate": end });
    // Ten days, the fifth of which has 23 hours.
    let answer = admin.call(Protocol::Grpc, REVENUE, request("2026-04-04", "2026-04-13")).await.success();
    let before = figures_from_api(&admin, request("2026-03-25", "2026-04-03")).await;
    let mut by_day = BTreeMap::new();
    for currency in answer.data()["currencies"].as_array().expect("currencies") {
        for (at, period) in currency["periods"].as_array().expect("periods").iter().enumerate() {
            let day = chrono::NaiveDate::from_ymd_opt(2026, 3, 25).expect("a day") + chrono::Days::new(at as u64);
            let code = currency["currencyCode"].as_str().expect("a code").to_owned();
            by_day.insert((code, day.to_string()), figures(&period["previous"]));
        }
    }
    by_day.retain(|_, figures| *figures != [0; 4]);
    assert!(by_day.len() > 10, "nothing was checked");
    assert_eq!(by_day, before);
}

/// Bookings commit in another order than they begin, while their sums are computed: every answer includes all bookings
/// committed before it, and none twice.
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_lacks_a_booking_or_has_it_twice() {
    const WRITERS: usize = 4;
    const EACH: usize = 60;
    let app = TestApp::start().await;
    let admin = app.cast().await.admin;
    admin.token().await;
    without_subjects(&app.database).await;
    let (starts, committed, ends) = (AtomicI64::new(0), AtomicI64::new(0), AtomicUsize::new(0));
    let write = async |writer: usize| {
        let client = connect(&app.database.url).await;
        for number in 0..EACH {
            starts.fetch_add(1, Ordering::SeqCst);
            let booking = format!(
                "BEGIN; INSERT INTO ledger_transactions (id, kind, subscription_id, gateway_id, debit_account, credit_account,
                     currency, amount_minor, created_at)
                 VALUES (gen_random_uuid(), 3, gen_random_uuid(), 'in_{writer}_{number}', 1, 2, 'EUR', 7, now());
                 SELECT pg_sleep(random() * 0.01); COMMIT"
            );
            client.batch_execute(&booking).await.expect("a booking");
            committed.fetch_add(1, Ordering::SeqCst);
        }
        ends.fetch_add(1, Ordering::SeqCst);
    };
    let sum = async || {
        while ends.load(Ordering::SeqCst) < WRITERS {
            app.run_task("sum_ledger").await.expect("it ran");
        }
    };
    let read = async || {
        let (mut last, mut answers) = (0, 0);
        while last < (WRITERS * EACH) as i64 {
            let least = committed.load(Ordering::SeqCst);
            let sales: i64 = figures_from_api(&admin, json!({})).await.values().map(|figures| figures[2]).sum();
            let most = starts.load(Ordering::SeqCst);
            assert!((least.max(last)..=most).contains(&sales), "{sales} of {least} to {most}, after {last}");
            (last, answers) = (sales, answers + 1);
        }
        answers
    };
    let (_, (), (), answers) = tokio::join!(join_all((0..WRITERS).map(write)), sum(), sum(), read());
    assert!(answers > 10, "only {answers} answers");
    app.run_task("sum_ledger").await.expect("it ran");
    assert_eq!(app.database.number("SELECT count(*) FROM ledger_unsummed").await, 0);
    assert_eq!(app.database.number("SELECT sum(sales) FROM ledger_sums WHERE span = 2").await, (WRITERS * EACH) as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_and_its_refund_show_at_once() {
    let (_app, scene) = Scene::start().await;
    let charge = json!({ "orderId": order(&scene).await, "paymentMethod": "pm_card_visa" });
    let paid =
        scene.cast.customer.keyed(Protocol::Rest, "PaymentService.ChargePayment", charge, &unique()).await.success();
    let refund = json!({ "paymentId": paid.id(), "amount": euro("50") });
    scene.cast.admin.keyed(Protocol::Rest, "RefundService.CreateRefund", refund, &unique()).await.success();
    for protocol in PROTOCOLS {
        let answer = scene.cast.admin.call(protocol, REVENUE, json!({ "timeZone": "Asia/Tokyo" })).await.success();
        let euros = &answer.data()["currencies"][0];
        assert_eq!((euros["currencyCode"].as_str(), figures(&euros["total"])), (Some("EUR"), [450, 50, 1, 1]));
        let periods = euros["periods"].as_array().expect("periods");
        assert_eq!((periods.len(), figures(&periods[29]["figures"])), (30, [450, 50, 1, 1]));
    }
}

/// Runs `mainstay dashboard rebuild`; returns whether it succeeded, and its output.
async fn rebuild(app: &TestApp) -> (bool, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.args(["dashboard", "rebuild"]).envs(environment(&app.database, &[]).await).stdin(Stdio::null());
    let output = command.output().await.expect("the binary runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_that_are_wrong_are_found_and_made_anew() {
    let app = TestApp::start().await;
    let admin = app.cast().await.admin;
    without_subjects(&app.database).await;
    book(&app.database, 0.4, 500).await;
    app.run_task("sum_ledger").await.expect("it ran");
    book(&app.database, 0.5, 100).await;
    let request = json!({ "interval": "REVENUE_INTERVAL_MONTH", "startDate": "2026-02-01", "endDate": "2026-11-30" });
    let right = figures_from_api(&admin, request.clone()).await;
    let (is_ok, output) = rebuild(&app).await;
    assert!(is_ok && output.starts_with("The sums agreed with the ledger.\n"), "{output}");
    assert_eq!(app.database.number("SELECT count(*) FROM ledger_unsummed").await, 0);
    assert_eq!(figures_from_api(&admin, request.clone()).await, right);

    let first = "SELECT starts_at FROM ledger_sums WHERE span = 2 ORDER BY starts_at LIMIT 1";
    app.database
        .sql(&format!("UPDATE ledger_sums SET gross_minor = gross_minor + 1 WHERE span = 2 AND starts_at = ({first})"))
        .await;
    app.database
        .sql("DELETE FROM ledger_sums WHERE ctid = (SELECT ctid FROM ledger_sums WHERE span = 1 LIMIT 1)")
        .await;
    app.database.sql("INSERT INTO ledger_sums VALUES (2, '2027-01-01Z', 'CHF', 5, 0, 1, 0)").await;
    let (is_ok, output) = rebuild(&app).await;
    assert!(
        !is_ok
            && output.contains(
                "the day from 2027-01-01 00:00 in CHF: 5 sold and 0 refunded are stored, and the ledger has 0 and 0."
            ),
        "{output}"
    );
    assert!(
        output.contains("the quarter of an hour from 2026-") && output.contains(" sums differed from the ledger.\n"),
        "{output}"
    );
    assert_eq!(figures_from_api(&admin, request).await, right);
    let (is_ok, output) = rebuild(&app).await;
    assert!(is_ok, "{output}");
}
