//! Sums of the ledger over periods of time.

use std::ops::AddAssign;

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{money::Currency, numbered::numbered};

numbered! {
    /// The length of time that a stored sum covers.
    Span {
        /// A quarter of an hour. In every time zone, a day begins at the start of a quarter.
        Quarter = 1,
        /// A day of UTC.
        Day = 2,
    }
}

/// The sales and refunds in one currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// The sold amount, in the currency's smallest unit.
    pub gross_minor: i64,
    /// The refunded amount, less returned refunds, in the currency's smallest unit.
    pub refunds_minor: i64,
    /// The number of charges and paid invoices.
    pub sales: i64,
    /// The number of refunds, less returned refunds.
    pub refunds: i64,
}

impl Figures {
    /// Returns the amount that remains after refunds, in the currency's smallest unit.
    pub fn net_minor(&self) -> i64 {
        self.gross_minor - self.refunds_minor
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.gross_minor += other.gross_minor;
        self.refunds_minor += other.refunds_minor;
        self.sales += other.sales;
        self.refunds += other.refunds;
    }
}

/// The sum of one period in one currency. Periods without movements have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The number of the period, from 0.
    pub period: usize,
    pub currency: Currency,
    pub figures: Figures,
}

/// A part of a period, made up of stored sums of one span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    pub span: Span,
    pub from: DateTime<Utc>,
    /// The end, exclusive.
    pub until: DateTime<Utc>,
    pub period: usize,
}

/// Returns the slices of the periods between consecutive bounds: the UTC days that a period contains, and the quarters
/// before and after them. So a period of any length costs one row per day plus the quarters of at most two days.
pub fn slices(bounds: &[DateTime<Utc>]) -> Vec<Slice> {
    let mut slices = Vec::new();
    for (period, edges) in bounds.windows(2).enumerate() {
        let (from, until) = (edges[0], edges[1]);
        let (first_day, last_day) = (first_midnight(from).min(until), midnight(until));
        let parts = match first_day < last_day {
            true => {
                [(Span::Quarter, from, first_day), (Span::Day, first_day, last_day), (Span::Quarter, last_day, until)]
            }
            false => [(Span::Quarter, from, until), (Span::Day, until, until), (Span::Quarter, until, until)],
        };
        let parts = parts.into_iter().filter(|(_, from, until)| from < until);
        slices.extend(parts.map(|(span, from, until)| Slice { span, from, until, period }));
    }
    slices
}

/// Returns the beginning of the UTC day.
fn midnight(time: DateTime<Utc>) -> DateTime<Utc> {
    time.date_naive().and_time(chrono::NaiveTime::MIN).and_utc()
}

/// Returns the next beginning of a UTC day, or the time itself if it is one.
fn first_midnight(time: DateTime<Utc>) -> DateTime<Utc> {
    let before = midnight(time);
    if before == time { time } else { before + TimeDelta::days(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn describe(bounds: &[&str]) -> Vec<String> {
        let bounds: Vec<_> = bounds.iter().map(|bound| at(bound)).collect();
        let describe = |slice: Slice| {
            let time = |time: DateTime<Utc>| time.format("%d %H:%M").to_string();
            format!("{} {:?} {} – {}", slice.period, slice.span, time(slice.from), time(slice.until))
        };
        slices(&bounds).into_iter().map(describe).collect()
    }

    #[test]
    fn a_period_is_whole_days_between_quarters() {
        let week = ["2026-03-01T18:15:00Z", "2026-03-08T18:15:00Z"];
        let parts = ["0 Quarter 01 18:15 – 02 00:00", "0 Day 02 00:00 – 08 00:00", "0 Quarter 08 00:00 – 08 18:15"];
        assert_eq!(describe(&week), parts);
    }

    #[test]
    fn days_of_utc_are_single_rows_and_others_are_quarters() {
        assert_eq!(describe(&["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"]), ["0 Day 01 00:00 – 02 00:00"]);
        let local = ["2026-03-01T05:00:00Z", "2026-03-01T12:00:00Z", "2026-03-02T05:00:00Z"];
        assert_eq!(describe(&local), ["0 Quarter 01 05:00 – 01 12:00", "1 Quarter 01 12:00 – 02 05:00"]);
        // A day that a time zone skipped.
        assert_eq!(describe(&["2026-03-01T05:00:00Z", "2026-03-01T05:00:00Z"]), [""; 0]);
    }

    #[test]
    fn the_slices_of_a_period_are_contiguous() {
        for hours in 0..200 {
            for from in ["2026-03-01T00:00:00Z", "2026-03-01T00:15:00Z", "2026-03-01T23:45:00Z"] {
                let bounds = [at(from), at(from) + TimeDelta::minutes(15 * hours)];
                let mut end = bounds[0];
                for slice in slices(&bounds) {
                    assert_eq!(slice.from, end);
                    assert!(
                        slice.span == Span::Quarter
                            || (midnight(slice.from), midnight(slice.until)) == (slice.from, slice.until)
                    );
                    end = slice.until;
                }
                assert_eq!(end, bounds[1]);
            }
        }
    }
}
