use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn query(interval: Interval, time_zone: &str, start_date: &str, end_date: &str) -> Query {
    let [time_zone, start_date, end_date] = [time_zone, start_date, end_date].map(str::to_owned);
    Query { interval, time_zone, start_date, end_date }
}

/// Returns the beginnings of the requested periods, and the end of the last.
fn bounds(interval: Interval, zone: &str, start: &str, end: &str) -> Vec<String> {
    let periods = Periods::of(&query(interval, zone, start, end), at("2026-11-22T20:00:00Z")).expect("periods");
    let bounds = periods.bounds()[periods.count()..].iter();
    bounds.map(|bound| bound.format("%Y-%m-%dT%H:%M").to_string()).collect()
}

#[test]
fn days_have_23_and_25_hours_when_the_clocks_change() {
    let spring = ["2026-03-27T23:00", "2026-03-28T23:00", "2026-03-29T22:00", "2026-03-30T22:00"];
    assert_eq!(bounds(Interval::Day, "Europe/Berlin", "2026-03-28", "2026-03-30"), spring);
    let autumn = ["2026-10-24T22:00", "2026-10-25T23:00"];
    assert_eq!(bounds(Interval::Day, "Europe/Berlin", "2026-10-25", "2026-10-25"), autumn);
    // A shift of half an hour.
    assert_eq!(
        bounds(Interval::Day, "Australia/Lord_Howe", "2026-04-05", "2026-04-05"),
        ["2026-04-04T13:00", "2026-04-05T13:30"]
    );
    assert_eq!(
        bounds(Interval::Day, "Asia/Kathmandu", "2026-04-05", "2026-04-05"),
        ["2026-04-04T18:15", "2026-04-05T18:15"]
    );
}

#[test]
fn a_day_without_midnight_begins_after_the_gap_and_one_with_two_at_the_first() {
    assert_eq!(
        bounds(Interval::Day, "America/Sao_Paulo", "2018-11-04", "2018-11-04"),
        ["2018-11-04T03:00", "2018-11-05T02:00"]
    );
    assert_eq!(
        bounds(Interval::Day, "America/Havana", "2025-11-02", "2025-11-02"),
        ["2025-11-02T04:00", "2025-11-03T05:00"]
    );
    // Samoa skipped 30 December 2011.
    let samoa = ["2011-12-29T10:00", "2011-12-30T10:00", "2011-12-30T10:00", "2011-12-31T10:00"];
    assert_eq!(bounds(Interval::Day, "Pacific/Apia", "2011-12-29", "2011-12-31"), samoa);
}

#[test]
fn weeks_and_months_are_whole() {
    let weeks = ["2026-02-23T00:00", "2026-03-02T00:00", "2026-03-09T00:00"];
    assert_eq!(bounds(Interval::Week, "", "2026-03-01", "2026-03-02"), weeks);
    let months = ["2026-01-31T23:00", "2026-02-28T23:00", "2026-03-31T22:00"];
    assert_eq!(bounds(Interval::Month, "Europe/Berlin", "2026-02-28", "2026-03-01"), months);
}

#[test]
fn the_usual_range_ends_today_where_the_caller_is() {
    let now = at("2026-03-31T22:30:00Z");
    let last = |interval, zone| {
        let periods = Periods::of(&query(interval, zone, "", ""), now).expect("periods");
        (periods.count(), periods.first().0.to_string(), periods.last().0.to_string())
    };
    assert_eq!(last(Interval::Day, "Europe/Berlin"), (30, "2026-03-03".into(), "2026-04-01".into()));
    assert_eq!(last(Interval::Day, "America/New_York"), (30, "2026-03-02".into(), "2026-03-31".into()));
    assert_eq!(last(Interval::Week, "UTC"), (12, "2026-01-12".into(), "2026-04-05".into()));
    assert_eq!(last(Interval::Month, "UTC"), (12, "2025-04-01".into(), "2026-03-31".into()));
}

fn fault_of(interval: Interval, zone: &str, start: &str, end: &str) -> (String, String) {
    let error = Periods::of(&query(interval, zone, start, end), at("2026-11-22T20:00:00Z")).expect_err("refused");
    error.fields()[0].clone()
}

#[test]
fn requests_without_an_answer_are_refused_by_field() {
    let field = |interval, zone, start, end| fault_of(interval, zone, start, end).0;
    for zone in ["Berlin", "CEST", "+01:00", "Europe/berlin", "Europe/Berlin ", "../etc/passwd", "UTC0"] {
        assert_eq!(field(Interval::Day, zone, "", ""), "timeZone", "{zone}");
    }
    for day in ["2026-02-29", "2026-13-01", "2026-1-1", "yesterday", "+2026-1-01"] {
        assert_eq!(field(Interval::Day, "", day, ""), "startDate", "{day}");
        assert_eq!(field(Interval::Day, "", "", day), "endDate", "{day}");
    }
    assert_eq!(field(Interval::Day, "", "2026-03-02", "2026-03-01"), "startDate");
    assert_eq!(field(Interval::Day, "", "2026-01-01", "2026-04-11"), "startDate", "101 days");
    assert_eq!(bounds(Interval::Day, "", "2026-01-01", "2026-04-10").len(), 101);
    assert_eq!(field(Interval::Week, "", "0001-01-01", "0001-01-01"), "startDate");
    assert_eq!(field(Interval::Month, "", "0001-01-01", "9999-12-31"), "startDate");
}

#[test]
fn the_first_and_the_last_year_are_refused_by_the_field_that_leaves_them() {
    let early = |start, end| {
        let (field, why) = fault_of(Interval::Day, "", start, end);
        assert_eq!(why, "must be later: the preceding periods, which are compared, begin in 2000 at the earliest");
        field
    };
    assert_eq!(early("2000-01-01", "2000-01-01"), "startDate");
    assert_eq!(early("", "2000-02-28"), "endDate", "30 days, and 30 before them");
    assert_eq!(fault_of(Interval::Month, "", "2000-01-01", "2000-02-01").0, "startDate");
    let late = |start, end| fault_of(Interval::Day, "", start, end);
    let end_date = ("endDate".to_owned(), "must be in a period that ends before 2099-12-31".to_owned());
    assert_eq!(late("2099-12-30", "2099-12-31"), end_date);
    assert_eq!(late("", "2100-05-01"), end_date);
    for day in ["2000-01-02", "2099-12-30"] {
        assert_eq!(bounds(Interval::Day, "", day, day).len(), 2, "{day}");
    }
    assert_eq!(bounds(Interval::Day, "", "", "2000-02-29").len(), 31);
}

#[test]
fn sums_stand_beside_those_of_the_period_before() {
    let periods = Periods::of(&query(Interval::Day, "", "2026-03-03", "2026-03-04"), at("2026-11-22T20:00:00Z"));
    let periods = periods.expect("periods");
    let sum = |period, code, gross_minor| Sum {
        period,
        currency: Currency::parse(code).expect("a code"),
        figures: Figures { gross_minor, refunds_minor: 1, sales: 1, refunds: 1 },
    };
    let arranged = periods.arrange(&[sum(0, "EUR", 10), sum(3, "EUR", 40), sum(2, "JPY", 30)]);
    let gross = |number: usize| -> Vec<_> {
        let periods = arranged[number].periods.iter();
        periods.map(|period| (period.figures.gross_minor, period.previous.gross_minor)).collect()
    };
    assert_eq!((gross(0), gross(1)), (vec![(0, 10), (40, 0)], vec![(30, 0), (0, 0)]));
    let (total, previous) = arranged[0].totals();
    assert_eq!((total.gross_minor, total.net_minor(), previous.gross_minor), (40, 39, 10));
}

/// The stored sums cover quarters of an hour, so this property makes them exact in every time zone.
#[test]
fn every_day_of_every_time_zone_begins_on_a_quarter_of_an_hour() {
    let first = NaiveDate::from_ymd_opt(*YEARS.start(), 1, 1).expect("a day");
    for zone in chrono_tz::TZ_VARIANTS {
        // Offset changes last for weeks, so that no offset is missed.
        for day in first.iter_days().step_by(5).take_while(|day| YEARS.contains(&day.year())) {
            assert_eq!(start_of_day(day, zone).timestamp() % (15 * 60), 0, "{day} in {zone}");
        }
    }
}
